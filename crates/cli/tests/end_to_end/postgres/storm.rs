//! Many machines that are cut off again and again, at random, each by itself, for shorter and longer than its lease:
//! nothing runs twice at the same time, no limit is exceeded, nothing is lost, and every machine comes back by itself.
//!
//! `cargo xtask torture net` runs this for as many partitions as it is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::LEASE;
use super::machines::Cut;
use super::net::Rig;
use crate::support::{Node, Queue, history, wait_for, wait_until};

/// How many jobs there are ahead of the machines.
const AHEAD: u64 = 60;
/// Jobs that a machine runs at a time.
const SLOTS: u64 = 6;
/// Limits of jobs that name one: `one:K` and `two:K`, for the same keys K.
const LIMITS: [(&str, u64); 2] = [("one", 1), ("two", 2)];
/// The way to the server comes back soon after the network does, as it does on a machine whose user has asked for that.
const QUICK: &str = "tcp_user_timeout=4000&connect_timeout=2&keepalives_idle=2&keepalives_interval=1";

/// What the task asks for, or else a small storm.
fn asked(name: &str, otherwise: u64) -> u64 {
    let value = std::env::var(format!("QUEUECTL_TORTURE_{name}")).ok();
    value.map_or(otherwise, |value| value.parse().unwrap())
}

/// Random numbers from a seed (SplitMix64, Steele and others 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// What the storm has done so far.
#[derive(Default)]
struct Done {
    partitions: AtomicUsize,
    /// Longer than a lease.
    long: AtomicUsize,
    by_direction: [AtomicUsize; 3],
}

/// What the jobs are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each says if another attempt of it is at work.
    Plain,
    /// Each says if more jobs of its key are at work than its limit allows.
    Limited,
}

/// The jobs of a storm.
#[derive(Clone, Copy)]
struct Jobs {
    kind: Kind,
    /// Keys of each limit.
    keys: u64,
    /// Whether they all outlast a lease.
    control: bool,
}

#[test]
#[ignore = "takes long; cargo xtask torture net runs it"]
fn machines_that_are_cut_off_at_random_lose_and_double_nothing() {
    let name = "postgres::storm::machines_that_are_cut_off_at_random_lose_and_double_nothing";
    storm(name, Kind::Plain);
}

#[test]
#[ignore = "takes long; cargo xtask torture net runs it"]
fn machines_that_are_cut_off_at_random_exceed_no_limit() {
    let name = "postgres::storm::machines_that_are_cut_off_at_random_exceed_no_limit";
    storm(name, Kind::Limited);
}

fn storm(name: &str, kind: Kind) {
    let (machines, partitions) = (asked("MACHINES", 4) as usize, asked("PARTITIONS", 8) as usize);
    let (seed, control) = (asked("SEED", 1), asked("CONTROL", 0) == 1);
    // The limits let run fewer jobs than all machines could, and more than all but one, so that none is left without.
    let keys = (SLOTS * machines as u64 - 1) / LIMITS.map(|(_, running)| running).iter().sum::<u64>();
    let jobs = Jobs { kind, keys, control };
    let Some(rig) = Rig::new(name, machines, QUICK) else {
        return;
    };
    let queue = &rig.queue;
    std::fs::create_dir(queue.path("locks")).unwrap();
    for (limit, running) in LIMITS {
        queue.ok(["limit:set", limit, "--per-key", "--running", &running.to_string()]);
    }
    feed(queue, jobs);
    let started = Instant::now();
    let (done, over) = (Done::default(), AtomicBool::new(false));
    let logs: Vec<String> = thread::scope(|scope| {
        let mut threads = Vec::new();
        for machine in 1..=machines {
            let (rig, done) = (&rig, &done);
            let mut dice = Dice(seed.wrapping_mul(1000) + machine as u64);
            threads.push(scope.spawn(move || {
                let node = rig.start(machine, &["--concurrency", &SLOTS.to_string()]);
                while done.partitions.fetch_add(1, Ordering::SeqCst) < partitions {
                    cut_once(rig, &node, machine, &mut dice, done, control);
                }
                node
            }));
        }
        let feeder = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                let [pending, blocked] = states(queue, ["pending", "blocked"]);
                if pending + blocked < AHEAD {
                    feed(queue, jobs);
                }
                thread::sleep(Duration::from_millis(200));
            }
        });
        let nodes: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
        over.store(true, Ordering::SeqCst);
        feeder.join().unwrap();
        let nodes: Vec<Node> = nodes
            .into_iter()
            .map(|node| node.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect();
        let left = || states(queue, ["pending", "blocked", "processing", "failed"]);
        let mut before = left();
        while before != [0; 4] {
            before = wait_for("another job to end", || Some(left()).filter(|now| *now != before));
        }
        nodes.iter().map(Node::log).collect()
    });
    let took = started.elapsed().as_secs();
    let jobs = queue.json(["list", "--limit", "1000000"]);
    let jobs = jobs.as_array().unwrap();
    // How attempts ended that were not the last of their job.
    let mut cut_short = BTreeMap::from([("lost", 0), ("returned", 0), ("crashed", 0)]);
    for job in jobs {
        assert_eq!(job["state"], "completed", "{job}");
        // What is stopped and goes on long after its lease ends its jobs in other ways, too.
        if job["attempts"] != 1 && !control {
            let job = queue.job(job["id"].as_str().unwrap());
            let history = history(&job);
            let (last, before) = history.split_last().unwrap();
            assert!(last.ends_with(" succeeded"), "{job}");
            for attempt in before {
                let outcome = attempt.split(' ').next_back().unwrap();
                // The worker process of a node that hung in a call is killed with its jobs.
                let count = cut_short.get_mut(outcome);
                *count.unwrap_or_else(|| panic!("{job}")) += 1;
            }
        }
    }
    let count = |what: &str| logs.iter().map(|log| log.matches(what).count()).sum::<usize>();
    let number = |value: &AtomicUsize| value.load(Ordering::SeqCst);
    let [both, out, back] = [0, 1, 2].map(|index| number(&done.by_direction[index]));
    let overlaps = queue.lines("overlap").len();
    println!(
        "torture net: seed {seed}, {machines} machines, {} partitions in {took} s ({both} both ways, {out} out, {back} in; \
         {} longer than a lease); {} jobs, attempts cut short: {cut_short:?}, {} nodes rescued, {} entered again, \
         {} outcomes too late, {} turns settled, {overlaps} overlaps",
        both + out + back,
        number(&done.long),
        jobs.len(),
        count("rescued a dead node's jobs"),
        count("registering again"),
        count("outcomes arrived too late"),
        count("the last cycle was committed although its reply was lost"),
    );
    assert_eq!(
        overlaps > 0,
        control,
        "jobs that ran at the same time and must not"
    );
    let ran: BTreeSet<String> = queue.lines("ran").into_iter().collect();
    assert_eq!(ran.len(), jobs.len(), "every job came to its end");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// A job that says if it is not alone, or not among as few as its limit allows: each takes one of as many locks. Every
