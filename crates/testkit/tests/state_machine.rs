//! The store against a small model of it, by random sequences of calls that shrink (proptest-state-machine), on both
//! databases. The model shares no code with the store, and none with `transition`: it is written from design.md.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::ReferenceStateMachine;
use queuectl_core::{Event, JobId, JobRef, JobSpec, NodeId, OutcomeKind, Start, State, Timestamp};
use queuectl_storage::{
    Cancelled, Claimed, Cycle, ListFilter, NodeGuard, Only, Queues, Record, Store, StoreError,
};
use queuectl_testkit::{TempStore, record, valid};

/// A call.
#[derive(Debug, Clone)]
enum Call {
    Enqueue {
        priority: i32,
        queue: u8,
        delay: u16,
        hold: bool,
    },
    /// A node's cycle: some of its jobs end like this, and it claims others.
    Cycle {
        node: usize,
        ends: Vec<End>,
        claim: u32,
    },
    /// A record is sent once more.
    Again(usize),
    Cancel(usize),
    Retry(usize),
    Hold(usize),
    Release(usize),
    /// A node dies and another rescues its jobs.
    Death(usize),
    Pass(u16),
}

/// How a job's attempt ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Complete,
    Fail(u16),
    Die,
    SystemFail(u16),
    GiveBack,
    Cancel,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ModelJob {
    state: State,
    priority: i32,
    attempts: u32,
    system_failures: u32,
    fence: i64,
    due: Option<i64>,
    node: Option<usize>,
    cancel: bool,
    kept: Vec<i64>,
}

#[derive(Debug, Clone)]
struct Model {
    now: i64,
    jobs: Vec<ModelJob>,
    /// What each node has, in the order in which it got it.
    held: [Vec<usize>; 2],
    /// What the last call was to answer.
    answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    Nothing,
    Claimed(Vec<usize>),
    Cancelled,
    Requested,
    Refused,
    Retried,
    Held,
    Released(State),
}

const START: i64 = 1_000_000;

impl Model {
    fn end(&mut self, index: usize, end: End) {
        let now = self.now;
        let job = &mut self.jobs[index];
        let was_cancelled = job.cancel;
        (job.node, job.cancel) = (None, false);
        if !matches!(end, End::GiveBack) {
            job.kept.push(job.fence);
        }
        match end {
            End::Complete => (job.state, job.system_failures) = (State::Completed, 0),
            End::Fail(wait) => {
                (job.state, job.system_failures) = (State::Failed, 0);
                job.due = Some(now + i64::from(wait));
            }
            End::Die => (job.state, job.system_failures) = (State::Dead, 0),
            End::SystemFail(wait) => {
                job.state = State::Failed;
                job.attempts -= 1;
                job.system_failures += 1;
                job.due = Some(now + i64::from(wait));
            }
            End::GiveBack => {
                job.state = State::Pending;
                job.attempts -= 1;
            }
            End::Cancel => job.state = State::Cancelled,
        }
        if was_cancelled && !job.state.is_final() {
            (job.state, job.due) = (State::Cancelled, None);
        }
    }

    fn promote(&mut self) {
        for job in &mut self.jobs {
            if job.state.waits() && job.due.is_some_and(|due| due <= self.now) {
                (job.state, job.due) = (State::Pending, None);
            }
        }
    }

    fn claim(&mut self, node: usize, most: u32) -> Vec<usize> {
        let mut ready: Vec<usize> = (0..self.jobs.len())
            .filter(|index| self.jobs[*index].state == State::Pending)
            .collect();
        ready.sort_by_key(|index| (-self.jobs[*index].priority, *index));
        ready.truncate(most as usize);
        for index in &ready {
            let job = &mut self.jobs[*index];
            job.state = State::Processing;
            job.attempts += 1;
            job.fence += 1;
            job.node = Some(node);
        }
        self.held[node].extend(&ready);
        ready
    }
}

fn at(list_len: usize, pick: usize) -> Option<usize> {
    (list_len > 0).then(|| pick % list_len)
}

impl ReferenceStateMachine for Model {
    type State = Model;
    type Transition = Call;

    fn init_state() -> BoxedStrategy<Model> {
        let model = Model {
            now: START,
            jobs: Vec::new(),
            held: [Vec::new(), Vec::new()],
            answer: Answer::Nothing,
        };
        Just(model).boxed()
    }

