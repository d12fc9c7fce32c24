//! `init`: creates the queue.

use anyhow::Result;
use clap::Args;
use queuectl_storage::{OpenMode, Store, StoreError};
use queuectl_views::InitView;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Create the queue if it does not exist
#[derive(Debug, Args)]
#[command(after_help = "\
`enqueue`, `config:set` and `worker:start` create it on their own; this is for scripts that need it to exist.")]
pub struct InitArgs {}

impl Run for InitArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let made = match Store::open(&context.location, OpenMode::MustExist) {
            Ok(_) => false,
            Err(StoreError::Missing) => {
                context.open_or_create()?;
                true
            }
            Err(error) => return Err(error.into()),
        };
        let db = context.location.to_string();
        let line = if made {
            format!("created the queue {db}")
        } else {
            format!("the queue {db} already exists")
        };
        context.output.done(&InitView { db, made }, &line);
        Ok(Exit::OK)
    }
}
