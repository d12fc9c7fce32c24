//! Prints which jobs wait for which, as a tree or for Graphviz.

use anyhow::Result;
use queuectl_core::limits::{GRAPH_SHOWN, GRAPH_SHOWN_EDGES};
use queuectl_views::GraphView;

use super::Output;

/// Prints a graph; `lines` are its form for people.
///
/// # Errors
/// What is printed cannot be written.
pub fn print(view: &GraphView, lines: &[String], output: &Output) -> Result<()> {
    output.document(view, |page| lines.iter().try_for_each(|line| page.line(line)))?;
    if view.more {
        output.remark(&format!(
            "there are more jobs; these are the nearest, at most {GRAPH_SHOWN} with {GRAPH_SHOWN_EDGES} edges"
        ));
    }
    Ok(())
}