    fn transitions(_: &Model) -> BoxedStrategy<Call> {
        let end = prop_oneof![
            3 => Just(End::Complete),
            3 => (1..50u16).prop_map(End::Fail),
            1 => Just(End::Die),
            1 => (1..50u16).prop_map(End::SystemFail),
            1 => Just(End::GiveBack),
            1 => Just(End::Cancel),
        ];
        prop_oneof![
            4 => (-2..3i32, 0..3u8, prop_oneof![Just(0u16), 1..100u16], prop::bool::weighted(0.2))
                .prop_map(|(priority, queue, delay, hold)| Call::Enqueue { priority, queue, delay, hold }),
            8 => (0..2usize, prop::collection::vec(end, 0..4), 0..4u32)
                .prop_map(|(node, ends, claim)| Call::Cycle { node, ends, claim }),
            2 => any::<usize>().prop_map(Call::Again),
            2 => any::<usize>().prop_map(Call::Cancel),
            2 => any::<usize>().prop_map(Call::Retry),
            2 => any::<usize>().prop_map(Call::Hold),
            2 => any::<usize>().prop_map(Call::Release),
            1 => (0..2usize).prop_map(Call::Death),
            3 => (1..60u16).prop_map(Call::Pass),
        ]
        .boxed()
    }

    fn apply(mut model: Model, call: &Call) -> Model {
        model.answer = Answer::Nothing;
        match call {
            Call::Enqueue {
                priority,
                delay,
                hold,
                ..
            } => {
                let due = (*delay > 0).then(|| model.now + i64::from(*delay));
                model.jobs.push(ModelJob {
                    state: if *hold {
                        State::Blocked
                    } else if due.is_some() {
                        State::Scheduled
                    } else {
                        State::Pending
                    },
                    priority: *priority,
                    attempts: 0,
                    system_failures: 0,
                    fence: 0,
                    due,
                    node: None,
                    cancel: false,
                    kept: Vec::new(),
                });
            }
            Call::Cycle { node, ends, claim } => {
                let count = ends.len().min(model.held[*node].len());
                let ended: Vec<usize> = model.held[*node].drain(..count).collect();
                for (index, end) in ended.into_iter().zip(ends) {
                    model.end(index, *end);
                }
                model.promote();
                model.answer = Answer::Claimed(model.claim(*node, *claim));
            }
            Call::Again(_) => model.promote(),
            Call::Cancel(pick) => {
                if let Some(index) = at(model.jobs.len(), *pick) {
                    let job = &mut model.jobs[index];
                    model.answer = match job.state {
                        State::Processing => {
                            job.cancel = true;
                            Answer::Requested
                        }
                        state if state.is_final() => Answer::Refused,
                        _ => {
                            (job.state, job.due) = (State::Cancelled, None);
                            Answer::Cancelled
                        }
                    };
                }
            }
            Call::Retry(pick) => {
                if let Some(index) = at(model.jobs.len(), *pick) {
                    let job = &mut model.jobs[index];
                    model.answer = match job.state {
                        State::Dead | State::Cancelled | State::Failed => {
                            (job.state, job.due) = (State::Pending, None);
                            (job.attempts, job.system_failures) = (0, 0);
                            Answer::Retried
                        }
                        _ => Answer::Refused,
                    };
                }
            }
            Call::Hold(pick) => {
                if let Some(index) = at(model.jobs.len(), *pick) {
                    let job = &mut model.jobs[index];
                    model.answer = match job.state {
                        State::Pending | State::Scheduled | State::Failed | State::Blocked => {
                            job.state = State::Blocked;
                            Answer::Held
                        }
                        _ => Answer::Refused,
                    };
                }
            }
            Call::Release(pick) => {
                if let Some(index) = at(model.jobs.len(), *pick) {
                    let job = &mut model.jobs[index];
                    model.answer = if job.state == State::Blocked {
                        job.due = job.due.filter(|due| *due > model.now);
                        job.state = match job.due {
                            None => State::Pending,
                            Some(_) if job.fence > 0 => State::Failed,
                            Some(_) => State::Scheduled,
                        };
                        Answer::Released(job.state)
                    } else {
                        Answer::Refused
                    };
                }
            }
            Call::Death(node) => {
                for index in std::mem::take(&mut model.held[*node]) {
                    model.end(index, End::Fail(1));
                }
                model.promote();
            }
            Call::Pass(ms) => model.now += i64::from(*ms),
        }
        model
    }
}

/// The store, with two nodes.
struct Real {
    temp: TempStore,
    nodes: [(NodeId, NodeGuard); 2],
    held: [Vec<Claimed>; 2],
    records: Vec<Record>,
    ids: Vec<JobId>,
    now: i64,
}

static COOKIES: AtomicUsize = AtomicUsize::new(0);

