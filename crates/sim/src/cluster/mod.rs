//! The simulated world: machines with nodes and worker processes, clients, and what was heard of them all.

mod check;
mod groups;
mod hear;
mod hooks;
mod jobs;
mod limits;
mod nodes;
mod queues;
mod schedules;

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::Duration;

use queuectl_core::{JobId, Timestamp};
use queuectl_storage::sim as store_sim;
use queuectl_storage::{Location, Queues, Store, StoreError};
use queuectl_testkit::history::{History, Reply, Violation, What};
use queuectl_worker::sim::{self as machine, SimNode};

use crate::plan::{Action, Mechanisms, Plan};

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
    mechanisms: Mechanisms,
    /// Names of jobs that run however those end that they wait for.
    run_anyway: HashSet<String>,
    /// Jobs that others wait for.
    parents: Vec<JobId>,
    /// Jobs of schedules that were asked for.
    made: Vec<JobId>,
    schedules: schedules::Schedules,
    groups: groups::Groups,
    /// What was found on the way.
    violations: Vec<Violation>,
    acts: u32,
    look_every: u32,
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
            mechanisms: plan.mechanisms,
            run_anyway: HashSet::new(),
            parents: Vec::new(),
            made: Vec::new(),
            schedules: schedules::Schedules::default(),
            groups: groups::Groups::default(),
            violations: Vec::new(),
            acts: 0,
            look_every: plan.look_every,
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
                extras,
            } => self.enqueue(jobs, retries, delay, queue, extras),
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
                self.push(if there {
                    What::StandsStill(number)
                } else {
                    What::GoesOn
                });
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
                    self.push(What::GoesOn);
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
            Action::CrashIn(pick, after, fault) => self.crash_in(pick, after.into(), fault),
            Action::Parent(pick, deed) => self.do_to_parent(pick, deed),
            Action::Hold(pick) => self.hold(pick),
            Action::Release(pick) => self.release(pick),
            Action::SetLimit(which, running, rate, busy) => self.set_limit(which, running, rate, busy),
            Action::PauseQueue(queue, ms) => self.pause_queue(queue, ms),
            Action::ResumeQueue(queue) => self.resume_queue(queue),
            Action::Schedule(which, planned) => self.plan_schedule(which, planned),
            Action::CloseGroup(which) => self.close_group(which),
            Action::AddHook(which, queue, on) => self.add_hook(which, queue, on),
            Action::RemoveHook(which) => self.remove_hook(which),
        };
        self.note_executions();
        self.look_around();
        done
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        self.clear_faults();
        self.note("all faults end".to_owned());
        self.suspended = None;
        self.wrong.fill(0);
        self.nodes.iter_mut().for_each(|member| member.paused = false);
        self.push(What::GoesOn);
        self.loosen_limits();
        self.resume_all_queues();
        self.pause_all_schedules();
        self.close_all_groups();
        self.remove_all_hooks();
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
            if !busy && self.release_all() {
                self.wake_all();
            }
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

    fn push(&self, what: What) {
        self.history.borrow_mut().push(self.at(), what);
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

    fn wake_all(&self) {
        self.nodes.iter().for_each(|member| member.node.wake());
    }

    fn client_now(&mut self) -> Timestamp {
        self.client.now().unwrap_or(Timestamp(EPOCH))
    }

    fn failed(&self, error: &StoreError) -> Reply {
        match error {
            StoreError::Refused { .. } => Reply::Refused,
            // An answer that says nothing of a job's state.
            error if error.problem().is_none() => Reply::Failed,
            error if store_sim::is_unknown(error) => Reply::Unknown,
            error => {
                assert!(self.faulty, "a client met an error without a fault: {error}");
                Reply::Failed
            }
        }
    }
}
