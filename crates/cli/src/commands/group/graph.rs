//! `group:graph`: which jobs of a group wait for which.

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::GRAPH_SHOWN;
use queuectl_core::{GroupName, JobId};
use queuectl_frontend::{graph as trees, load};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::graph;
use crate::registry::Run;

/// Show which jobs of a group wait for which, as trees of text or for Graphviz
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs outside the group that members wait for, or that wait for members, are shown, too.")]
pub struct GraphArgs {
    /// The group's name
    name: GroupName,
    /// Print it in the language of Graphviz
    #[arg(long)]
    dot: bool,
}

impl Run for GraphArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let shown = u32::try_from(GRAPH_SHOWN).unwrap_or(u32::MAX);
        let mut members = store.members(&self.name, shown.saturating_add(1))?;
        let is_cut = members.len() > GRAPH_SHOWN;
        members.truncate(GRAPH_SHOWN);
        let members: Vec<JobId> = members.into_iter().map(|member| member.id).collect();
        let mut view = load::graph(&mut store, &members)?;
        view.more |= is_cut;
        let lines = if self.dot {
            trees::dot(&view)
        } else {
            trees::forest(&view)
        };
        graph::print(&view, &lines, &context.output)?;
        Ok(Exit::OK)
    }
}
