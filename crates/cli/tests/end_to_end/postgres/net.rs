//! Three machines and one server: every job runs once, and a machine that is cut off stops its jobs before others start
//! them. And what a server can do to its clients.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::LEASE;
use super::machines::{Cut, Network};
use super::server::{Server, kill_one, own_server, server_at, signal_all};
use crate::support::{Node, Queue, history, wait_explained, wait_for, wait_until};

/// A network, a server in it, and a queue there.
pub struct Rig {
    // The nodes go first, then the queue, the server and the network.
    pub queue: Queue,
    _server: Server,
    pub network: Network,
}

impl Rig {
    /// None, and said so, where that cannot be made.
    pub fn new(test: &str, machines: usize, parameters: &str) -> Option<Rig> {
        let network = Network::new(test, machines)?;
        let server = server_at(test, &network.address(), &[])?;
        let queue = Queue::new().with_server(format!("{}?{parameters}", server.location));
        for (key, value) in [("lease", "5s"), ("backoff_cap", "20ms"), ("max_retries", "1000")] {
            queue.ok(["config:set", key, value]);
        }
        Some(Rig {
            queue,
            _server: server,
            network,
        })
    }

    pub fn start(&self, machine: usize, args: &[&str]) -> Node {
        let node = self.network.start(&self.queue, machine, args);
        node.wait_log("node started");
        node
    }

    /// The number of a node's row whose state is that, in the order in which they entered.
    fn nodes(&self, state: &str) -> Vec<i64> {
        let nodes = self.queue.json(["worker:list"]);
        let nodes = nodes.as_array().unwrap().iter();
        let nodes = nodes.filter(|node| node["state"] == state);
        nodes.map(|node| node["id"].as_i64().unwrap()).collect()
    }
}

/// How many jobs run exactly once; `cargo xtask torture net` wants more.
fn many() -> usize {
    let wanted = std::env::var("QUEUECTL_TORTURE_JOBS").ok();
    wanted.map_or(2000, |jobs| jobs.parse().unwrap())
}

#[test]
fn three_machines_run_every_job_exactly_once() {
    let name = "postgres::net::three_machines_run_every_job_exactly_once";
    let Some(rig) = Rig::new(name, 3, "") else {
        return;
    };
    let (queue, jobs) = (&rig.queue, many());
    let line = "\"echo $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT >> ran-$MACHINE\"\n";
    queue
        .run_with(["enqueue", "--from", "-"], line.repeat(jobs / 2).as_bytes())
        .ok();
    let nodes: Vec<Node> = (1..=3)
        .map(|machine| rig.network.start(queue, machine, &["-q", "--count", "2"]))
        .collect();
    queue
        .run_with(
            ["enqueue", "--from", "-"],
            line.repeat(jobs - jobs / 2).as_bytes(),
        )
        .ok();
    let ended = wait_many(queue, jobs);
    assert_eq!(ended, jobs);
    let (mut all, mut lines) = (BTreeSet::new(), 0);
    for machine in 1..=3 {
        let ran = queue.lines(&format!("ran-{machine}"));
        assert!(!ran.is_empty(), "machine {machine} had its share");
        lines += ran.len();
        all.extend(ran);
    }
    let wanted: BTreeSet<String> = (1..=jobs).map(|id| format!("{id} 1")).collect();
    assert_eq!((lines, all), (jobs, wanted), "each line is one attempt");
    for node in &nodes {
        let log = node.log();
        assert!(!log.contains("stale") && !log.contains("rescued"), "{log}");
    }
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// Waits until this many jobs have completed, as long as there is progress.
fn wait_many(queue: &Queue, jobs: usize) -> usize {
    let completed =
        || usize::try_from(queue.json(["status"])["total"]["completed"].as_u64().unwrap()).unwrap();
    let mut done = completed();
    while done < jobs {
        done = wait_for("another job to complete", || {
            Some(completed()).filter(|now| *now > done)
        });
    }
    done
}

/// A job that says if another attempt of it is at work, does not go when it is asked to, and ends when it may. The
/// first on each machine may end by itself before the others.
const HELD: &str = "exec 9>>lock-$QUEUECTL_JOB_ID; flock -n 9 || echo $QUEUECTL_JOB_ID >> overlap; \
    if mkdir first-$MACHINE 2>/dev/null; then end=end-$MACHINE; else end=go; trap '' TERM; fi; \
    echo $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> began-$MACHINE; \
    while [ ! -e go ] && [ ! -e $end ]; do sleep 0.05; done; echo $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> ran-$MACHINE";

/// What keeps a node that is cut off from having its jobs run on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guard {
    On,
    /// The control: everything of queuectl is stopped on the machine, but not its jobs.
    Off,
}

