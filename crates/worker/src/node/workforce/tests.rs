//! Jobs between their claim and their end, on a machine without processes.

use std::rc::Rc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use queuectl_core::{Advice, Outcome, Output, Timestamp};

use super::machine::Machine;
use super::*;
use crate::node::inputs::Input;
use crate::node::testing::{Done, FakeMachine, claimed, context};
use queuectl_testkit::TempStore;

struct Rig {
    workforce: Workforce,
    context: Context,
    machine: Rc<FakeMachine>,
    _inbox: Receiver<Input>,
    _store: TempStore,
}

/// Returns a workforce of this many workers, each with one slot.
fn rig(workers: u32) -> Rig {
    let (store, context) = context();
    let (machine, (inputs, inbox)) = (Rc::new(FakeMachine::default()), channel());
    let greeting = Greeting {
        slots: 1,
        settings: PluginSettings::default(),
        alive: Vec::new(),
        lease: None,
        lock: None,
    };
    let on = Rc::clone(&machine) as Rc<dyn Machine>;
    let pool = WorkerPool::start(workers, on, "store.node".to_owned(), greeting, inputs).unwrap();
    machine.done();
    Rig {
        workforce: Workforce::new(pool, 1, context.events.clone()),
        context,
        machine,
        _inbox: inbox,
        _store: store,
    }
}

impl Rig {
    /// Claims these jobs and assigns them. Returns what was sent.
    fn assign(&mut self, jobs: &[i64]) -> Vec<Done> {
        self.workforce
            .add(jobs.iter().copied().map(claimed).collect(), Vec::new());
        self.workforce.assign(&self.context);
        self.sent()
    }

    fn sent(&mut self) -> Vec<Done> {
        self.workforce.workers.flush();
        self.machine.done()
    }

    fn say(&mut self, worker: usize, message: FromWorker) {
        self.workforce.take_messages(&self.context, worker, vec![message]);
    }

    /// What came back: which jobs, and how they ended if they did.
    fn back(&mut self) -> Vec<(i64, Option<OutcomeKind>)> {
        let back = self.workforce.take_back();
        let told = |back: &Back| {
            let ending = back.ending.as_ref();
            (back.job.id, ending.map(|ending| ending.outcome.kind))
        };
        back.iter().map(told).collect()
    }
}

fn sent(worker: usize, text: &str) -> Done {
    Done::Sent(worker, text.to_owned())
}

fn finished(id: i64, kind: OutcomeKind, shortage: bool) -> FromWorker {
    FromWorker::Finished(Finished {
        key: key(&claimed(id)),
        outcome: Outcome::new(kind, "as it is"),
        output: Output::default(),
        started_at: Timestamp(0),
        finished_at: Timestamp(60_000),
        advice: Advice::default(),
        confirm: false,
        shortage,
    })
}

fn died() -> io::Result<ExitStatus> {
    Err(io::Error::other("killed"))
}

#[test]
fn a_job_goes_to_a_worker_and_comes_back_with_its_end() {
    let mut rig = rig(2);
    assert_eq!(rig.assign(&[1, 2, 3]), [sent(0, "start 1"), sent(1, "start 2")]);
    rig.say(1, finished(1, OutcomeKind::Failed, false));
    assert_eq!(rig.back(), [], "it is not that worker's");
    rig.say(1, finished(2, OutcomeKind::Failed, false));
    assert_eq!(rig.back(), [(2, Some(OutcomeKind::Failed))]);
    assert_eq!(rig.back(), [], "once");
    assert_eq!(rig.assign(&[]), [sent(1, "start 3")]);
    assert_eq!((rig.workforce.running(), rig.workforce.jobs()), (2, 2));
}

#[test]
fn a_job_is_cancelled_wherever_it_is() {
    let mut rig = rig(1);
    rig.assign(&[1, 2, 3]);
    for id in [1, 2, 9] {
        rig.workforce.cancel(&rig.context, key(&claimed(id)));
    }
    assert_eq!(rig.sent(), [sent(0, "stop 1")]);
    assert_eq!(rig.back(), [(2, Some(OutcomeKind::Cancelled))]);
    assert_eq!(rig.workforce.jobs(), 2, "a bystander stays");
    // It had not begun after all.
    rig.say(0, FromWorker::NotStarted(key(&claimed(1))));
    assert_eq!(rig.back(), [(1, Some(OutcomeKind::Cancelled))]);
}

