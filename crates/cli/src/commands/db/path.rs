//! `db:path`: where the queue is.

use std::io::{self, Write};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{escape, json};

/// Print the queue's location
#[derive(Debug, Args)]
pub struct PathArgs {}

#[derive(Serialize)]
struct PathView {
    /// The file, or the location on PostgreSQL without a password.
    db: String,
    /// What belongs to the queue on this machine: long outputs, logs, locks of nodes.
    folder: String,
}

pub fn run(_: &PathArgs, context: &Context) -> Result<Exit> {
    let view = PathView {
        db: context.location.to_string(),
        folder: context.location.state_dir().display().to_string(),
    };
    let printed = if context.json {
        json::print(&view)
    } else if context.raw {
        writeln!(io::stdout(), "{}", view.db)
    } else {
        writeln!(io::stdout(), "{}", escape::line(&view.db))
    };
    printed?;
    Ok(Exit::OK)
}
