//! `db:check`: checks the queue for damage.

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_views::CheckView;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::progress::Progress;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Check the queue's file for damage
#[derive(Debug, Args)]
pub struct CheckArgs {}

impl Run for CheckArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let progress = Progress::of_unknown("checking the queue");
        let report = store.check();
        drop(progress);
        let report = report?;
        let view = CheckView {
            ok: report.damage.is_empty()
                && report.dangling == 0
                && report.miscounted == 0
                && report.misplaced == 0
                && report.misgrouped == 0,
            damage: report.damage,
            dangling: report.dangling,
            miscounted: report.miscounted,
            misplaced: report.misplaced,
            misgrouped: report.misgrouped,
            pages: report.pages,
            free_pages: report.free_pages,
        };
        let printed = context.output.document(&view, |page| print(&view, page));
        if view.ok {
            printed?;
            return Ok(Exit::OK);
        }
        // The exit status tells the verdict even if it cannot be printed.
        warn_unprinted(printed, || "the check found damage".to_owned());
        Ok(Exit::NEGATIVE)
    }
}

fn print(view: &CheckView, page: &mut Page) -> io::Result<()> {
    for line in &view.damage {
        page.line(&format!("damaged: {line}"))?;
    }
    if view.dangling > 0 {
        let rows = view.dangling;
        page.line(&format!("damaged: {rows} rows refer to missing rows"))?;
    }
    if view.miscounted > 0 {
        page.line(&format!(
            "{} numbers in `queuectl status` are wrong; `queuectl db:compact` counts the jobs again",
            view.miscounted
        ))?;
    }
    if view.misplaced > 0 {
        page.line(&format!(
            "damaged: {} jobs hold a key of a limit, or wait for one, otherwise than their state says",
            view.misplaced
        ))?;
    }
    if view.misgrouped > 0 {
        page.line(&format!(
            "damaged: {} groups lack their callback, or count a job otherwise than its state says",
            view.misgrouped
        ))?;
    }
    if view.ok {
        let (pages, free) = (view.pages, view.free_pages);
        page.line(&format!("ok: {pages} pages, {free} of them free"))?;
    } else if !view.damage.is_empty() || view.dangling > 0 || view.misplaced + view.misgrouped > 0 {
        page.line("stop all nodes, keep a copy, then restore a backup or try `sqlite3 FILE .recover`")?;
    }
    Ok(())
}
