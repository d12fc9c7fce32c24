//! The simulated world: machines with nodes and worker processes, clients, and what was heard of them all.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use queuectl_core::{JobId, JobRef, JobSpec, NodeId, Start, State, Timestamp, ValidJob};
use queuectl_storage::sim as store_sim;
use queuectl_storage::{Cancelled, Location, Only, Queues, StopRequest, Store, StoreError};
use queuectl_testkit::history::{Call, History, Reply, StoredJob, Violation, check};
use queuectl_testkit::valid;
use queuectl_worker::sim::{self as machine, NodeEvent, SimNode, View};
use queuectl_worker::{NodeError, NodeOptions};

use crate::plan::{Action, Plan, Stop};

/// Where the clocks begin, in ms since 1970.
const EPOCH: i64 = 1_700_000_000_000;
/// Most jobs that a run stores.
const JOBS: usize = 150;
/// Most nodes at a time.
const NODES: usize = 4;

/// A node that has not ended.
struct Member {
    node: SimNode,
    machine: u32,
    paused: bool,
}

/// See the module.
pub struct Cluster {
    location: Location,
    /// A client's connection.
    client: Store,
    history: Rc<RefCell<History>>,
    nodes: Vec<Member>,
    jobs: Vec<JobId>,
    names: usize,
    marks: usize,
    now: Duration,
    /// By how many ms the wall clock of each machine is wrong.
    wrong: Vec<i64>,
    suspended: Option<u32>,
    slots: u32,
    workers: u32,
    has_server: bool,
    /// Something is in the way of transactions.
    faulty: bool,
}

impl Cluster {
    /// A cluster at a store that is empty. The plan says how large.
    pub fn new(location: Location, client: Store, plan: &Plan) -> Cluster {
        machine::reset();
        let max_retries = queuectl_core::Settings::default().max_retries;
        let history = Rc::new(RefCell::new(History::new(max_retries)));
        let has_server = matches!(location, Location::Postgres(_));
        let machines = if has_server { plan.machines } else { 1 };
        let mut cluster = Cluster {
            location,
            client,
            history,
            nodes: Vec::new(),
            jobs: Vec::new(),
            names: 0,
            marks: 0,
            now: Duration::ZERO,
            wrong: vec![0; machines as usize],
            suspended: None,
            slots: plan.slots,
            workers: plan.workers,
            has_server,
            faulty: false,
        };
        cluster.clear_faults();
        cluster.be_on(0);
        cluster
    }

    /// Does what the plan says. False if there is nothing that it could be done to.
    pub fn act(&mut self, action: Action) -> bool {
        let done = match action {
            Action::Enqueue {
                jobs,
                retries,
                delay,
                queue,
            } => self.enqueue(jobs, retries, delay, queue),
            Action::Cancel(pick) => self.cancel(pick),
            Action::Retry(pick) => self.retry(pick),
            Action::Round(pick) => match self.index(pick) {
                Some(index) if self.is_awake(index) => self.round(index),
                _ => false,
            },
            Action::Read(pick) => self.at_process(pick, |_| true, |view| machine::read(view.pid)),
            Action::Finish(pick, nth, end) => self.at_process(
                pick,
                // Work that no node waits for any more is seldom done soon.
                |view| view.runs > 0 && (!view.dead || nth == 0 && pick.is_multiple_of(8)),
                |view| machine::finish(view.pid, nth as usize, end),
            ),
            Action::Die(pick) => self.at_process(
                pick,
                |view| !view.dead,
                |view| {
                    machine::die(view.pid);
                },
            ),
            Action::Crash(pick, aimed) => match self.target(pick, aimed) {
                Some(index) => {
                    let member = self.nodes.remove(index);
                    self.note(format!("node {} is killed", member.node.id()));
                    member.node.crash();
                    true
                }
                None => false,
            },
            Action::Pause(pick, aimed) => match self.target(pick, aimed) {
                Some(index) if !self.nodes[index].paused => {
                    self.nodes[index].paused = true;
                    self.note(format!("node {} is suspended", self.nodes[index].node.id()));
                    true
                }
                _ => false,
            },
            Action::Suspend(number) => {
                let there = self.has_server && number < self.machines();
                self.suspended = there.then_some(number);
                if there {
                    self.note(format!("machine {number} stands still"));
                }
                there
            }
            Action::Resume => {
                let before = self
                    .suspended
                    .take()
                    .inspect(|number| machine::mind_leases(*number))
                    .is_some();
                let paused = self.nodes.iter_mut().filter(|member| member.paused);
                let resumed = paused.map(|member| member.paused = false).count();
                if before || resumed > 0 {
                    self.note("all go on".to_owned());
                }
                before || resumed > 0
            }
            Action::Start(number) => self.nodes.len() < NODES && self.start(number % self.machines()),
            Action::Stop(pick, how) => self.stop(pick, how),
            Action::Advance(ms) => {
                self.advance(Duration::from_millis(ms.into()));
                true
            }
            Action::Jump(number, ms) => {
                let number = number % self.machines();
                self.wrong[number as usize] += i64::from(ms);
                self.note(format!("the clock of machine {number} jumps by {ms} ms"));
                true
            }
            Action::DiskFull(full) => {
                store_sim::set_disk_full(full);
                self.faulty |= full;
                self.note(
                    if full {
                        "the disk is full"
                    } else {
                        "the disk has room"
                    }
                    .to_owned(),
                );
                true
            }
            Action::Fault(after, fault) => {
                store_sim::plan_fault(Some((after.into(), fault)));
                self.faulty = true;
                self.note(format!("after {after} transactions: {fault:?}"));
                true
            }
        };
        self.note_executions();
        done
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.clear_faults();
        self.note("all faults end".to_owned());
        self.suspended = None;
        self.wrong.fill(0);
        self.nodes.iter_mut().for_each(|member| member.paused = false);
    }

