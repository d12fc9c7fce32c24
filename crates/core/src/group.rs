//! Groups: jobs that are looked at together, and what runs when all of them have ended.
//!
//! Here is what a group is and which job its callback is. Members are rows of the store, and so is the decision when the last
//! one has ended.

use crate::id::{GroupName, JobId};
use crate::job::JobSpec;
use crate::time::Timestamp;

/// What a user says of a group. What is not said stays as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GroupChange {
    /// The job that is stored when all members are completed.
    pub then: Option<JobSpec>,
    /// The job that is stored when all members have ended and one of them is dead or cancelled.
    pub then_failed: Option<JobSpec>,
    /// Dead members after which those that have not begun are cancelled.
    pub max_fails: Option<u32>,
}

/// A group as the store knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Its name.
    pub name: GroupName,
    /// The job that is stored when all members are completed.
    pub then: Option<JobSpec>,
    /// The job that is stored when all members have ended and one of them is dead or cancelled.
    pub then_failed: Option<JobSpec>,
    /// Dead members after which those that have not begun are cancelled.
    pub max_fails: Option<u32>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when it takes no further members.
    pub closed_at: Option<Timestamp>,
    /// When that many members were dead that the others were cancelled.
    pub stopped_at: Option<Timestamp>,
    /// When it was closed and the last member had ended, for the first time.
    pub completed_at: Option<Timestamp>,
    /// The job that was stored then, if one was.
    pub callback: Option<JobId>,
    /// Why that job could not be stored.
    pub problem: Option<String>,
}

/// Members of a group by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Members that have not ended.
    pub open: u64,
    /// Members that are completed.
    pub completed: u64,
    /// Members that are dead.
    pub dead: u64,
    /// Members that are cancelled.
    pub cancelled: u64,
}

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// It takes further members.
    Open,
    /// It takes no more, and some have not ended.
    Closed,
    /// It was closed, and every member has ended.
    Complete,
}

impl GroupState {
    /// Returns the state's name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            GroupState::Open => "open",
            GroupState::Closed => "closed",
            GroupState::Complete => "complete",
        }
    }
}

/// What a group waits for, as one of its members is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// In words, on one line.
    pub text: String,
    /// The command that closes the group, if it is open.
    pub command: Option<String>,
}

impl Group {
    /// Returns how far it is. It stays complete when a member is retried.
    pub fn state(&self) -> GroupState {
        match (self.closed_at, self.completed_at) {
            (_, Some(_)) => GroupState::Complete,
            (Some(_), None) => GroupState::Closed,
            (None, None) => GroupState::Open,
        }
    }

    /// Says what its callback waits for, or what became of it, and which command would close it.
    pub fn outlook(&self, progress: &Progress) -> Outlook {
        let name = &self.name;
        let (open, total) = (progress.open, progress.total());
        let has_callback = self.then.is_some() || self.then_failed.is_some();
        let left = match (open, total) {
            (0, 1) => "its job has ended".to_owned(),
            (0, _) => format!("all of its {total} jobs have ended"),
            (1, 1) => "its job has not ended".to_owned(),
            (1, _) => format!("1 of its {total} jobs has not ended"),
            _ => format!("{open} of its {total} jobs have not ended"),
        };
        let them = if open == 1 { "it" } else { "them" };
        let mut text = match self.state() {
            GroupState::Complete => match open {
                0 => format!("group {name} is complete"),
                _ => format!("group {name} was complete before a retry; {left}"),
            },
            state => format!("group {name} is {}; {left}", state.name()),
        };
        match (self.state(), self.callback, &self.problem) {
            (GroupState::Complete, Some(callback), _) => {
                text.push_str(&format!("; its callback is job {callback}"));
            }
            (GroupState::Complete, None, Some(problem)) => {
                text.push_str(&format!("; its callback could not be stored: {problem}"));
            }
            (GroupState::Complete, None, None) => {}
            (GroupState::Open, ..) if has_callback && open == 0 => {
                text.push_str("; its callback waits for the group to be closed");
            }
            (GroupState::Open, ..) if has_callback => {
                text.push_str(&format!(
                    "; its callback waits for {them} and for the group to be closed"
                ));
            }
            (GroupState::Closed, ..) if has_callback => {
                text.push_str(&format!("; its callback waits for {them}"));
            }
            (GroupState::Open | GroupState::Closed, ..) => text.push_str("; it has no callback"),
        }
        let is_open = self.state() == GroupState::Open;
        Outlook {
            text,
            command: is_open.then(|| format!("queuectl group:close {name}")),
        }
    }

    /// Returns the callback that `progress` asks for once all members have ended.
    pub fn callback_for(&self, progress: &Progress) -> Option<&JobSpec> {
        match progress.is_success() {
            true => self.then.as_ref(),
            false => self.then_failed.as_ref(),
        }
    }
}

impl Progress {
    /// Returns the number of members.
    pub fn total(&self) -> u64 {
        self.open + self.ended()
    }

    /// Returns how many members have ended.
    pub fn ended(&self) -> u64 {
        self.completed + self.dead + self.cancelled
    }

    /// Returns whether no member has ended otherwise than completed.
    pub fn is_success(&self) -> bool {
        self.dead + self.cancelled == 0
    }
}

