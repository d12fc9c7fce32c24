//! By what containers are known: a name and labels that say whose they are.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use queuectl_plugin_api::Run;

/// The label with the mark of the node that started a container.
pub const MARK: &str = "queuectl.mark";
/// The label with the store's part of the mark.
pub const STORE: &str = "queuectl.store";
/// The label with the job's number.
pub const JOB: &str = "queuectl.job";
/// The label with the attempt's fence.
pub const FENCE: &str = "queuectl.fence";

/// Whose container it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub mark: String,
    pub job: i64,
    pub fence: i64,
}

impl Identity {
    pub fn of(run: &Run) -> Identity {
        Identity {
            mark: run.mark().to_owned(),
            job: run.job_number(),
            fence: run.fence(),
        }
    }

    /// The store that the job is in.
    pub fn store(&self) -> &str {
        match self.mark.split_once('.') {
            Some((store, _)) => store,
            None => "unknown",
        }
    }

    /// The container's name, which is the same whenever it is asked for.
    pub fn name(&self) -> String {
        format!("queuectl-{}-{}-{}", self.store(), self.job, self.fence)
    }

    pub fn labels(&self) -> HashMap<String, String> {
        let label = |name: &str, value: String| (name.to_owned(), value);
        HashMap::from([
            label(MARK, self.mark.clone()),
            label(STORE, self.store().to_owned()),
            label(JOB, self.job.to_string()),
            label(FENCE, self.fence.to_string()),
        ])
    }
}

/// The name of a container in a handle; none if that is no handle of this executor's.
pub fn name_in(handle: &str) -> Option<&str> {
    let name = handle.split(' ').next()?;
    let is_name = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    name.strip_prefix("queuectl-")
        .filter(|rest| is_name(rest))
        .map(|_| name)
}

/// The containers that were made or taken over here and are not to be removed yet, by run.
#[derive(Debug, Default)]
pub struct Containers(Mutex<HashMap<u64, String>>);

impl Containers {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, String>> {
        // Nothing is left half done under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run has, or is about to have, a container of that name.
    pub fn add(&self, run: u64, name: &str) {
        self.lock().insert(run, name.to_owned());
    }

    /// The container of a run, if it has one.
    pub fn find(&self, run: u64) -> Option<String> {
        self.lock().get(&run).cloned()
    }

    /// The same, for the last time.
    pub fn take(&self, run: u64) -> Option<String> {
        self.lock().remove(&run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_stores_jobs_and_attempts_apart() {
        let identity = |mark: &str, job, fence| Identity {
            mark: mark.to_owned(),
            job,
            fence,
        };
        assert_eq!(identity("ab.cd", 7, 2).name(), "queuectl-ab-7-2");
        assert_eq!(identity("", 7, 2).name(), "queuectl-unknown-7-2");
        assert_eq!(identity("ab.cd", 7, 2).labels()[MARK], "ab.cd");
        assert_eq!(name_in("queuectl-ab-7-2 fed"), Some("queuectl-ab-7-2"));
        for other in ["", "web", "queuectl-/../x", "{}"] {
            assert_eq!(name_in(other), None);
        }
    }
}
