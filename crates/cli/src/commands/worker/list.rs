//! `worker:list`: the nodes of a queue.

use anyhow::Result;
use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::json;
use crate::output::node::{NodeView, print_table};

/// List the nodes
#[derive(Debug, Args)]
pub struct ListArgs {}

pub fn run(_: &ListArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let nodes = NodeView::load_all(&mut store)?;
    if context.json {
        json::print(&nodes)?;
    } else {
        print_table(&nodes, store.now()?, context.raw)?;
    }
    Ok(Exit::OK)
}