/// third does not go when it is asked to; every fourth would go on for longer than a lease, in a control every one.
fn job(place: u64, jobs: Jobs) -> Value {
    // As many jobs of each limit as can run.
    let ((limit, running), key) = (
        LIMITS[usize::from(!place.is_multiple_of(3))],
        place / 3 % jobs.keys,
    );
    let (lock, locks) = match jobs.kind {
        Kind::Plain => ("$QUEUECTL_JOB_ID".to_owned(), 1),
        Kind::Limited => (format!("{limit}-{key}"), running),
    };
    let (short, long) = if jobs.control { (12, 12) } else { (1, 9) };
    let command = format!(
        "for lock in $(seq {locks}); do exec 9>>locks/{lock}-$lock; flock -n 9 && break; false; done || \
         echo $QUEUECTL_JOB_ID >> overlap; [ $((QUEUECTL_JOB_ID % 3)) != 0 ] || trap '' TERM; \
         echo $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> began-$MACHINE; \
         sleep $((QUEUECTL_JOB_ID % 4 ? {short} : {long})); echo $QUEUECTL_JOB_ID >> ran"
    );
    match jobs.kind {
        Kind::Plain => json!(command),
        Kind::Limited => json!({"command": command, "limit": [format!("{limit}:{key}")]}),
    }
}

/// Stores jobs, if the server is there.
fn feed(queue: &Queue, jobs: Jobs) {
    // Each key as often as the others.
    let count = AHEAD.next_multiple_of(3 * jobs.keys);
    let lines: String = (0..count)
        .map(|place| format!("{}\n", job(place, jobs)))
        .collect();
    let done = queue.run_with(["enqueue", "--from", "-"], lines.as_bytes());
    assert!([0, 6].contains(&done.status), "{}", done.err);
}

/// How many jobs there are in these states.
fn states<const N: usize>(queue: &Queue, states: [&str; N]) -> [u64; N] {
    let status = wait_for("the server to answer", || {
        let done = queue.run(["--json", "status"]);
        (done.status == 0).then(|| done.json())
    });
    states.map(|state| status["total"][state].as_u64().unwrap())
}

/// Cuts a machine off once while it runs jobs, and waits until it runs jobs again. In a control it is gone for longer than
/// its lease, and its jobs are not.
fn cut_once(rig: &Rig, node: &Node, machine: usize, dice: &mut Dice, done: &Done, control: bool) {
    let cuts = [Cut::Both, Cut::Out, Cut::In];
    let direction = dice.below(3) as usize;
    // Half of them shorter than a lease, some by a little only.
    let lease = LEASE.as_millis() as u64;
    let length = match dice.below(4) {
        _ if control => lease + 1500 + dice.below(lease / 2),
        0 => 100 + dice.below(lease / 2),
        1 => lease / 2 + dice.below(lease / 2),
        _ => lease + 500 + dice.below(lease / 2),
    };
    let file = rig.queue.path(&format!("began-{machine}"));
    let size = || std::fs::metadata(&file).map_or(0, |data| data.len());
    wait_until("the machine to run jobs", || size() > 0);
    thread::sleep(Duration::from_millis(dice.below(1000)));
    rig.network.cut(machine, cuts[direction]);
    if control {
        node.signal_all_but_jobs(Signal::SIGSTOP);
    }
    thread::sleep(Duration::from_millis(length));
    rig.network.cut(machine, Cut::None);
    if control {
        node.signal_all_but_jobs(Signal::SIGCONT);
    }
    done.by_direction[direction].fetch_add(1, Ordering::SeqCst);
    done.long.fetch_add(usize::from(length > lease), Ordering::SeqCst);
    let before = size();
    wait_until(&format!("machine {machine} to run jobs again"), || {
        size() > before
    });
}