/// Cuts a machine off for longer than its lease while it runs jobs. Returns whether a job ran twice at the same time.
fn cut_off(name: &str, cut: Cut, guard: Guard) -> Option<bool> {
    let rig = Rig::new(name, 3, "")?;
    let queue = &rig.queue;
    let first = rig.start(1, &["--concurrency", "3"]);
    let jobs: Vec<String> = (0..3).map(|_| queue.enqueue([HELD])).collect();
    queue.wait_lines("began-1", 3);
    let others = [2, 3].map(|machine| rig.start(machine, &["--concurrency", "6"]));
    let bystanders: Vec<String> = (0..2).map(|_| queue.enqueue([HELD])).collect();
    let elsewhere = || queue.lines("began-2").len() + queue.lines("began-3").len();
    wait_until("the bystanders to run", || elsewhere() == 2);

    let cut_off = Instant::now();
    rig.network.cut(1, cut);
    if guard == Guard::Off {
        first.signal_all_but_jobs(Signal::SIGSTOP);
    }
    // One ends by itself, and its end cannot be recorded.
    queue.write("end-1", "");
    queue.wait_lines("ran-1", 1);
    if guard == Guard::On {
        wait_until("the end of the jobs", || first.of_jobs().is_empty());
    }
    wait_until("the others to take its jobs", || elsewhere() == 5);
    assert!(cut_off.elapsed() > LEASE / 2, "not before the lease was over");
    let rescued: Vec<String> = others
        .iter()
        .filter_map(|node| said_at(node, "rescued a dead node's jobs"))
        .collect();
    assert_eq!(rescued.len(), 1);
    if guard == Guard::On {
        let killed = said_at(&first, "killed all running jobs");
        let killed = killed.or_else(|| said_at(&first, "killing running jobs"));
        let killed = killed.expect("it killed jobs that do not go when they are asked to");
        assert!(killed < rescued[0], "{cut:?}: {killed}, {}", rescued[0]);
    }
    let overlap = !queue.lines("overlap").is_empty();

    rig.network.cut(1, Cut::None);
    if guard == Guard::Off {
        first.signal_all_but_jobs(Signal::SIGCONT);
    }
    first.wait_log("registering again");
    wait_until("three living nodes", || rig.nodes("running") == [2, 3, 4]);
    queue.write("go", "");
    for id in &jobs {
        let job = queue.wait_state(id, "completed");
        assert_eq!(history(&job), ["1 lost", "2 succeeded"], "{cut:?}: {job}");
    }
    for id in &bystanders {
        let job = queue.wait_state(id, "completed");
        assert_eq!(history(&job), ["1 succeeded"], "{cut:?}: {job}");
    }
    let ended = queue.lines("ran-1").len();
    wait_until("the machine to run jobs again", || {
        queue.ok(["enqueue", HELD]);
        queue.lines("ran-1").len() > ended
    });
    assert_eq!(queue.json(["db:check"])["ok"], true);
    Some(overlap)
}

/// When a node said that, as its log has it: all are on one machine.
fn said_at(node: &Node, text: &str) -> Option<String> {
    let log = node.log();
    let mut lines = log.lines();
    let line = lines.find(|line| line.contains(text) && !line.ends_with("running=0"))?;
    // The date and the time, which have the same length everywhere.
    line.get(..23).map(str::to_owned)
}