    fn clear_faults(&mut self) {
        store_sim::set_disk_full(false);
        store_sim::plan_fault(None);
        self.faulty = false;
    }

    /// Lets everything finish: each machine has a node, and every job that runs ends. Returns the steps it took; gives
    /// up after this many rounds.
    pub fn drain(&mut self, rounds: usize) -> u64 {
        let mut steps = 0;
        for _ in 0..rounds {
            for number in 0..self.machines() {
                if !self.nodes.iter().any(|member| member.machine == number) {
                    steps += u64::from(self.start(number));
                }
            }
            let mut index = 0;
            while index < self.nodes.len() {
                let before = self.nodes.len();
                self.round(index);
                steps += 1;
                index += usize::from(self.nodes.len() == before);
            }
            self.note_executions();
            let mut busy = false;
            for view in machine::processes() {
                self.be_on(view.machine);
                machine::read(view.pid);
                steps += 1;
                let runs = machine::processes()
                    .iter()
                    .find(|one| one.pid == view.pid)
                    .map_or(0, |one| one.runs);
                for _ in 0..runs {
                    machine::finish(view.pid, 0, machine::End::Stopped);
                    steps += 1;
                    busy = true;
                }
                self.note_executions();
            }
            self.be_on(0);
            let unfinished = self.client.now();
            let unfinished = unfinished.and_then(|now| self.client.any_unfinished(&Queues::All, now));
            let due = match unfinished {
                Ok(false) if self.nodes.iter().all(|member| member.node.jobs_in_hand() == 0) => return steps,
                Ok(_) => self.client.next_due().ok().flatten(),
                Err(_) => None,
            };
            // A node without anything to do but to wait is waited for.
            let wait = match due {
                Some(due) if !busy && !self.has_server => due.since(self.wall(0)).max(Duration::from_secs(1)),
                _ if busy => Duration::from_millis(30),
                _ => Duration::from_secs(1),
            };
            self.advance(wait);
            steps += 1;
        }
        steps
    }

    /// Has the history checked against what is in the store.
    pub fn check(&mut self, drained: bool) -> Vec<Violation> {
        self.be_on(0);
        let mut found = Vec::new();
        let all = queuectl_storage::ListFilter {
            limit: 10_000,
            ..Default::default()
        };
        for job in self.client.list(&all).unwrap_or_default() {
            let attempts = self.client.attempts_without_output(job.id).unwrap_or_default();
            found.push(StoredJob { job, attempts });
        }
        check(&self.history.borrow(), &found, drained)
    }

    /// Whether the books of the store itself are right.
    pub fn store_is_sound(&mut self) -> bool {
        let sound = |report: queuectl_storage::CheckReport| {
            report.damage.is_empty() && report.dangling == 0 && report.miscounted == 0
        };
        self.client.check().is_ok_and(sound)
    }

    fn machines(&self) -> u32 {
        self.wrong.len() as u32
    }

    fn wall(&self, number: u32) -> Timestamp {
        let since = i64::try_from(self.now.as_millis()).unwrap_or(i64::MAX);
        Timestamp(EPOCH + since + self.wrong[number as usize])
    }

    fn be_on(&self, number: u32) {
        store_sim::set_time(self.wall(number), self.now);
        store_sim::set_machine(number);
        machine::set_machine(number);
    }

