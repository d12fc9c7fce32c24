//! `worker:start`: a node in the foreground, or in the background with `--detach`.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use anstream::ColorChoice;
use anyhow::Result;
use clap::{Args, Command};
use queuectl_core::QueueName;
use queuectl_core::limits::{CONCURRENCY, NODE_QUEUES, WORKERS};
use queuectl_storage::Queues;
use queuectl_worker::{NodeEnd, NodeOptions, run_node};

use super::{detach, trust};
use crate::config_file::ConfigFile;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::number::whole;
use crate::output::diagnostics;
use crate::registry::Run;
use crate::stderr;

/// Run jobs: start a node with worker processes
#[derive(Debug, Args)]
#[command(after_help = "\
At the first SIGINT (Ctrl-C) or SIGTERM the node starts no more jobs and lets running ones finish within the setting \
shutdown_grace. At the second it stops them. Jobs that were cut off go back to the queue without losing an attempt.

A drain does not wait for jobs that are held, in a paused queue, or under a limit that lets none run.

Exit status with --drain: 0 if every job completed, 1 if one ended dead or cancelled.")]
pub struct StartArgs {
    /// Worker processes
    #[arg(short = 'c', long, value_name = "N", allow_negative_numbers = true, default_value_t = 1, value_parser = whole::<u32>(WORKERS))]
    count: u32,
    /// Jobs that each worker process runs at a time
    #[arg(long, value_name = "M", allow_negative_numbers = true, default_value_t = 1, value_parser = whole::<u32>(CONCURRENCY))]
    concurrency: u32,
    /// Only run jobs of this queue; repeatable [default: all queues]
    #[arg(long, value_name = "NAME")]
    queue: Vec<QueueName>,
    /// Exit when no jobs are left to run, including those that wait for a retry
    #[arg(long)]
    drain: bool,
    /// Run in the background; print the node's number
    #[arg(long)]
    detach: bool,
    /// With --detach: log to this file [default: node.log in the folder next to the queue's file]
    #[arg(long, value_name = "FILE", requires = "detach")]
    log_file: Option<PathBuf>,
    /// Take the options of this profile in the configuration file, unless they are given
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Run jobs even though other users can change the queue's file, and thereby what runs as you
    #[arg(long)]
    trust_others: bool,
    /// Set for the process in the background
    #[arg(long = "internal-background", hide = true, conflicts_with = "detach")]
    detached: bool,
}

impl Run for StartArgs {
    fn reread(&mut self, words: &[OsString], is_again: bool) -> Result<Option<Vec<OsString>>, String> {
        let Some(name) = self.profile.as_ref().filter(|_| !is_again) else {
            return Ok(None);
        };
        let config = ConfigFile::load().map_err(|error| error.to_string())?;
        let grammar = StartArgs::augment_args(Command::new("worker:start"));
        let options = config.profile(name, &grammar, words)?;
        Ok(Some([words, &options].concat()))
    }

    fn run(self, context: &Context) -> Result<Exit> {
        if self.queue.len() > NODE_QUEUES {
            let message = format!("a node can serve at most {NODE_QUEUES} queues by name");
            return Err(Usage::new(message)
                .hint("leave --queue out to serve all queues")
                .into());
        }
        if !self.trust_others {
            trust::check(&context.location)?;
        }
        if self.detach {
            return detach::start(&node_args(&self, context), self.log_file.as_deref(), context);
        }
        let options = NodeOptions {
            location: context.location.clone(),
            workers: self.count,
            concurrency: self.concurrency,
            queues: if self.queue.is_empty() {
                Queues::All
            } else {
                Queues::Only(self.queue)
            },
            drain: self.drain,
            worker_args: worker_args(context),
            pass_on: stderr::pass_on,
        };
        let end = run_node(options, |node| {
            if self.detached {
                // The parent waits for this line; if it is gone, the node still runs.
                let mut out = io::stdout();
                let _ = writeln!(out, "{node}").and_then(|()| out.flush());
            }
        })?;
        Ok(match end {
            NodeEnd::Stopped => Exit::OK,
            NodeEnd::Drained { all_completed, left } => {
                note_left(left);
                if all_completed { Exit::OK } else { Exit::NEGATIVE }
            }
        })
    }
}

/// Says that a drain left jobs, which only an operator can let go on.
fn note_left(jobs: u64) {
    let left = match jobs {
        0 => return,
        1 => "1 job is left that cannot start".to_owned(),
        _ => format!("{jobs} jobs are left that cannot start"),
    };
    diagnostics::note(&format!(
        "{left} (held, its queue paused, its limit 0, or waiting for such a job); `queuectl explain JOB` says why"
    ));
}

/// Returns the arguments that make this binary a worker process.
fn worker_args(context: &Context) -> Vec<OsString> {
    let mut args = vec![OsString::from("worker:run")];
    let mut shared = context.shared_options();
    let chosen = |option: &OsString| option.to_string_lossy().starts_with("--color");
    // Its log lines come through a pipe to the log of this process.
    if !shared.iter().any(chosen) && stderr::color() != ColorChoice::Never {
        shared.push("--color=always".into());
    }
    args.extend(shared);
    args
}

/// Returns the arguments that make this binary the node in the background.
fn node_args(args: &StartArgs, context: &Context) -> Vec<OsString> {
    let mut node: Vec<OsString> = vec!["worker:start".into(), "--internal-background".into()];
    // A location on PostgreSQL may contain a password, so `detach` hands it over by a pipe.
    if let Some(file) = context.location.file() {
        node.extend(["--db".into(), file.into()]);
    }
    node.push(format!("--count={}", args.count).into());
    node.push(format!("--concurrency={}", args.concurrency).into());
    node.extend(args.queue.iter().map(|queue| format!("--queue={queue}").into()));
    if args.drain {
        node.push("--drain".into());
    }
    if args.trust_others {
        node.push("--trust-others".into());
    }
    node.extend(context.shared_options());
    node
}
