//! What is said about fields of an earlier life: a job that was printed is stored as a new one.

use std::collections::BTreeSet;

use queuectl_core::JobSpec;

use crate::output::diagnostics;

/// The fields that were ignored, over all jobs.
#[derive(Default)]
pub struct Ignored {
    fields: BTreeSet<&'static str>,
    jobs: u64,
}

impl Ignored {
    pub fn add(&mut self, spec: &JobSpec) {
        self.jobs += u64::from(!spec.ignored.is_empty());
        self.fields.extend(&spec.ignored);
    }

    /// Says so, once.
    pub fn say(&self) {
        if self.jobs == 0 {
            return;
        }
        let fields: Vec<&str> = self.fields.iter().copied().collect();
        let jobs = if self.jobs == 1 {
            "1 job is".to_owned()
        } else {
            format!("{} jobs are", self.jobs)
        };
        diagnostics::note(&format!(
            "note: {jobs} taken as new: ignored {}",
            fields.join(", ")
        ));
    }
}
