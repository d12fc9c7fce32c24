//! What is shown when something cannot be done.

use maud::html;

use crate::parts::{Html, whole};

/// Returns what happened, and the way back.
pub fn problem(detail: &str) -> Html {
    html! {
        p.problem role="alert" { (whole(detail)) }
        p { a href="/" { "To the overview" } }
    }
}