    fn advance(&mut self, by: Duration) {
        self.now += by;
        if self.has_server {
            let now = Timestamp(EPOCH + self.now.as_millis() as i64);
            store_sim::set_server_time(&mut self.client, now).expect("the server's clock can be set");
            for number in (0..self.machines()).filter(|number| self.suspended != Some(*number)) {
                self.be_on(number);
                machine::mind_leases(number);
            }
            self.note_executions();
        }
    }

    fn at(&self) -> i64 {
        self.now.as_millis() as i64
    }

    fn note(&self, text: String) {
        self.history.borrow_mut().note(self.at(), text);
    }

    fn note_executions(&self) {
        let mut history = self.history.borrow_mut();
        for one in machine::executions() {
            let (job, fence) = (one.key.job, one.key.fence);
            if one.began {
                history.began(self.at(), job, fence, one.attempt, one.machine);
            } else {
                history.over(self.at(), job, fence, one.machine);
            }
        }
    }

    fn index(&self, pick: u32) -> Option<usize> {
        (!self.nodes.is_empty()).then(|| pick as usize % self.nodes.len())
    }

    fn is_awake(&self, index: usize) -> bool {
        let member = &self.nodes[index];
        !member.paused && self.suspended != Some(member.machine)
    }

    /// The node that has most jobs, or any.
    fn target(&self, pick: u32, aimed: bool) -> Option<usize> {
        if aimed {
            (0..self.nodes.len()).max_by_key(|index| self.nodes[*index].node.jobs_in_hand())
        } else {
            self.index(pick)
        }
    }

    fn at_process(&mut self, pick: u32, fits: impl Fn(&View) -> bool, act: impl Fn(View)) -> bool {
        let views: Vec<View> = machine::processes()
            .into_iter()
            .filter(|view| self.suspended != Some(view.machine) && fits(view))
            .collect();
        if views.is_empty() {
            return false;
        }
        let view = views[pick as usize % views.len()];
        self.be_on(view.machine);
        act(view);
        true
    }

    fn round(&mut self, index: usize) -> bool {
        let member = &mut self.nodes[index];
        let (number, id) = (member.machine, member.node.id());
        self.be_on(number);
        let member = &mut self.nodes[index];
        member.node.keep_lease();
        if let Some(end) = member.node.round() {
            self.nodes.remove(index);
            self.note(match &end {
                Ok(_) => format!("node {id} ends"),
                Err(error) => format!("node {id} ends: {error}"),
            });
            if let Err(NodeError::Fenced(_)) = end {
                self.start(number);
            }
        }
        true
    }

    fn start(&mut self, number: u32) -> bool {
        self.be_on(number);
        self.marks += 1;
        let options = NodeOptions {
            location: self.location.clone(),
            workers: self.workers,
            concurrency: self.slots,
            queues: Queues::All,
            drain: false,
            worker_args: Vec::new(),
            pass_on: |_| {},
        };
        // The dot keeps the mark of one node from being the beginning of another's.
        let heard = Rc::clone(&self.history);
        let subscriber = move |event: &NodeEvent<'_>| hear(&mut heard.borrow_mut(), event);
        match SimNode::start(options, &format!("{}.", self.marks), subscriber) {
            Ok(node) => {
                self.note(format!("node {} starts on machine {number}", node.id()));
                self.nodes.push(Member {
                    node,
                    machine: number,
                    paused: false,
                });
                true
            }
            Err(error) => {
                assert!(self.faulty, "a node cannot start: {error}");
                false
            }
        }
    }

    fn stop(&mut self, pick: u32, how: Stop) -> bool {
        let Some(index) = self.index(pick) else {
            return false;
        };
        let id = self.nodes[index].node.id();
        self.note(format!("node {id} is told to stop: {how:?}"));
        let request = match how {
            Stop::Signal => {
                self.nodes[index].node.signal();
                return true;
            }
            Stop::Gracefully => StopRequest::Gracefully,
            Stop::Now => StopRequest::Now,
        };
        self.be_on(0);
        let _ = self.client.request_stop(Some(NodeId(id.0)), request);
        self.wake_all();
        true
    }

    fn wake_all(&self) {
        self.nodes.iter().for_each(|member| member.node.wake());
    }

