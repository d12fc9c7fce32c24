//! Asking executors whether they could run a job, before it is stored: their plugin, and then the schema of the payload that
//! the plugin gives.
//!
//! A job for a plugin that is not on this machine is stored all the same: a node elsewhere, or later, may have it.
//! The shell executor takes every job without a payload that the core takes, so it is not asked about those, and
//! enqueueing stays fast.

use std::collections::{BTreeMap, HashMap};

use queuectl_core::json::JsonObject;
use queuectl_core::{ExecutorName, ValidJob};
use queuectl_worker::Probe;
use serde_json::Value;

use super::schema;
use crate::commands::plugin;
use crate::context::Context;
use crate::output::diagnostics;

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

    /// Forgets executors that could not be asked: they are asked again.
    pub fn forget_unasked(&mut self) {
        self.probes.retain(|_, probe| probe.is_some());
    }

    /// The executor's reason, if it would not run the job.
    pub fn check(&mut self, job: &ValidJob) -> Result<(), String> {
        match self.check_all(std::slice::from_ref(job)).pop() {
            Some((_, reason)) => Err(reason),
            None => Ok(()),
        }
    }

    /// The jobs that their executors would not run, by their place, with the reasons.
    pub fn check_all(&mut self, jobs: &[ValidJob]) -> Vec<(usize, String)> {
        let mut by_executor: BTreeMap<ExecutorName, Vec<usize>> = BTreeMap::new();
        for (index, job) in jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.executor() != ExecutorName::DEFAULT || job.payload.payload.is_some())
        {
            by_executor
                .entry(job.executor.clone().unwrap_or_default())
                .or_default()
                .push(index);
        }
        let mut refused: Vec<(usize, String)> = by_executor
            .into_iter()
            .flat_map(|(executor, places)| self.ask(&executor, &places, jobs))
            .collect();
        refused.sort_unstable();
        refused
    }

    fn ask(&mut self, executor: &ExecutorName, places: &[usize], jobs: &[ValidJob]) -> Vec<(usize, String)> {
        let context = self.context;
        let probe = self
            .probes
            .entry(executor.clone())
            .or_insert_with(|| start(executor, context));
        let Some(asked) = probe.as_mut() else {
            return Vec::new();
        };
        let payload = |place: &usize| jobs[*place].stored_payload().to_owned();
        match asked.validate(places.iter().map(payload).collect()) {
            Ok(reasons) => {
                let schema = asked.info().schema.as_ref();
                // The plugin's own words come first: it knows what is meant.
                let refused = places.iter().zip(reasons).filter_map(|(place, reason)| {
                    let own = jobs[*place].payload.payload.as_ref();
                    Some((*place, reason.or_else(|| broken(schema?, own?))?))
                });
                refused
                    .map(|(place, reason)| {
                        (
                            place,
                            format!("the executor '{executor}' refuses the job: {reason}"),
                        )
                    })
                    .collect()
            }
            Err(error) => {
                diagnostics::note(&format!("jobs for '{executor}' are stored unchecked: {error}"));
                *probe = None;
                Vec::new()
            }
        }
    }
}

/// What of a payload does not fit the schema. Nothing if it cannot be read as one does: then the plugin's word counts.
fn broken(schema: &Value, own: &JsonObject) -> Option<String> {
    schema::fault(schema, &serde_json::from_str(own.as_str()).ok()?)
}

fn start(executor: &ExecutorName, context: &Context) -> Option<Probe> {
    let found = plugin::search(context).find(executor);
    match found
        .map_err(Into::into)
        .and_then(|file| plugin::ask(&file, context))
    {
        Ok(probe) => Some(probe),
        Err(error) => {
            diagnostics::note(&format!("jobs for '{executor}' are stored unchecked: {error}"));
            None
        }
    }
}
