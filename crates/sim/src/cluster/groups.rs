//! Groups: making them, closing them, and how they are found in the end.

use queuectl_core::group::GroupChange;
use queuectl_core::{GroupName, JobSpec};
use queuectl_storage::StoreError;
use queuectl_testkit::history::{FoundGroup, Reply};

use super::Cluster;
use crate::plan::GROUPS;

/// Most members that are read of a group.
const MEMBERS: u32 = 10_000;

/// The groups that were made, and which of them take members.
#[derive(Default)]
pub struct Groups {
    all: Vec<GroupName>,
    open: [Option<GroupName>; GROUPS as usize],
}

impl Cluster {
    /// The group that takes members, which is made if there is none. None if it could not be made.
    pub(super) fn group(&mut self, which: u8) -> Option<GroupName> {
        let place = which as usize % self.groups.open.len();
        if let Some(name) = &self.groups.open[place] {
            return Some(name.clone());
        }
        let now = self.client_now();
        let name: GroupName = format!("group-{}", self.groups.all.len())
            .parse()
            .expect("a name");
        let callback = || {
            Some(JobSpec {
                queue: format!("q{which}").parse().ok(),
                ..JobSpec::line("true")
            })
        };
        let change = GroupChange {
            then: callback(),
            then_failed: callback(),
            max_fails: (which == 0).then_some(2),
        };
        let made = self.client.create_group(&name, &change, now).map(|_| ());
        // Without an answer it may be there.
        self.groups.all.push(name.clone());
        let is_made = made.is_ok();
        self.told_of(&name, "made", made);
        self.groups.open[place] = is_made.then(|| name.clone());
        self.groups.open[place].clone()
    }

    /// Closes a group. False if there is none.
    pub(super) fn close_group(&mut self, which: u8) -> bool {
        self.be_on(0);
        let place = which as usize % self.groups.open.len();
        let Some(name) = self.groups.open[place].take() else {
            return false;
        };
        self.close(&name);
        true
    }

    fn close(&mut self, name: &GroupName) {
        let now = self.client_now();
        let done = self.client.close_group(name, &GroupChange::default(), now);
        self.told_of(name, "closed", done.map(|_| ()));
    }

    /// A group that takes no more members, because it was stopped.
    pub(super) fn leave_group(&mut self, name: &str) {
        for open in &mut self.groups.open {
            open.take_if(|open| open.as_str() == name);
        }
    }

    fn told_of(&mut self, name: &GroupName, what: &str, done: Result<(), StoreError>) {
        let reply = match done {
            Err(StoreError::NoSuchGroup(_)) => Reply::Failed,
            done => done.map_or_else(|error| self.failed(&error), |()| Reply::Done),
        };
        self.note(format!("{name} is to be {what}: {reply:?}"));
        self.wake_all();
    }

    /// Has every group end when its members have.
    pub(super) fn close_all_groups(&mut self) {
        self.be_on(0);
        for name in self.groups.all.clone() {
            self.close(&name);
        }
    }

    /// The groups as they are in the end.
    pub(super) fn found_groups(&mut self) -> Vec<FoundGroup> {
        let mut found = Vec::new();
        for name in &self.groups.all {
            let (Ok(one), Ok(members)) = (self.client.group(name), self.client.members(name, MEMBERS)) else {
                continue;
            };
            found.push(FoundGroup {
                name: name.clone(),
                closed: one.group.closed_at.is_some(),
                complete: one.group.completed_at.is_some(),
                callback: one.group.callback,
                members: members.iter().map(|member| member.id).collect(),
            });
        }
        found
    }
}