    fn enqueue(&mut self, count: u8, retries: Option<u8>, delay: u32, queue: u8) -> bool {
        if self.names >= JOBS {
            return false;
        }
        self.be_on(0);
        let now = self.client_now();
        let mut names = Vec::new();
        let delay = (delay > 0).then(|| Duration::from_millis(delay.into()));
        let jobs: Vec<ValidJob> = (0..count)
            .map(|_| {
                self.names += 1;
                names.push(format!("job-{}", self.names));
                valid(JobSpec {
                    id: names.last().and_then(|name| name.parse().ok()),
                    queue: format!("q{queue}").parse().ok(),
                    max_retries: retries.map(u32::from),
                    start: delay.map(Start::After),
                    ..JobSpec::line("true")
                })
            })
            .collect();
        let call = self.history.borrow_mut().invoked(self.at(), Call::Enqueue(names));
        let reply = match self.client.enqueue(&jobs, now) {
            Ok(ids) => {
                self.jobs.extend(&ids);
                Reply::Enqueued(ids)
            }
            Err(error) => self.failed(&error),
        };
        self.history.borrow_mut().returned(self.at(), call, reply);
        self.wake_all();
        true
    }

    fn cancel(&mut self, pick: u32) -> bool {
        let Some(job) = self.pick(pick) else {
            return false;
        };
        let now = self.client_now();
        let reply = match self.client.cancel(&JobRef::Number(job), now) {
            Ok(Cancelled::Now) => Reply::Done,
            Ok(Cancelled::Requested) => Reply::Requested,
            Err(error) => self.failed(&error),
        };
        self.history
            .borrow_mut()
            .called(self.at(), Call::Cancel(job), reply);
        self.wake_all();
        true
    }

    fn retry(&mut self, pick: u32) -> bool {
        let Some(job) = self.pick(pick) else {
            return false;
        };
        let now = self.client_now();
        // As `dlq:retry` does it, now and then.
        let only = Only {
            state: pick.is_multiple_of(2).then_some(State::Dead),
            ..Only::default()
        };
        let reply = match self.client.retry(&JobRef::Number(job), &only, now) {
            Ok(_) => Reply::Done,
            // That it was in no such state says less than that it could not be retried.
            Err(StoreError::Refused { .. }) if only.state.is_some() => Reply::Failed,
            Err(error) => self.failed(&error),
        };
        self.history
            .borrow_mut()
            .called(self.at(), Call::Retry(job), reply);
        self.wake_all();
        true
    }

    fn pick(&self, pick: u32) -> Option<JobId> {
        self.be_on(0);
        (!self.jobs.is_empty()).then(|| self.jobs[pick as usize % self.jobs.len()])
    }

    fn client_now(&mut self) -> Timestamp {
        self.client.now().unwrap_or(Timestamp(EPOCH))
    }

    fn failed(&self, error: &StoreError) -> Reply {
        match error {
            StoreError::Refused { .. } => Reply::Refused,
            error if store_sim::is_unknown(error) => Reply::Unknown,
            error => {
                let expected = self.faulty || matches!(error, StoreError::NoSuchJob(_));
                assert!(expected, "a client met an error without a fault: {error}");
                Reply::Failed
            }
        }
    }
}

/// Notes what a node learned of the store.
fn hear(history: &mut History, event: &NodeEvent<'_>) {
    let at = store_sim::Instant::now().0.as_millis() as i64;
    match event {
        NodeEvent::Heartbeat { node, result } => {
            let reply = match result {
                Ok(true) => Reply::Done,
                Ok(false) => Reply::Refused,
                Err(error) => failure(error),
            };
            history.called(at, Call::Heartbeat(*node), reply);
        }
        NodeEvent::CycleEnded { cycle, result } => {
            let mut stale = result.map(|done| done.stale.clone()).unwrap_or_default();
            let failed = result.err().map(failure);
            for record in cycle.records {
                let call = Call::Outcome {
                    job: record.job,
                    fence: record.fence,
                    node: record.node,
                    change: record.change,
                    kept: record.attempt.is_some(),
                };
                let key = (record.job, record.fence);
                let reply = match (&failed, stale.iter().position(|one| *one == key)) {
                    (Some(failed), _) => failed.clone(),
                    (None, Some(place)) => {
                        stale.swap_remove(place);
                        Reply::Refused
                    }
                    (None, None) => Reply::Done,
                };
                history.called(at, call, reply);
            }
            if cycle.claim > 0 {
                let reply = failed.unwrap_or_else(|| {
                    let claimed = result.map(|done| done.claimed.as_slice()).unwrap_or_default();
                    let one = |job: &queuectl_storage::Claimed| (JobId(job.id), job.fence, job.attempt);
                    Reply::Claimed(claimed.iter().map(one).collect())
                });
                history.called(at, Call::Claim(cycle.node), reply);
            }
        }
        _ => {}
    }
}

fn failure(error: &StoreError) -> Reply {
    if store_sim::is_unknown(error) {
        Reply::Unknown
    } else {
        Reply::Failed
    }
}
