//! Asking executors whether they could run a job, before it is stored.
//!
//! A job for a plugin that is not on this machine is stored all the same: a node elsewhere, or later, may have it.
//! The shell executor takes every job that the core takes, so it is not asked, and enqueueing stays fast.

use std::collections::HashMap;

use queuectl_core::{ExecutorName, NewJob};
use queuectl_worker::Probe;

use crate::context::Context;
use crate::output::say;
use crate::verbs::plugin;

/// One helper process per executor, started when the first job names it.
pub struct Validator<'a> {
    context: &'a Context,
    /// None: it cannot be asked, which was said.
    probes: HashMap<ExecutorName, Option<Probe>>,
}

impl<'a> Validator<'a> {
    pub fn new(context: &'a Context) -> Validator<'a> {
        Validator {
            context,
            probes: HashMap::new(),
        }
    }

    /// The executor's reason, if it would not run the job.
    pub fn check(&mut self, job: &NewJob) -> Result<(), String> {
        if job.executor == ExecutorName::default() {
            return Ok(());
        }
        let context = self.context;
        let probe = self
            .probes
            .entry(job.executor.clone())
            .or_insert_with(|| start(&job.executor, context));
        let (Some(asked), Ok(payload)) = (probe.as_mut(), job.payload.to_stored()) else {
            return Ok(());
        };
        match asked.validate(&payload) {
            Ok(answer) => {
                answer.map_err(|reason| format!("the executor '{}' refuses the job: {reason}", job.executor))
            }
            Err(error) => {
                say::note(&format!("the job is stored unchecked: {error}"));
                *probe = None;
                Ok(())
            }
        }
    }
}

fn start(executor: &ExecutorName, context: &Context) -> Option<Probe> {
    let found = plugin::search(context).find(executor);
    match found
        .map_err(Into::into)
        .and_then(|file| plugin::ask(&file, context))
    {
        Ok(probe) => Some(probe),
        Err(error) => {
            say::note(&format!("jobs for '{executor}' are stored unchecked: {error}"));
            None
        }
    }
}
