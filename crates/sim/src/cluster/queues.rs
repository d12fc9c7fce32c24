//! Operators who pause queues and resume them.

use std::time::Duration;

use queuectl_core::QueueName;
use queuectl_storage::Pause;
use queuectl_testkit::history::{Call, Reply, Verdict};

use super::Cluster;

impl Cluster {
    /// Pauses a queue that is not paused, each time as another operator.
    pub(super) fn pause_queue(&mut self, queue: u8, ms: Option<u32>) -> bool {
        self.be_on(0);
        let now = self.client_now();
        let queue: QueueName = format!("q{queue}").parse().expect("a name");
        let paused = self.client.pauses(now).unwrap_or_default();
        if paused.contains_key(queue.as_str()) {
            return false;
        }
        self.marks += 1;
        let pause = Pause {
            at: now,
            until: ms.map(|ms| now.after(Duration::from_millis(ms.into()))),
            by: format!("operator-{}", self.marks),
            reason: None,
        };
        let call = Call::Pause(queue.to_string(), pause.by.clone());
        let call = self.history.borrow_mut().invoked(self.at(), call);
        let done = self.client.pause_queues(std::slice::from_ref(&queue), &pause);
        let reply = done.map_or_else(|error| self.failed(&error), |()| Reply::Done);
        if matches!(reply, Reply::Done) {
            let stored = self.client.pauses(now).unwrap_or_default();
            if stored.get(queue.as_str()) != Some(&pause) {
                let detail = format!("queue {queue} was paused by {}, and that is not there", pause.by);
                self.violated(Verdict::Unrecorded, detail);
            }
        }
        self.history.borrow_mut().returned(self.at(), call, reply);
        self.wake_all();
        true
    }

    pub(super) fn resume_queue(&mut self, queue: u8) -> bool {
        self.be_on(0);
        let now = self.client_now();
        let queue: QueueName = format!("q{queue}").parse().expect("a name");
        let done = self.client.resume_queues(std::slice::from_ref(&queue), now);
        let reply = done.map_or_else(|error| self.failed(&error), |_| Reply::Done);
        self.note(format!("queue {queue} is to be resumed: {reply:?}"));
        self.wake_all();
        true
    }

    pub(super) fn resume_all_queues(&mut self) {
        if self.mechanisms.queues {
            self.resume_queue(0);
            self.resume_queue(1);
        }
    }
}
