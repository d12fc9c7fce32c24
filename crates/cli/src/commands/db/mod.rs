//! `db:check`, `db:backup` and `db:compact`: looking after the queue's file.

pub mod copy;
pub mod migrate;
pub mod path;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{done, escape, json};

/// Check the queue's file for damage
#[derive(Debug, Args)]
pub struct CheckArgs {}

/// Copy the queue to a new file while nodes keep working
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The new file; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Rewrite the queue's file without free space
#[derive(Debug, Args)]
#[command(after_help = "\
New jobs reuse free space, so this is worthwhile only after a large purge. No node may run, and the disk must have \
room for a second copy of the file.")]
pub struct CompactArgs {}

#[derive(Serialize)]
struct CheckView {
    ok: bool,
    /// What is wrong with the file's structure.
    damage: Vec<String>,
    /// Rows that point at rows that are not there.
    dangling: u64,
    /// Numbers of jobs, by queue and state, that are wrong.
    miscounted: u64,
    pages: u64,
    free_pages: u64,
}

#[derive(Serialize)]
struct BackupView {
    file: String,
}

pub fn check(_: &CheckArgs, context: &Context) -> Result<Exit> {
    let report = context.open_existing()?.check()?;
    let view = CheckView {
        ok: report.damage.is_empty() && report.dangling == 0 && report.miscounted == 0,
        damage: report.damage,
        dangling: report.dangling,
        miscounted: report.miscounted,
        pages: report.pages,
        free_pages: report.free_pages,
    };
    let printed = if context.json {
        json::print(&view)
    } else {
        print(&view)
    };
    if view.ok {
        printed?;
        return Ok(Exit::OK);
    }
    // A verdict that nobody could read is told by the status.
    done::printed_or_warn(printed, || "the check found damage".to_owned());
    Ok(Exit::NEGATIVE)
}

fn print(view: &CheckView) -> io::Result<()> {
    let mut out = io::stdout();
    for line in &view.damage {
        writeln!(out, "damaged: {}", escape::line(line))?;
    }
    if view.dangling > 0 {
        writeln!(
            out,
            "damaged: {} rows point at rows that are not there",
            view.dangling
        )?;
    }
    if view.miscounted > 0 {
        writeln!(
            out,
            "{} numbers in `queuectl status` are wrong; `queuectl db:compact` counts the jobs anew",
            view.miscounted
        )?;
    }
    if view.ok {
        writeln!(out, "ok: {} pages, {} of them free", view.pages, view.free_pages)?;
    } else if !view.damage.is_empty() || view.dangling > 0 {
        writeln!(
            out,
            "stop all nodes, keep a copy, then restore a backup or try `sqlite3 FILE .recover`"
        )?;
    }
    Ok(())
}

pub fn backup(args: &BackupArgs, context: &Context) -> Result<Exit> {
    context.open_existing()?.backup(&args.file)?;
    let file = args.file.display().to_string();
    let line = format!("copied to {file}");
    done::tell(context, &BackupView { file }, &line);
    Ok(Exit::OK)
}

#[derive(Serialize)]
struct CompactView {
    bytes_before: u64,
    bytes: u64,
}

pub fn compact(_: &CompactArgs, context: &Context) -> Result<Exit> {
    let mut store = context.open_existing()?;
    let bytes_before = store.bytes()?;
    store.compact()?;
    let bytes = store.bytes()?;
    let kib = |bytes: u64| bytes.div_ceil(1024);
    let line = format!("{} KiB, {} KiB before", kib(bytes), kib(bytes_before));
    done::tell(context, &CompactView { bytes_before, bytes }, &line);
    Ok(Exit::OK)
}
