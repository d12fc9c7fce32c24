//! What other processes ask of a node through the store: stop, cancel a job, use other settings. Also the node's
//! heartbeat.

use std::time::Duration;

use queuectl_core::{Clock, JobId, NodeId, Settings, Timestamp};
use queuectl_storage::{SignalRequest, StopRequest, Store, StoreClock, StoreError};

use super::context::Context;
use super::events::NodeEvent;
use crate::env::Instant;

/// Requests are read at most this often, however many wake-ups come.
const LEAST_PAUSE: Duration = Duration::from_millis(20);

/// What was asked since the last look.
#[derive(Debug)]
pub struct Requests {
    pub stop: StopRequest,
    pub cancel: Vec<(JobId, i64)>,
    /// Signals for running jobs, which are taken before they are sent.
    pub signals: Vec<SignalRequest>,
    /// The settings, if they changed.
    pub settings: Option<Settings>,
    /// The store's clock.
    pub clock: StoreClock,
    /// When the next tick of a schedule comes.
    pub next_tick: Option<Timestamp>,
    /// Whether the node is still in the store.
    pub fenced: bool,
}

/// When the node last looked and last gave a sign of life.
pub struct Control {
    node: NodeId,
    looked: Option<Instant>,
    beat: Instant,
    asked: bool,
    /// What the store's clock showed at the last look.
    showed: Option<Timestamp>,
}

impl Control {
    pub fn new(node: NodeId) -> Control {
        Control {
            node,
            looked: None,
            beat: Instant::now(),
            asked: true,
            showed: None,
        }
    }

    /// Somebody changed the store: look soon.
    pub fn ask(&mut self) {
        self.asked = true;
    }

    /// When to look again: soon if something was asked, else after the poll interval.
    pub fn next(&self, poll: Duration) -> Instant {
        let pause = if self.asked { LEAST_PAUSE } else { poll };
        // Before the first look, a moment that has passed.
        self.looked.map_or(self.beat, |looked| looked + pause)
    }

    /// Looks if it is time. The heartbeat is renewed three times per lease.
    pub fn look(
        &mut self,
        store: &mut Store,
        context: &Context,
        now: Timestamp,
    ) -> Result<Option<Requests>, StoreError> {
        let settings = &context.settings;
        if Instant::now() < self.next(settings.poll_interval) {
            return Ok(None);
        }
        let mut fenced = false;
        if self.beat.elapsed() >= settings.lease / 3 {
            let alive = store.heartbeat(self.node, now);
            context.events.emit(&NodeEvent::Heartbeat {
                node: self.node,
                result: alive.as_ref().copied(),
            });
            fenced = !alive?;
            self.beat = Instant::now();
        }
        let asked = store.control_requests(self.node)?;
        let shows = asked.clock.now();
        // Whether it was set back before the first look is not known.
        if self.showed.is_none_or(|showed| shows < showed) {
            let brought_forward = store.heed_clock(shows)?;
            if brought_forward > 0 {
                context.events.emit(&NodeEvent::ClockSetBack {
                    jobs: brought_forward,
                });
            }
        }
        self.showed = Some(shows);
        let requests = Requests {
            stop: asked.stop,
            cancel: asked.cancel,
            signals: asked.signals,
            settings: (asked.settings != *settings).then_some(asked.settings),
            clock: asked.clock,
            next_tick: asked.next_tick,
            fenced,
        };
        self.looked = Some(Instant::now());
        self.asked = false;
        Ok(Some(requests))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::context;
    use queuectl_core::settings::Key;
    use queuectl_core::{Event, JobRef, OutcomeKind, State};
    use queuectl_storage::{Cycle, Queues};

    #[test]
    fn the_first_look_is_at_once_and_requests_are_found() {
        let (mut temp, mut context) = context();
        let now = Timestamp(1000);
        let new = queuectl_testkit::new_node("c");
        let (node, _guard, _listener) = temp.store.enter_node(&new, now).unwrap();
        let key = Key::find("max_retries").unwrap();
        temp.store.set_setting(key, "7").unwrap().unwrap();
        temp.store.request_stop(None, StopRequest::Gracefully).unwrap();

        let mut control = Control::new(node);
        assert!(control.next(Duration::from_secs(3600)) <= Instant::now());
        let requests = control.look(&mut temp.store, &context, now).unwrap().unwrap();
        assert_eq!(requests.stop, StopRequest::Gracefully);
        assert_eq!(requests.settings.unwrap().max_retries, 7);
        assert!(!requests.fenced);
        // The last look was just now and no request has come: the next look waits for the poll interval.
        context.settings.poll_interval = Duration::from_secs(3600);
        assert!(control.look(&mut temp.store, &context, now).unwrap().is_none());
        assert!(control.next(context.settings.poll_interval) > Instant::now());
    }

    #[test]
    fn a_node_that_finds_the_clock_set_back_has_retries_wait_no_longer_than_before() {
        let (mut temp, context) = context();
        let store = &mut temp.store;
        let now = queuectl_core::SystemClock.now();
        let next_year = now.after(Duration::from_secs(365 * 24 * 3600));
        let new = queuectl_testkit::new_node("c");
        let (node, _guard, _listener) = store.enter_node(&new, now).unwrap();
        let [failing, bystander] = store
            .enqueue(&["exit 1", "true"].map(queuectl_testkit::job), now)
            .unwrap()[..]
        else {
            panic!("two jobs are stored");
        };
        let cycle = |records, claim| Cycle {
            node,
            records,
            claim,
            queues: &Queues::All,
            now: next_year,
        };
        let claimed = store.cycle(&cycle(&[], 1)).unwrap().claimed.pop().unwrap();
        let retry_at = Some(next_year.after(Duration::from_secs(2)));
        let event = Event::Fail { retry_at };
        let failed = queuectl_testkit::record(&claimed, node, event, OutcomeKind::Failed, next_year);
        store.cycle(&cycle(&[failed], 0)).unwrap();

        let look = |control: &mut Control, store: &mut Store| {
            control.look(store, &context, now).unwrap().unwrap();
        };
        let mut control = Control::new(node);
        control.showed = Some(next_year);
        look(&mut control, store);
        let due = store.job(&JobRef::Number(failing)).unwrap().due_at.unwrap();
        assert!(due.since(now) < Duration::from_secs(3600), "{due:?}");
        let bystander = store.job(&JobRef::Number(bystander)).unwrap();
        assert_eq!((bystander.state, bystander.due_at), (State::Pending, None));
    }
}