fn enter(store: &mut Store) -> (NodeId, NodeGuard) {
    let new = queuectl_testkit::new_node(format!("model-{}", COOKIES.fetch_add(1, Ordering::Relaxed)));
    let (id, guard, _) = store.enter_node(&new, Timestamp(START)).unwrap();
    (id, guard)
}

fn record_of(claimed: &Claimed, node: NodeId, end: End, now: Timestamp) -> Record {
    let later = |ms: u16| Some(now.after(Duration::from_millis(ms.into())));
    let (event, kind) = match end {
        End::Complete => (Event::Complete, OutcomeKind::Succeeded),
        End::Fail(wait) => (
            Event::Fail {
                retry_at: later(wait),
            },
            OutcomeKind::Failed,
        ),
        End::Die => (Event::Fail { retry_at: None }, OutcomeKind::Failed),
        End::SystemFail(wait) => (
            Event::SystemFail {
                retry_at: later(wait),
            },
            OutcomeKind::SystemFailure,
        ),
        End::GiveBack => (Event::Return, OutcomeKind::Returned),
        End::Cancel => (Event::Cancel, OutcomeKind::Cancelled),
    };
    let made = record(claimed, node, event, kind, now);
    Record {
        attempt: made.attempt.filter(|_| !matches!(end, End::GiveBack)),
        ..made
    }
}

impl Real {
    fn cycle(&mut self, node: NodeId, records: &[Record], claim: u32) -> queuectl_storage::CycleResult {
        let cycle = Cycle {
            node,
            records,
            claim,
            queues: &Queues::All,
            now: Timestamp(self.now),
        };
        self.temp.store.cycle(&cycle).unwrap()
    }

    fn call(&mut self, call: Call, model: &Model) {
        let now = Timestamp(self.now);
        let reference =
            |ids: &[JobId], pick: usize| at(ids.len(), pick).map(|index| JobRef::Number(ids[index]));
        match call {
            Call::Enqueue {
                priority,
                queue,
                delay,
                hold,
            } => {
                let delay = (delay > 0).then(|| Duration::from_millis(delay.into()));
                let new = JobSpec {
                    priority: Some(priority),
                    queue: Some(format!("q{queue}").parse().unwrap()),
                    start: delay.map(Start::After),
                    hold: Some(hold),
                    ..JobSpec::line("true")
                };
                let ids = self.temp.store.enqueue(&[valid(new)], now).unwrap();
                self.ids.extend(ids);
            }
            Call::Cycle { node, ends, claim } => {
                let id = self.nodes[node].0;
                let count = ends.len().min(self.held[node].len());
                let ended: Vec<Claimed> = self.held[node].drain(..count).collect();
                let records: Vec<Record> = ended
                    .iter()
                    .zip(&ends)
                    .map(|(claimed, end)| record_of(claimed, id, *end, now))
                    .collect();
                let result = self.cycle(id, &records, claim);
                assert_eq!(result.stale, []);
                self.records.extend(records);
                let index = |id: i64| self.ids.iter().position(|known| known.0 == id).unwrap();
                let claimed: Vec<usize> = result.claimed.iter().map(|job| index(job.id)).collect();
                assert_eq!(Answer::Claimed(claimed), model.answer);
                self.held[node].extend(result.claimed);
            }
            Call::Again(pick) => {
                let again: Vec<Record> = at(self.records.len(), pick)
                    .map(|index| self.records[index].clone())
                    .into_iter()
                    .collect();
                let result = self.cycle(self.nodes[0].0, &again, 0);
                let keys: Vec<_> = again.iter().map(|record| (record.job, record.fence)).collect();
                assert_eq!(result.stale, keys);
            }
            Call::Cancel(pick) => {
                if let Some(id) = reference(&self.ids, pick) {
                    let answer = match self.temp.store.cancel(&id, now) {
                        Ok(Cancelled::Now) => Answer::Cancelled,
                        Ok(Cancelled::Requested) => Answer::Requested,
                        Err(StoreError::Refused { .. }) => Answer::Refused,
                        Err(error) => panic!("{error}"),
                    };
                    assert_eq!(answer, model.answer);
                }
            }
            Call::Retry(pick) => {
                if let Some(id) = reference(&self.ids, pick) {
                    let answer = match self.temp.store.retry(&id, &Only::default(), now) {
                        Ok(_) => Answer::Retried,
                        Err(StoreError::Refused { .. }) => Answer::Refused,
                        Err(error) => panic!("{error}"),
                    };
                    assert_eq!(answer, model.answer);
                }
            }
            Call::Hold(pick) => {
                if let Some(id) = reference(&self.ids, pick) {
                    let answer = match self.temp.store.hold(&id, now) {
                        Ok(()) => Answer::Held,
                        Err(StoreError::Refused { .. }) => Answer::Refused,
                        Err(error) => panic!("{error}"),
                    };
                    assert_eq!(answer, model.answer);
                }
            }
            Call::Release(pick) => {
                if let Some(id) = reference(&self.ids, pick) {
                    let answer = match self.temp.store.release(&id, now) {
                        Ok(released) => Answer::Released(released.state),
                        Err(StoreError::Refused { .. }) => Answer::Refused,
                        Err(error) => panic!("{error}"),
                    };
                    assert_eq!(answer, model.answer);
                }
            }
            Call::Death(node) => {
                let fresh = enter(&mut self.temp.store);
                let (dead, guard) = std::mem::replace(&mut self.nodes[node], fresh);
                assert!(self.temp.store.take_over(dead).unwrap().is_none(), "it lives");
                drop(guard);
                let _guard = self.temp.store.take_over(dead).unwrap().expect("it is dead");
                let jobs = self.temp.store.jobs_of_node(dead).unwrap();
                let held = std::mem::take(&mut self.held[node]);
                let mut known: Vec<(i64, i64)> = held.iter().map(|job| (job.id, job.fence)).collect();
                known.sort_unstable();
                assert_eq!(
                    jobs.iter().map(|job| (job.id.0, job.fence)).collect::<Vec<_>>(),
                    known
                );
                let records: Vec<Record> = held
                    .iter()
                    .map(|claimed| record_of(claimed, dead, End::Fail(1), now))
                    .collect();
                assert_eq!(self.cycle(dead, &records, 0).stale, []);
                self.records.extend(records);
                self.temp.store.leave_node(dead).unwrap();
            }
            Call::Pass(ms) => self.now += i64::from(ms),
        }
    }

