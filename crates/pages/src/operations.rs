//! What operators did, and the way back.

use maud::html;
use queuectl_views::OperationView;

use crate::frame::Frame;
use crate::parts::{Act, Html, acts, clock, field, number, table, text, value, whole};

/// Returns the list. `next` is the operation before which it goes on.
pub fn operations(operations: &[OperationView], next: Option<i64>) -> Html {
    let rows: Vec<Html> = operations.iter().map(row).collect();
    html! {
        section id="operations" data-fresh {
            (table(
                "Operations",
                &["No.", "Time", "By", "Did", "Jobs", "What", "Undo"],
                &rows,
                "Nothing was done that is remembered.",
            ))
        }
        @if let Some(next) = next {
            nav.pager aria-label="Pages" { a rel="next" href={ "/operations?before=" (next) } { "Next page" } }
        }
    }
}

fn row(operation: &OperationView) -> Html {
    html! {
        tr {
            td.number { a href={ "/operations/" (operation.id) } { (operation.id) } }
            td { (clock(operation.at)) }
            td { (text(operation.by.as_deref().unwrap_or("-"))) }
            td { (text(&operation.kind)) }
            td.number { @if operation.jobs + operation.stopping > 0 { (number(operation.jobs + operation.stopping)) } }
            td.wide { (text(&operation.what)) }
            td {
                @match operation.undone_by {
                    _ if !operation.ended => { "unfinished" },
                    Some(by) => { "by " a href={ "/operations/" (by) } { (by) } },
                    None => { @if operation.undoable { "yes" } @else { "no" } },
                }
            }
        }
    }
}

/// Returns the page of one operation.
pub fn one_operation(frame: &Frame, operation: &OperationView) -> Html {
    let id = operation.id;
    let undo = Act {
        path: format!("/operations/{id}/undo"),
        label: "Undo",
        command: format!("queuectl op:undo {id}"),
        is_harsh: true,
    };
    let done = operation.jobs + operation.stopping + operation.left;
    html! {
        @if operation.undoable && operation.ended { (acts(frame.readonly, &[undo])) }
        section id="operation" data-fresh {
            @if !operation.ended {
                p role="status" {
                    "It goes on, or was cut off. "
                    @if let Some(total) = operation.total {
                        progress max=(total.max(1)) value=(done.min(total)) {} " " (number(done)) " of " (number(total)) " jobs"
                    } @else { (number(done)) " jobs so far" }
                }
            }
            dl.fields {
                (field("Did", value(&operation.kind)))
                (field("What", value(&operation.what)))
                (field("By", operation.by.as_ref().and_then(value)))
                (field("Began", Some(clock(operation.at))))
                (field("Ended", operation.ended.then(|| clock(operation.updated_at))))
                (field("Changed", value(number(operation.jobs))))
                (field("Being stopped", (operation.stopping > 0).then(|| number(operation.stopping)).and_then(value)))
                (field("Left alone", (operation.left > 0).then(|| number(operation.left)).and_then(value)))
                (field("Undo", operation.not_undoable.as_ref().map(|why| html! { (whole(why)) })))
                (field("Undoes", operation.undo_of.map(|of| html! { a href={ "/operations/" (of) } { (of) } })))
            }
        }
    }
}