#[test]
fn a_machine_that_is_cut_off_stops_its_jobs_before_others_run_them() {
    let name = "postgres::net::a_machine_that_is_cut_off_stops_its_jobs_before_others_run_them";
    std::thread::scope(|scope| {
        let cuts = [
            (Cut::Both, Guard::On),
            (Cut::Out, Guard::On),
            (Cut::In, Guard::On),
            (Cut::Both, Guard::Off),
        ];
        let tests = cuts.map(|(cut, guard)| (cut, guard, scope.spawn(move || cut_off(name, cut, guard))));
        for (cut, guard, test) in tests {
            let overlap = match test.join() {
                Ok(overlap) => overlap,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            assert!(
                overlap.is_none_or(|overlap| overlap == (guard == Guard::Off)),
                "{cut:?}"
            );
        }
    });
}

/// A job of a moment, whose number is its line.
fn job(number: usize) -> String {
    format!(
        "exec 9>>lock-$QUEUECTL_JOB_ID; flock -n 9 || echo {number} >> overlap; sleep 0.05; echo {number} >> ran"
    )
}

/// What happens to a server while nodes work and jobs are stored.
#[derive(Debug, Clone, Copy)]
enum Blow {
    /// The process that serves some connection is killed; the server ends all others and recovers.
    KillBackend,
    /// The server is stopped as by a crash, and is away for a while.
    Crash,
    /// All of it stands still for longer than a lease.
    Freeze,
}

/// Says that it is over, also when a test fails: a scope waits for its threads before it says what went wrong.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn nothing_is_lost_or_doubled_by_a_server_that_crashes_and_freezes() {
    let name = "postgres::net::nothing_is_lost_or_doubled_by_a_server_that_crashes_and_freezes";
    let Some(server) = own_server(name, &[]) else {
        return;
    };
    let queue = Queue::new().with_server(server.location.clone());
    for (key, value) in [("lease", "5s"), ("backoff_cap", "20ms"), ("max_retries", "1000")] {
        queue.ok(["config:set", key, value]);
    }
    let mut nodes: Vec<Node> = (0..3).map(|_| queue.start(&["--count", "2"])).collect();
    let blows = [Blow::KillBackend, Blow::Crash, Blow::Freeze, Blow::KillBackend];
    let over = AtomicBool::new(false);
    let stored = std::thread::scope(|scope| {
        let ends = Ends(&over);
        let producer = scope.spawn(|| {
            let (mut stored, mut refused, mut unsure) = (Vec::new(), Vec::new(), Vec::new());
            for number in 1.. {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let done = queue.run(["enqueue", "--id", &format!("job-{number}"), &job(number)]);
                match done.status {
                    0 => stored.push(number),
                    // Certainly not stored.
                    6 => refused.push(number),
                    8 => unsure.push(number),
                    status => panic!("{} ended with {status}: {}", done.line, done.err),
                }
            }
            (stored, refused, unsure)
        });
        for blow in blows {
            let before = queue.lines("ran").len();
            queue.wait_lines("ran", before + 20);
            match blow {
                Blow::KillBackend => kill_one(&server),
                Blow::Crash => {
                    server.crash().unwrap();
                    // Long enough for nodes to try in vain.
                    std::thread::sleep(Duration::from_secs(2));
                    server.go_on().unwrap();
                }
                Blow::Freeze => {
                    signal_all(&server, Signal::SIGSTOP);
                    std::thread::sleep(LEASE + Duration::from_secs(1));
                    signal_all(&server, Signal::SIGCONT);
                }
            }
            wait_until(&format!("jobs to run after {blow:?}"), || {
                queue.lines("ran").len() > before + 40
            });
        }
        drop(ends);
        let (stored, refused, unsure) = producer.join().unwrap();
        let mut stored: BTreeSet<usize> = stored.into_iter().collect();
        let is_there = |number: &usize| queue.run(["show", &format!("job-{number}")]).status == 0;
        stored.extend(unsure.into_iter().filter(is_there));
        let all = stored.len();
        let complete = || Some(()).filter(|()| queue.json(["status"])["total"]["completed"] == all);
        wait_explained("all jobs to complete", complete, || {
            let left: Vec<_> = queue
                .jobs()
                .into_iter()
                .filter(|job| job["state"] != "completed")
                .collect();
            let logs: Vec<String> = nodes.iter().map(Node::log).collect();
            format!(
                "{} stored, {} refused; {}; {left:#?}; {}",
                all,
                refused.len(),
                queue.json(["status"])["total"],
                logs.join("\n-- another node\n")
            )
        });
        assert!(!refused.is_empty(), "the blows hit no process");
        let ran: BTreeSet<usize> = queue
            .lines("ran")
            .iter()
            .map(|line| line.parse().unwrap())
            .collect();
        assert_eq!(ran, stored, "what was refused did not run");
        all
    });
    assert_eq!(queue.read("overlap"), "", "twice at the same time");
    assert_eq!(queue.jobs().len().min(100), stored.min(100));
    assert!(
        nodes.iter_mut().all(Node::runs),
        "they did not have to be started again"
    );
    assert_eq!(queue.json(["db:check"])["ok"], true);
}