    /// Every job is as the model has it, and so are the counts.
    fn compare(&mut self, model: &Model) {
        let nodes = [self.nodes[0].0, self.nodes[1].0];
        let all = ListFilter {
            limit: 1000,
            ..ListFilter::default()
        };
        let mut jobs = self.temp.store.list(&all).unwrap();
        jobs.sort_by_key(|job| job.id);
        assert_eq!(jobs.len(), model.jobs.len());
        for (job, want) in jobs.iter().zip(&model.jobs) {
            let attempts = self.temp.store.attempts_without_output(job.id).unwrap();
            let is = ModelJob {
                state: job.state,
                priority: job.priority,
                attempts: job.attempts,
                system_failures: job.system_failures,
                fence: job.fence,
                due: job.due_at.map(|due| due.0),
                node: job
                    .node
                    .map(|id| nodes.iter().position(|node| *node == id).unwrap()),
                cancel: job.cancel_requested,
                kept: attempts.iter().map(|attempt| attempt.fence).collect(),
            };
            assert_eq!(&is, want, "job {}", job.id);
            assert_eq!(job.waits.is_empty(), job.state != State::Blocked);
        }
        for count in self.temp.store.counts(None).unwrap() {
            let queue =
                |job: &&queuectl_core::Job| job.queue.as_str() == count.queue && job.state == count.state;
            assert_eq!(jobs.iter().filter(queue).count() as u64, count.jobs);
        }
    }
}

/// Runs the machine on a store that `fresh` makes.
fn run(cases: u32, fresh: impl Fn() -> TempStore) {
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let plans = Model::sequential_strategy(1..60);
    let outcome = TestRunner::new(config).run(&plans, |(mut model, calls, _)| {
        let mut temp = fresh();
        let nodes = [enter(&mut temp.store), enter(&mut temp.store)];
        let mut real = Real {
            temp,
            nodes,
            held: [Vec::new(), Vec::new()],
            records: Vec::new(),
            ids: Vec::new(),
            now: START,
        };
        for call in calls {
            model = Model::apply(model, &call);
            real.call(call, &model);
            real.compare(&model);
        }
        let report = real.temp.store.check().unwrap();
        prop_assert_eq!(
            (report.damage.len(), report.dangling, report.miscounted),
            (0, 0, 0)
        );
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[test]
fn the_store_on_sqlite_does_what_the_model_does() {
    // Files cost more on Windows, and under Wine more still.
    run(if cfg!(windows) { 20 } else { 100 }, TempStore::sqlite);
}

#[test]
fn the_store_on_postgres_does_what_the_model_does() {
    if TempStore::postgres().is_none() {
        let name = "state_machine::the_store_on_postgres_does_what_the_model_does";
        queuectl_testkit::skipped(name, queuectl_testkit::conformance::NO_SERVER);
        return;
    }
    run(20, || TempStore::postgres().unwrap());
}
