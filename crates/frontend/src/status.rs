//! A queue as a whole: what `status` shows. How much room it takes is left to the caller, since files are looked at for that.

use std::collections::BTreeMap;

use queuectl_core::{QueueName, State, Timestamp};
use queuectl_storage::{GroupFilter, Store, StoreError};
use queuectl_views::{GroupView, NodeState, NodeView, StateCounts, StatusView};

use crate::{health, load};

/// How far back rescues are told of, in ms.
const RESCUED_MS: i64 = 24 * 3_600_000;
/// Groups that are shown.
const GROUPS: u32 = 10;

/// Returns how a store stands, or one queue of it, with sizes of 0.
///
/// # Errors
/// [`StoreError::Database`].
pub fn load(store: &mut Store, queue: Option<&QueueName>, now: Timestamp) -> Result<StatusView, StoreError> {
    let counts = store.counts(queue)?;
    let rescued = store.rescued_since(queue, Timestamp(now.0.saturating_sub(RESCUED_MS)))?;
    let mut view = StatusView {
        db: store.location().to_string(),
        bytes: 0,
        folder_bytes: 0,
        next_due: store.next_due()?,
        total: StateCounts::default(),
        queues: BTreeMap::new(),
        paused: load::pauses(store, now)?,
        limited: load::queue_limits(store, now)?,
        unserved: Vec::new(),
        oldest_pending: BTreeMap::new(),
        groups: groups(store)?,
        overlapping: load::overlapping(store, now),
        rescued_jobs: rescued.map_or(0, |rescued| rescued.jobs),
        rescued_at: rescued.map(|rescued| rescued.last_at),
        nodes: load::nodes(store)?,
        healthy: true,
        problems: Vec::new(),
    };
    for count in counts {
        view.add(count.queue, count.state, count.jobs);
    }
    if let Some(only) = queue {
        view.paused.retain(|queue, _| queue == only.as_str());
        view.limited.retain(|queue, _| queue == only.as_str());
    }
    let queues = view.queues.iter().map(|(queue, jobs)| (queue.as_str(), jobs));
    view.oldest_pending = load::oldest_pending(store, queues)?;
    view.unserved = unserved(&view);
    view.problems = health::problems(store, &view, queue.is_none(), now)?;
    view.healthy = view.problems.is_empty();
    Ok(view)
}

/// Returns the newest groups that are not complete.
fn groups(store: &mut Store) -> Result<Vec<GroupView>, StoreError> {
    let filter = GroupFilter {
        unfinished: true,
        limit: GROUPS,
    };
    let groups = store.groups(&filter)?.into_iter();
    Ok(groups
        .map(|found| GroupView::new(&found.group, &found.progress, false))
        .collect())
}

/// Returns the queues whose pending jobs no node is going to take.
fn unserved(view: &StatusView) -> Vec<String> {
    let serves = |node: &NodeView, queue: &String| {
        node.state == NodeState::Running && (node.queues.is_empty() || node.queues.contains(queue))
    };
    let pending = view.queues.iter().filter(|(_, jobs)| jobs.of(State::Pending) > 0);
    let left = pending.filter(|(queue, _)| !view.nodes.iter().any(|node| serves(node, queue)));
    left.map(|(queue, _)| queue.clone()).collect()
}
