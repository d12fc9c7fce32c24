//! `worker:stop`: asks nodes to stop, from any machine that sees the queue.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::{JobId, NodeId, OutcomeKind, parse_duration};
use queuectl_storage::{StopRequest, Store, StoreError};
use queuectl_views::AskedView;

use crate::commands::waiter::Waiter;
use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::{diagnostics, warn_unprinted};
use crate::registry::Run;

/// Ask nodes to stop
#[derive(Debug, Args)]
pub struct StopArgs {
    /// The nodes' numbers [default: all nodes]
    #[arg(value_name = "NODE", value_parser = node, allow_negative_numbers = true)]
    nodes: Vec<NodeId>,
    /// Stop running jobs now instead of letting them finish; they go back to the queue without losing an attempt
    #[arg(long)]
    now: bool,
    /// Wait until the nodes have stopped
    #[arg(long)]
    wait: bool,
    /// With --wait: wait at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true, requires = "wait")]
    timeout: Option<Duration>,
}

fn node(text: &str) -> Result<NodeId, String> {
    text.parse()
        .map(NodeId)
        .map_err(|_| "a node is a number; `queuectl worker:list` shows them".to_owned())
}

impl Run for StopArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let request = if self.now {
            StopRequest::Now
        } else {
            StopRequest::Gracefully
        };
        let jobs = if self.wait {
            jobs_of_all(&mut store)?
        } else {
            BTreeSet::new()
        };
        let mut asked = Vec::new();
        let mut exit = Exit::OK;
        if self.nodes.is_empty() {
            asked = store.request_stop(None, request)?;
        }
        for node in &self.nodes {
            match store.request_stop(Some(*node), request) {
                Ok(found) => asked.extend(found),
                // Ask the others anyway.
                Err(error @ StoreError::NoSuchNode(_)) => {
                    diagnostics::error(&error.to_string());
                    exit = Exit::NOT_FOUND;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let mut living = Vec::new();
        for node in &asked {
            // A node that has already stopped is gone from the store.
            if store.node_lives(*node)? || !is_known(&mut store, *node)? {
                living.push(*node);
            } else {
                say_dead(*node);
            }
        }
        let printed = context.output.document(&AskedView { nodes: &living }, |page| {
            // With --wait a node is named when it has stopped.
            for node in living.iter().filter(|_| !self.wait) {
                let line = format!("node {node} is asked to stop");
                warn_unprinted(page.line(&line), || line);
            }
            Ok(())
        });
        warn_unprinted(printed, || format!("{} nodes are asked to stop", living.len()));
        if asked.is_empty() && exit == Exit::OK {
            diagnostics::note("no node is running");
        }
        if self.wait {
            wait_until_gone(&mut store, living, jobs, &self, context)?;
        }
        Ok(exit)
    }
}

/// Returns how many of the jobs the node cut off and gave back to the queue.
fn cut_off(store: &mut Store, node: NodeId, jobs: impl Iterator<Item = JobId>) -> Result<usize> {
    let mut cut = 0;
    for job in jobs {
        let attempts = store.attempts_without_output(job)?;
        let mut of_node = attempts.iter().filter(|attempt| attempt.node == node);
        let returned = of_node
            .next_back()
            .is_some_and(|last| last.outcome.kind == OutcomeKind::Returned);
        cut += usize::from(returned);
    }
    Ok(cut)
}

/// Prints that a node stopped. Programs have the list of nodes already and get a note only if jobs were cut off.
fn tell_stopped(node: NodeId, cut: usize, context: &Context) {
    let line = match cut {
        0 => format!("node {node} stopped"),
        1 => format!("node {node} stopped; 1 job was cut off and is back in the queue"),
        _ => format!("node {node} stopped; {cut} jobs were cut off and are back in the queue"),
    };
    if cut > 0 && context.output.prints_all_fields() {
        diagnostics::note(&line);
    }
    let printed = context.output.for_people(|page| page.line(&line));
    warn_unprinted(printed, || line);
}

fn is_known(store: &mut Store, node: NodeId) -> Result<bool> {
    Ok(store.nodes()?.iter().any(|other| other.id == node))
}

fn say_dead(node: NodeId) {
    diagnostics::note(&format!(
        "node {node} is dead; the next node to run rescues what it left behind"
    ));
}

/// Returns the jobs of all nodes.
fn jobs_of_all(store: &mut Store) -> Result<BTreeSet<(NodeId, JobId)>> {
    let mut jobs = BTreeSet::new();
    for node in store.nodes()? {
        let of_node = store.jobs_of_node(node.id)?;
        jobs.extend(of_node.iter().map(|job| (node.id, job.id)));
    }
    Ok(jobs)
}

fn wait_until_gone(
    store: &mut Store,
    mut nodes: Vec<NodeId>,
    mut jobs: BTreeSet<(NodeId, JobId)>,
    args: &StopArgs,
    context: &Context,
) -> Result<()> {
    let mut waiter = Waiter::new(args.timeout);
    loop {
        let mut left = Vec::new();
        // Include jobs that the nodes were claiming when they were asked.
        jobs.extend(jobs_of_all(store)?);
        for node in nodes {
            if store.node_lives(node)? {
                left.push(node);
            } else if is_known(store, node)? {
                // A stopping node leaves the store before it releases its lock; this one was killed.
                say_dead(node);
            } else {
                let had = jobs.iter().filter(|(of, _)| *of == node).map(|(_, job)| *job);
                tell_stopped(node, cut_off(store, node, had)?, context);
            }
        }
        nodes = left;
        let Some(node) = nodes.first() else {
            return Ok(());
        };
        if !waiter.pause() {
            let message = format!("timed out: node {node} has not stopped yet; --now stops its jobs");
            return Err(Ended {
                message,
                exit: Exit::TIMEOUT,
            }
            .into());
        }
    }
}