#[cfg(unix)]
#[test]
fn a_signal_goes_to_a_job_that_has_started_and_was_not_told_to_stop() {
    let mut rig = rig(1);
    rig.assign(&[1, 2]);
    let send = |rig: &mut Rig, id: i64| {
        let job = key(&claimed(id));
        rig.workforce.signal(job, "SIGHUP");
        (rig.workforce.takes_signals(job), rig.sent())
    };
    assert_eq!(send(&mut rig, 1), (true, vec![sent(0, "signal 1 1")]));
    assert_eq!(send(&mut rig, 2), (false, vec![]), "it is claimed ahead");
    assert_eq!(send(&mut rig, 9), (false, vec![]), "it is another node's");
    rig.say(0, finished(1, OutcomeKind::Succeeded, false));
    rig.back();
    rig.assign(&[]);
    assert_eq!(send(&mut rig, 2), (true, vec![sent(0, "signal 2 1")]));
    rig.workforce.cancel(&rig.context, key(&claimed(2)));
    rig.sent();
    assert_eq!(send(&mut rig, 2), (false, vec![]), "it is being stopped");
}

#[test]
fn a_worker_that_dies_crashes_what_it_ran_and_nothing_else() {
    let mut rig = rig(2);
    rig.assign(&[1, 2]);
    rig.workforce
        .worker_gone(&rig.context, 0, died(), None, |_| false);
    assert_eq!(rig.back(), [(1, Some(OutcomeKind::Crashed))]);
    rig.workforce.worker_gone(&rig.context, 1, died(), None, |_| true);
    assert_eq!(rig.back(), [(2, Some(OutcomeKind::Returned))], "the lease did it");
    assert_eq!(rig.workforce.workers.any(), None);
}

#[test]
fn a_job_that_can_be_taken_over_goes_to_another_worker_with_its_stop() {
    let mut rig = rig(2);
    rig.assign(&[1]);
    rig.say(0, FromWorker::Handle(key(&claimed(1)), b"there".to_vec()));
    rig.workforce.cancel(&rig.context, key(&claimed(1)));
    rig.sent();
    rig.workforce
        .worker_gone(&rig.context, 0, died(), None, |_| false);
    assert_eq!(rig.back(), []);
    let sends = rig
        .assign(&[])
        .into_iter()
        .filter(|done| matches!(done, Done::Sent(..)));
    assert_eq!(sends.collect::<Vec<_>>(), [sent(1, "adopt 1"), sent(1, "stop 1")]);
}

#[test]
fn a_node_that_stops_gives_back_what_has_not_started() {
    let mut rig = rig(1);
    rig.assign(&[1, 2]);
    rig.context
        .phase
        .on_signal(Duration::from_secs(60), Duration::ZERO);
    rig.workforce.give_back();
    assert_eq!(rig.back(), [(2, None)]);
    rig.workforce.stop_all(StopReason::Returned);
    rig.workforce.stop_all(StopReason::Returned);
    rig.workforce.kill_all(StopReason::Returned);
    assert_eq!(
        rig.sent(),
        [sent(0, "stop 1"), sent(0, "kill 1")],
        "it is asked once"
    );
    rig.say(0, FromWorker::NotStarted(key(&claimed(1))));
    assert_eq!(rig.back(), [(1, None)]);
    rig.workforce.kill_workers();
    assert_eq!(rig.sent(), [], "none has jobs");
}

#[test]
fn what_the_machine_cannot_start_costs_no_attempt() {
    let mut rig = rig(2);
    rig.assign(&[1, 2, 3]);
    rig.say(0, finished(1, OutcomeKind::SystemFailure, true));
    assert_eq!(rig.back(), [(1, None), (3, None)]);
    assert!(rig.workforce.is_short());
    assert_eq!(rig.workforce.wants(), 0, "no more than what still runs");
    rig.say(1, finished(2, OutcomeKind::SystemFailure, false));
    assert_eq!(
        rig.back(),
        [(2, Some(OutcomeKind::SystemFailure))],
        "this one is the job's own"
    );
}

#[test]
fn a_job_that_was_changed_is_not_sent() {
    let mut rig = rig(1);
    let mut changed = claimed(1);
    changed.sum = Some(1);
    rig.workforce.add(vec![changed, claimed(2)], Vec::new());
    assert_eq!(rig.assign(&[]), [sent(0, "start 2")]);
    assert_eq!(rig.back(), [(1, Some(OutcomeKind::Failed))]);
}
