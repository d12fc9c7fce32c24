//! `worker:list`: the nodes of a queue.

use anyhow::Result;
use clap::Args;
use queuectl_core::{Clock, SystemClock};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::json;
use crate::output::node::{NodeView, print_table};

/// List the nodes: who runs jobs
#[derive(Debug, Args)]
pub struct ListArgs {}

pub fn run(_: &ListArgs, context: &Context) -> Result<Exit> {
    let nodes = NodeView::load_all(&mut context.open()?)?;
    if context.json {
        json::print(&nodes)?;
    } else {
        print_table(&nodes, SystemClock.now(), context.raw)?;
    }
    Ok(Exit::OK)
}
