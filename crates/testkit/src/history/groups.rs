//! Groups: each has one callback, stored after its last member ended, and only then. The ledger says how the members stood
//! at that moment.

use std::collections::HashMap;

use queuectl_core::{GroupName, JobId};
use queuectl_storage::LedgerEvent;

use super::{History, StoredJob, Verdict, Violation};

/// A group with both callbacks, as it was found in the end.
#[derive(Debug, Clone)]
pub struct FoundGroup {
    /// Its name.
    pub name: GroupName,
    /// Whether it takes no further members.
    pub closed: bool,
    /// Whether it is complete.
    pub complete: bool,
    /// The job that it says is its callback.
    pub callback: Option<JobId>,
    /// Its members, with those that were removed.
    pub members: Vec<JobId>,
}

/// Members by how they stand: all, completed, dead, cancelled.
type Counts = [u64; 4];

/// Checks the groups against the callbacks that are there, none of which was removed, and against the events of a ledger that
/// has been kept from the beginning. With `drained`, every member has had the time to end.
pub fn check_groups(
    history: &History,
    found: &[StoredJob],
    groups: &[FoundGroup],
    events: &[LedgerEvent],
    drained: bool,
) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut violation = |job: Option<JobId>, group: &FoundGroup, detail: String| {
        let name = group.name.to_string();
        violations.push(Violation {
            verdict: Verdict::Callback,
            job,
            detail,
            history: history.of_job(job, &name),
            name,
        });
    };
    let mut callbacks: HashMap<JobId, (&FoundGroup, &StoredJob)> = HashMap::new();
    for group in groups {
        let stored: Vec<&StoredJob> = found
            .iter()
            .filter(|one| one.is_callback_of(&group.name))
            .collect();
        callbacks.extend(stored.iter().map(|one| (one.job.id, (group, *one))));
        let ids: Vec<JobId> = stored.iter().map(|one| one.job.id).collect();
        let is_due = group.complete || drained && group.closed;
        match (ids.as_slice(), group.callback) {
            ([], None) if !is_due => {}
            ([only], Some(said)) if group.complete && said == *only => {}
            _ => {
                let detail = format!(
                    "closed: {}, complete: {}, callback: {:?}; stored are {ids:?}",
                    group.closed, group.complete, group.callback
                );
                violation(ids.last().copied(), group, detail);
            }
        }
    }
    let mut ended: HashMap<JobId, usize> = HashMap::new();
    for event in events {
        let Some(job) = event.job else { continue };
        match event.kind.as_str() {
            "succeeded" => drop(ended.insert(job, 1)),
            "dead" => drop(ended.insert(job, 2)),
            "cancelled" => drop(ended.insert(job, 3)),
            // These alone lead from an end to another state.
            "enqueued" | "retried" | "held" | "blocked" => drop(ended.remove(&job)),
            _ => {}
        }
        let Some((group, callback)) = callbacks.get(&job).filter(|_| event.kind == "enqueued") else {
            continue;
        };
        let open = group.members.iter().find(|member| !ended.contains_key(member));
        if let Some(member) = open {
            violation(
                Some(job),
                group,
                format!("it was stored before job {member} had ended"),
            );
            continue;
        }
        let mut counts: Counts = [group.members.len() as u64, 0, 0, 0];
        for member in &group.members {
            counts[ended[member]] += 1;
        }
        let told = told(callback);
        if told != counts {
            violation(
                Some(job),
                group,
                format!("it was told {told:?} of its members, which were {counts:?}"),
            );
        }
    }
    violations
}

/// What a callback was told of the members of its group.
fn told(callback: &StoredJob) -> Counts {
    ["TOTAL", "COMPLETED", "DEAD", "CANCELLED"].map(|what| {
        let told = callback.job.payload.env.get(&format!("QUEUECTL_GROUP_{what}"));
        told.and_then(|told| told.parse().ok()).unwrap_or(u64::MAX)
    })
}