/// Says what of a job cannot be part of a callback.
pub fn callback_fault(job: &JobSpec) -> Option<&'static str> {
    if job.id.is_some() {
        Some("a group's callback cannot have an id of its own; leave \"id\" out")
    } else if job.unique.is_some() {
        Some("a group's callback is stored exactly once; leave \"unique\" out")
    } else if !job.after.is_empty() {
        Some("a group's callback starts when the members have ended; leave \"after\" out")
    } else if !job.limit.is_empty() {
        Some("a group's callback cannot name limits; leave \"limit\" out")
    } else if job.group.is_some() {
        Some("a group's callback cannot be a member of a group; leave \"group\" out")
    } else {
        None
    }
}

/// Returns the callback of a group with what its environment tells of the members.
#[must_use]
pub fn callback_job(name: &GroupName, callback: &JobSpec, progress: &Progress) -> JobSpec {
    let mut job = callback.clone();
    let facts = [
        ("QUEUECTL_GROUP", name.to_string()),
        ("QUEUECTL_GROUP_TOTAL", progress.total().to_string()),
        ("QUEUECTL_GROUP_COMPLETED", progress.completed.to_string()),
        ("QUEUECTL_GROUP_DEAD", progress.dead.to_string()),
        ("QUEUECTL_GROUP_CANCELLED", progress.cancelled.to_string()),
    ];
    for (fact, value) in facts {
        job.payload.env.insert(fact.to_owned(), value);
    }
    job
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        Group {
            name: "nightly".parse().unwrap(),
            then: Some(JobSpec::line("good")),
            then_failed: Some(JobSpec::line("bad")),
            max_fails: None,
            created_at: Timestamp(1),
            closed_at: None,
            stopped_at: None,
            completed_at: None,
            callback: None,
            problem: None,
        }
    }

    #[test]
    fn one_member_that_is_not_completed_decides_for_the_other_callback() {
        let command = |progress: Progress| group().callback_for(&progress).unwrap().clone();
        let good = Progress {
            completed: 3,
            ..Progress::default()
        };
        assert_eq!(command(good), JobSpec::line("good"));
        assert_eq!(
            command(Progress::default()),
            JobSpec::line("good"),
            "no member at all"
        );
        for bad in [Progress { dead: 1, ..good }, Progress { cancelled: 1, ..good }] {
            assert_eq!(command(bad), JobSpec::line("bad"));
        }
    }

    #[test]
    fn a_member_is_told_what_the_callback_waits_for() {
        let progress = |open: u64, completed: u64| Progress {
            open,
            completed,
            ..Progress::default()
        };
        let said = |group: &Group, progress: Progress| group.outlook(&progress).text;
        let mut group = group();
        let close = Some("queuectl group:close nightly".to_owned());
        assert_eq!(group.outlook(&progress(3, 7)).command, close);
        assert_eq!(
            said(&group, progress(3, 7)),
            "group nightly is open; 3 of its 10 jobs have not ended; its callback waits for them and for the group to be \
             closed"
        );
        assert_eq!(
            said(&group, progress(0, 1)),
            "group nightly is open; its job has ended; its callback waits for the group to be closed"
        );
        group.closed_at = Some(Timestamp(2));
        assert_eq!(
            said(&group, progress(1, 1)),
            "group nightly is closed; 1 of its 2 jobs has not ended; its callback waits for it"
        );
        assert_eq!(group.outlook(&progress(1, 1)).command, None);
        group.completed_at = Some(Timestamp(3));
        assert_eq!(said(&group, progress(0, 2)), "group nightly is complete");
        group.callback = Some(JobId(9));
        assert_eq!(
            said(&group, progress(1, 1)),
            "group nightly was complete before a retry; 1 of its 2 jobs has not ended; its callback is job 9"
        );
        group.callback = None;
        group.problem = Some("the queue is gone".to_owned());
        assert_eq!(
            said(&group, progress(0, 2)),
            "group nightly is complete; its callback could not be stored: the queue is gone"
        );
        let bare = Group {
            then: None,
            then_failed: None,
            completed_at: None,
            ..group
        };
        assert_eq!(
            said(&bare, progress(2, 0)),
            "group nightly is closed; 2 of its 2 jobs have not ended; it has no callback"
        );
    }

    #[test]
    fn a_callback_is_told_how_the_members_ended() {
        let progress = Progress {
            open: 0,
            completed: 5,
            dead: 2,
            cancelled: 1,
        };
        let name: GroupName = "nightly".parse().unwrap();
        let job = callback_job(&name, &JobSpec::line("report"), &progress);
        let told = |fact: &str| job.payload.env[&format!("QUEUECTL_GROUP{fact}")].clone();
        assert_eq!(
            ["", "_TOTAL", "_COMPLETED", "_DEAD", "_CANCELLED"].map(told),
            ["nightly", "8", "5", "2", "1"]
        );
    }

    #[test]
    fn what_would_keep_a_callback_from_being_stored_is_refused() {
        let fault = |json: &str| callback_fault(&JobSpec::from_written(json).unwrap());
        assert_eq!(
            fault(r#"{"command":"x","queue":"ops","delay":"1m","max_retries":2}"#),
            None
        );
        for json in [
            r#"{"command":"x","id":"a"}"#,
            r#"{"command":"x","unique":"a"}"#,
            r#"{"command":"x","after":"a"}"#,
            r#"{"command":"x","limit":"a"}"#,
            r#"{"command":"x","group":"a"}"#,
        ] {
            assert!(fault(json).is_some(), "{json}");
        }
    }

    #[test]
    fn a_group_is_open_then_closed_then_complete() {
        let mut group = group();
        assert_eq!(group.state(), GroupState::Open);
        group.closed_at = Some(Timestamp(2));
        assert_eq!(group.state(), GroupState::Closed);
        group.completed_at = Some(Timestamp(3));
        assert_eq!(group.state(), GroupState::Complete);
    }
}
