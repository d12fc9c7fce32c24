//! `db:compact`: rewrites the queue's file without free space.

use anyhow::Result;
use clap::Args;
use queuectl_views::CompactView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::progress::Progress;
use crate::registry::Run;

/// Rewrite the queue's file without free space
#[derive(Debug, Args)]
#[command(after_help = "\
New jobs reuse free space, so this is worthwhile only after a large purge. Stop all nodes first; the disk must have \
room for a second copy of the file.")]
pub struct CompactArgs {}

impl Run for CompactArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let bytes_before = store.bytes()?;
        let progress = Progress::of_unknown("rewriting the queue");
        let compacted = store.compact();
        drop(progress);
        compacted?;
        let bytes = store.bytes()?;
        let kib = |bytes: u64| bytes.div_ceil(1024);
        let line = format!("{} KiB, {} KiB before", kib(bytes), kib(bytes_before));
        context.output.done(&CompactView { bytes_before, bytes }, &line);
        Ok(Exit::OK)
    }
}
