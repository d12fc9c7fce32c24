//! Views that take more than one query.

use std::collections::{BTreeMap, BTreeSet};

use queuectl_core::settings::of_queue;
use queuectl_core::{Attempt, Job, JobId, Origin, QueueName, QueueSetting, State, Timestamp};
use queuectl_storage::{JobFilter, LedgerEvent, ListFilter, Node, Pause, StopRequest, Store, StoreError};
use queuectl_views::{
    EventView, GraphEdgeView, GraphJobView, GraphView, NodeState, NodeView, PauseView, QueueLimitView,
    QueueSettingView, QueueSettingsView, QueueView, SourcesView, StateCounts,
};

/// Most queues whose oldest job is looked up: each is a query.
const OLDEST: usize = 100;

/// Returns the jobs that some jobs wait for, and those that wait for them, directly or through others.
pub fn graph(store: &mut Store, around: &[JobId]) -> Result<GraphView, StoreError> {
    let graph = store.graph(around)?;
    let jobs = graph.jobs.into_iter().map(|job| GraphJobView {
        id: job.name.unwrap_or_else(|| job.id.to_string()),
        number: job.id,
        state: job.state,
        removed: job.is_removed,
    });
    let edges = graph.edges.into_iter().map(|edge| GraphEdgeView {
        parent: edge.parent,
        child: edge.child,
        condition: edge.condition.name(),
        met: edge.is_met,
    });
    Ok(GraphView {
        jobs: jobs.collect(),
        edges: edges.collect(),
        more: graph.more,
    })
}

/// How far back skipped ticks of schedules are looked for, in ms.
pub const OVERLAP_MS: i64 = 24 * 60 * 60 * 1000;

/// Schedules that are named of those that skip ticks.
const OVERLAPPING: u32 = 100;

/// Returns the schedules that skipped a tick lately because a run had not ended. A role that may not read schedules goes
/// without.
pub fn overlapping(store: &mut Store, now: Timestamp) -> Vec<String> {
    let since = Timestamp(now.0.saturating_sub(OVERLAP_MS));
    let names = store
        .overlapping_schedules(since, OVERLAPPING)
        .unwrap_or_default();
    names.iter().map(ToString::to_string).collect()
}

/// Returns all nodes.
pub fn nodes(store: &mut Store) -> Result<Vec<NodeView>, StoreError> {
    let nodes = store.nodes_with_lives()?;
    nodes
        .into_iter()
        .map(|(node, lives)| node_view(store, node, lives))
        .collect()
}

fn node_view(store: &mut Store, node: Node, lives: bool) -> Result<NodeView, StoreError> {
    let state = match (lives, node.stop) {
        (false, _) => NodeState::Dead,
        (true, StopRequest::None) => NodeState::Running,
        (true, _) => NodeState::Stopping,
    };
    Ok(NodeView {
        id: node.id,
        state,
        host: node.host,
        pid: node.pid,
        version: node.version,
        workers: node.workers,
        concurrency: node.concurrency,
        queues: node.queues,
        jobs: store.jobs_of_node(node.id)?.len() as u64,
        started_at: node.started_at,
        heartbeat_at: node.heartbeat_at,
    })
}

/// Returns all queues that have jobs or settings, or are paused.
pub fn queues(store: &mut Store, now: Timestamp) -> Result<Vec<QueueView>, StoreError> {
    let mut jobs: BTreeMap<String, StateCounts> = BTreeMap::new();
    for count in store.counts(None)? {
        jobs.entry(count.queue).or_default().add(count.state, count.jobs);
    }
    let mut pauses = pauses(store, now)?;
    let limits = queue_limits(store, now)?;
    let stored = store.stored_settings()?;
    let with_settings = stored.iter().filter_map(|(name, _)| Some(of_queue(name)?.0));
    let names = jobs
        .keys()
        .chain(pauses.keys())
        .chain(limits.keys())
        .map(String::as_str);
    let names: BTreeSet<String> = names.chain(with_settings).map(str::to_owned).collect();
    let mut oldest = oldest_pending(store, jobs.iter().map(|(queue, counts)| (queue.as_str(), counts)))?;
    let nodes = store.nodes_with_lives()?;
    let queues = names.into_iter().map(|queue| QueueView {
        settings: settings_of(&QueueName::as_stored(queue.clone()), &stored),
        paused: pauses.remove(&queue),
        limit: limits.get(&queue).cloned(),
        jobs: jobs.remove(&queue).unwrap_or_default(),
        oldest_pending: oldest.remove(&queue),
        nodes: serving(&nodes, &queue).map(|node| node.id).collect(),
        queue,
    });
    Ok(queues.collect())
}

/// Returns one queue, whether it has jobs or not.
pub fn queue(store: &mut Store, queue: &QueueName, now: Timestamp) -> Result<QueueView, StoreError> {
    let mut jobs = StateCounts::default();
    for count in store.counts(Some(queue))? {
        jobs.add(count.state, count.jobs);
    }
    let nodes = store.nodes_with_lives()?;
    Ok(QueueView {
        queue: queue.to_string(),
        paused: pauses(store, now)?.remove(queue.as_str()),
        limit: queue_limits(store, now)?.remove(queue.as_str()),
        oldest_pending: oldest_pending(store, [(queue.as_str(), &jobs)])?.remove(queue.as_str()),
        nodes: serving(&nodes, queue.as_str()).map(|node| node.id).collect(),
        settings: settings_of(queue, &store.stored_settings()?),
        jobs,
    })
}

