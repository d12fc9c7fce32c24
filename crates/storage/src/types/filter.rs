//! Which jobs are meant: the one question by which many jobs are listed, counted and changed.
//!
//! It says what is asked, in the words of [`queuectl_core::selector`] with names and times resolved; how the rows are found is in
//! `ops/listing`.

use queuectl_core::{ExecutorName, GroupName, JobId, LabelMatch, QueueName, ScheduleName, State, Timestamp};

/// Jobs that are named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Among {
    /// Those with these numbers and those between them.
    Numbers(JobId, JobId),
    /// The members of a group.
    Group(GroupName),
    /// Those with a label.
    Label(LabelMatch),
}

/// Which jobs are meant; by default all. What is empty does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// Only those that one of these names, if there is a list.
    pub among: Option<Vec<Among>>,
    /// Only in one of these states.
    pub states: Vec<State>,
    /// Only in one of these queues.
    pub queues: Vec<QueueName>,
    /// Only of one of these executors.
    pub executors: Vec<ExecutorName>,
    /// Only members of one of these groups.
    pub groups: Vec<GroupName>,
    /// Only made by one of these schedules.
    pub schedules: Vec<ScheduleName>,
    /// Only those that have, of each of these, one label.
    pub labels: Vec<Vec<LabelMatch>>,
    /// Only those whose last attempt ended with one of these exit statuses.
    pub exits: Vec<i32>,
    /// Only those whose last attempt has all of these in its error; letters from A to Z match in either case.
    pub errors: Vec<String>,
    /// Only those that have all of these in their id or payload; letters from A to Z match in either case.
    pub texts: Vec<String>,
    /// Only those that ended then or later, or were stored then or later and have not ended.
    pub since: Option<Timestamp>,
    /// Only those that ended then or earlier, or were stored then or earlier and have not ended.
    pub until: Option<Timestamp>,
    /// Only those with this number or a smaller one.
    pub up_to: Option<JobId>,
    /// Only those that this change can still do something to.
    pub change: Option<MassChange>,
}

impl From<State> for JobFilter {
    fn from(state: State) -> JobFilter {
        JobFilter {
            states: vec![state],
            ..JobFilter::default()
        }
    }
}

impl From<QueueName> for JobFilter {
    fn from(queue: QueueName) -> JobFilter {
        JobFilter {
            queues: vec![queue],
            ..JobFilter::default()
        }
    }
}

impl From<Option<State>> for JobFilter {
    fn from(state: Option<State>) -> JobFilter {
        state.map(JobFilter::from).unwrap_or_default()
    }
}

impl JobFilter {
    /// The same, of one queue or of all.
    #[must_use]
    pub fn in_queue(self, queue: Option<&QueueName>) -> JobFilter {
        JobFilter {
            queues: queue.cloned().into_iter().collect(),
            ..self
        }
    }

    /// Whether the jobs are in the order in which they ended, and not in that of their numbers.
    pub fn is_by_end(&self) -> bool {
        self.among.is_none() && !self.states.is_empty() && self.states.iter().all(|state| state.is_final())
    }
}

impl JobFilter {
    /// What is asked of a job, each part with the words that say why a job does not fit.
    pub(crate) fn parts(&self) -> Vec<(String, JobFilter)> {
        let mut parts = Vec::new();
        let mut add = |why: String, part: JobFilter| parts.push((why, part));
        let none = JobFilter::default;
        if !self.states.is_empty() {
            let states = self.states.clone();
            add(listed("state", &states), JobFilter { states, ..none() });
        }
        if !self.queues.is_empty() {
            let queues = self.queues.clone();
            add(listed("queue", &queues), JobFilter { queues, ..none() });
        }
        if !self.executors.is_empty() {
            let executors = self.executors.clone();
            add(listed("executor", &executors), JobFilter { executors, ..none() });
        }
        if !self.groups.is_empty() {
            let groups = self.groups.clone();
            add(listed("group", &groups), JobFilter { groups, ..none() });
        }
        if !self.schedules.is_empty() {
            let schedules = self.schedules.clone();
            add(listed("schedule", &schedules), JobFilter { schedules, ..none() });
        }
        for any in &self.labels {
            let labels = vec![any.clone()];
            add(listed("label", any), JobFilter { labels, ..none() });
        }
        if !self.exits.is_empty() {
            let exits = self.exits.clone();
            add(listed("exit", &exits), JobFilter { exits, ..none() });
        }
        for error in &self.errors {
            let errors = vec![error.clone()];
            add(
                format!("does not fit error~{error}"),
                JobFilter { errors, ..none() },
            );
        }
        for text in &self.texts {
            let texts = vec![text.clone()];
            add(format!("does not fit text~{text}"), JobFilter { texts, ..none() });
        }
        if let Some(at) = self.since {
            let since = Some(at);
            add(
                format!("ended or was enqueued before {at}"),
                JobFilter { since, ..none() },
            );
        }
        if let Some(at) = self.until {
            let until = Some(at);
            add(
                format!("ended or was enqueued after {at}"),
                JobFilter { until, ..none() },
            );
        }
        parts
    }
}

fn listed(key: &str, values: &[impl ToString]) -> String {
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    format!("does not fit {key}={}", values.join(","))
}

/// What can be done to many jobs at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MassChange {
    /// Cancel them; those that run are stopped.
    Cancel,
    /// Run them again, with fresh attempts.
    Retry,
    /// Hold them back.
    Hold,
    /// Let them go on that are held.
    Release,
    /// Have the next free node start them, whatever else they wait for but other jobs.
    Start,
    /// Remove them for good.
    Purge,
}

impl MassChange {
    /// All of them.
    pub const ALL: [MassChange; 6] = [
        MassChange::Cancel,
        MassChange::Retry,
        MassChange::Hold,
        MassChange::Release,
        MassChange::Start,
        MassChange::Purge,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            MassChange::Cancel => "cancel",
            MassChange::Retry => "retry",
            MassChange::Hold => "hold",
            MassChange::Release => "release",
            MassChange::Start => "start",
            MassChange::Purge => "purge",
        }
    }

    /// The states in which it can be done to a job.
    pub fn states(self) -> &'static [State] {
        match self {
            MassChange::Cancel => &[
                State::Pending,
                State::Scheduled,
                State::Blocked,
                State::Processing,
                State::Failed,
            ],
            MassChange::Retry => &[State::Failed, State::Dead, State::Cancelled],
            MassChange::Hold => &[State::Pending, State::Scheduled, State::Blocked, State::Failed],
            MassChange::Release => &[State::Blocked],
            MassChange::Start => &[State::Pending, State::Scheduled, State::Blocked, State::Failed],
            MassChange::Purge => &[State::Completed, State::Dead, State::Cancelled],
        }
    }
}
