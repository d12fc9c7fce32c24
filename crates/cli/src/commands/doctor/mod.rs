//! `doctor`: says whether queuectl can work here: the program, services that start it, the queue and what it is kept on, files
//! that were left behind, nodes, plugins, settings and the machine.
//!
//! Every part looks at one thing and returns findings. They change nothing, and deliberately say nothing about single
//! jobs or whether queues move on: that is `status`.

mod leftovers;
mod machine;
mod nodes;
mod plugins;
mod program;
mod queue;
mod service;
mod settings;

use std::io;

use anyhow::Result;
use clap::Args;
use queuectl_storage::{Problem, StoreError};
use queuectl_views::{DoctorView, FindingView, Verdict};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Say whether queuectl can work here, and what to do if not
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the program, services of systemd that start a node, the queue's file and file system, files that were left behind, the \
clock, nodes, executor plugins, settings that nothing reads, and limits of the machine. It changes nothing. A problem keeps queuectl from working, or from working safely; a warning may do so at \
times. What keeps jobs of a working queue from running is for `queuectl status`; damage in the file for `queuectl db:check`.

Exit status: 1 if there are problems.")]
pub struct DoctorArgs {
    /// Only print warnings and problems
    #[arg(long)]
    brief: bool,
}

impl Run for DoctorArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut findings = program::findings();
        findings.extend(service::findings());
        findings.extend(queue::file_findings(&context.location));
        let (found, mut store) = queue::open(&context.location);
        findings.push(found);
        let (found, plugins) = plugins::findings(context);
        findings.extend(found);
        if let Some(store) = &mut store {
            findings.extend(queue::clock(store));
            findings.extend(leftovers::findings(store));
            findings.extend(nodes::findings(store));
            findings.extend(plugins::wanted(store, &plugins));
            findings.extend(settings::findings(store, &plugins));
        }
        findings.extend(machine::findings());
        let ok = findings.iter().all(|found| found.verdict < Verdict::Problem);
        if self.brief {
            findings.retain(|found| found.verdict >= Verdict::Warning);
        }
        let view = DoctorView { ok, findings };
        let printed = context.output.document(&view, |page| print(&view, page));
        if ok {
            printed?;
            return Ok(Exit::OK);
        }
        // The exit status tells the verdict even if it cannot be printed.
        warn_unprinted(printed, || "there are problems".to_owned());
        Ok(Exit::NEGATIVE)
    }
}

/// Things of a kind that a finding names.
const NAMED: usize = 5;

/// Names the first of them, and how many more there are.
fn named(names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    match more {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// What could not be looked at. A role of a server may lack rights that its work does not need.
fn unread(code: &'static str, error: &StoreError) -> FindingView {
    let verdict = match error {
        StoreError::Database {
            problem: Problem::Denied,
            ..
        } => Verdict::Note,
        _ => Verdict::Problem,
    };
    FindingView::new(code, verdict, error.to_string())
}

fn print(view: &DoctorView, page: &mut Page) -> io::Result<()> {
    for found in &view.findings {
        page.field(found.verdict.name(), &in_words(found))?;
        if let Some(fix) = &found.fix {
            page.field("", fix)?;
        }
    }
    let count = |verdict| {
        view.findings
            .iter()
            .filter(|found| found.verdict == verdict)
            .count()
    };
    let of = |count: usize, one: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        several => Some(format!("{several} {one}s")),
    };
    let counts = [
        of(count(Verdict::Problem), "problem"),
        of(count(Verdict::Warning), "warning"),
    ];
    let counts: Vec<String> = counts.into_iter().flatten().collect();
    match counts.is_empty() {
        true => page.line("no problems found"),
        false => page.line(&counts.join(", ")),
    }
}

fn in_words(found: &FindingView) -> String {
    format!("{}: {}", found.code, found.text)
}
