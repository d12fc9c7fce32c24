//! Operators who add hooks of all jobs, or of a queue's, and remove them. The ledger says from when on each counted, so that the
//! checker knows which ends of attempts fired it.

use queuectl_core::{Command, Hook, HookName, HookOns};
use queuectl_storage::StoreError;
use queuectl_testkit::history::Reply;

use super::Cluster;
use crate::plan::HOOKS;

fn name(which: u8) -> HookName {
    format!("hook-{which}").parse().expect("a name")
}

impl Cluster {
    pub(super) fn add_hook(&mut self, which: u8, queue: Option<u8>, on: u8) -> bool {
        self.be_on(0);
        let hook = Hook {
            name: name(which),
            on: HookOns::from_code(on.into()),
            queue: queue.map(|queue| format!("q{queue}").parse().expect("a name")),
            schedule: None,
            to_queue: None,
            command: Command::Line("true".to_owned()),
            cwd: None,
            created_at: self.client_now(),
            alert: None,
        };
        let reply = match self.client.add_hook(&hook) {
            Ok(()) => Reply::Done,
            Err(StoreError::HookTaken(_)) => Reply::Refused,
            Err(error) => self.failed(&error),
        };
        self.note(format!("hook {} is to be added: {reply:?}", hook.name));
        matches!(reply, Reply::Done)
    }

    pub(super) fn remove_hook(&mut self, which: u8) -> bool {
        self.be_on(0);
        let reply = match self.client.remove_hooks(&[name(which)]) {
            Ok(()) => Reply::Done,
            Err(StoreError::NoSuchHook(_)) => Reply::Refused,
            Err(error) => self.failed(&error),
        };
        self.note(format!("hook {} is to be removed: {reply:?}", name(which)));
        matches!(reply, Reply::Done)
    }

    /// What is left to run then fires no more of them.
    pub(super) fn remove_all_hooks(&mut self) {
        if self.mechanisms.hooks {
            for which in 0..HOOKS {
                self.remove_hook(which);
            }
        }
    }
}