/// Returns the settings in force for jobs of a queue, and its limit.
pub fn queue_settings(
    store: &mut Store,
    queue: &QueueName,
    now: Timestamp,
) -> Result<QueueSettingsView, StoreError> {
    Ok(QueueSettingsView {
        queue: queue.to_string(),
        limit: queue_limits(store, now)?.remove(queue.as_str()),
        settings: settings_of(queue, &store.stored_settings()?),
    })
}

fn settings_of(queue: &QueueName, stored: &[(String, String)]) -> BTreeMap<&'static str, QueueSettingView> {
    let settings = QueueSetting::all(queue).map(|setting| {
        let (value, from) = setting.in_force(stored);
        (setting.key.name, QueueSettingView { value, from })
    });
    settings.collect()
}

/// Returns the limits of queues, and how they stand.
pub fn queue_limits(
    store: &mut Store,
    now: Timestamp,
) -> Result<BTreeMap<String, QueueLimitView>, StoreError> {
    let limits = store.queue_limits(now)?.into_iter();
    let views = limits.map(|(queue, found)| {
        let rate = found.limit.rate;
        let view = QueueLimitView {
            running: found.limit.running,
            rate: rate.map(|rate| rate.to_string()),
            burst: rate.map(|rate| rate.burst),
            jobs_running: found.running,
            full: found.is_full,
            next_at: found.next_at,
        };
        (queue, view)
    });
    Ok(views.collect())
}

/// Returns where the values come from that a job may have of its own.
pub fn sources(job: &Job, stored: &[(String, String)]) -> SourcesView {
    let of_queue = settings_of(&job.queue, stored);
    let source = |name: &str, is_own: bool| match is_own {
        true => Origin::Job,
        false => of_queue.get(name).map_or(Origin::Default, |setting| setting.from),
    };
    SourcesView {
        max_retries: source("max_retries", job.max_retries.is_some()),
        backoff_base: source("backoff_base", job.backoff_base.is_some()),
        timeout_ms: source("job_timeout", job.timeout_ms.is_some()),
    }
}

/// Returns the pauses that are in force.
pub fn pauses(store: &mut Store, now: Timestamp) -> Result<BTreeMap<String, PauseView>, StoreError> {
    let pauses = store.pauses(now)?.into_iter();
    Ok(pauses.map(|(queue, pause)| (queue, pause_view(pause))).collect())
}

/// Returns the view of a pause.
pub fn pause_view(pause: Pause) -> PauseView {
    PauseView {
        since: pause.at,
        until: pause.until,
        by: pause.by,
        reason: pause.reason,
    }
}

/// Returns the living nodes that take jobs of that queue.
pub fn serving<'a>(nodes: &'a [(Node, bool)], queue: &'a str) -> impl Iterator<Item = &'a Node> {
    let living = nodes.iter().filter(|(_, lives)| *lives);
    living
        .map(|(node, _)| node)
        .filter(move |node| node.serves(queue))
}

/// Returns since when the oldest pending job of each queue is pending, for a limited number of queues.
pub fn oldest_pending<'a>(
    store: &mut Store,
    queues: impl IntoIterator<Item = (&'a str, &'a StateCounts)>,
) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let mut oldest = BTreeMap::new();
    let waiting = queues.into_iter().filter(|(_, jobs)| jobs.of(State::Pending) > 0);
    for (queue, _) in waiting.take(OLDEST) {
        let filter = ListFilter {
            jobs: JobFilter {
                states: vec![State::Pending],
                queues: vec![QueueName::as_stored(queue.to_owned())],
                ..JobFilter::default()
            },
            oldest_first: true,
            limit: 1,
            ..ListFilter::default()
        };
        let first = store.list(&filter)?.into_iter().next();
        oldest.extend(first.map(|job| (queue.to_owned(), job.updated_at)));
    }
    Ok(oldest)
}

/// Returns why the job's newest attempt failed. Queries the store only if there can be an answer.
pub fn last_error(store: &mut Store, job: &Job) -> Result<Option<String>, StoreError> {
    if job.fence == 0 || job.state == State::Completed {
        return Ok(None);
    }
    let attempt = store.last_attempt(job.id)?;
    Ok(attempt
        .map(|attempt| attempt.outcome.message)
        .filter(|message| !message.is_empty()))
}

/// Returns the last line that the newest of a job's ended attempts printed.
pub fn last_line(store: &mut Store, job: &Job, attempts: &[Attempt]) -> Result<Option<String>, StoreError> {
    let Some(newest) = attempts.last() else {
        return Ok(None);
    };
    let newest = store.attempt(job.id, newest.fence)?;
    Ok(newest.as_ref().and_then(queuectl_dlq::last_line))
}

/// Returns the view of an event.
pub fn event(event: LedgerEvent) -> EventView {
    let number = event.job.map(|job| job.to_string());
    EventView {
        event: event.id,
        at: event.at,
        kind: event.kind,
        id: event.name.or(number),
        number: event.job,
        node: event.node,
        fence: event.fence,
        run_at: event.due_at,
        outcome: event.outcome,
        error: event.message,
        detail: event.detail.and_then(|detail| serde_json::from_str(&detail).ok()),
    }
}
