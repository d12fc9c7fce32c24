//! kill -9 of worker processes and dispatchers while jobs run: nothing is lost, nothing is recorded twice, and nothing
//! of an attempt is alive when the next one starts.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::unix::{Gate, lives, send, wait_gone, within};
use crate::support::{Node, Queue, history, wait_until};

/// Whatever dies, its jobs run again within this.
const SOON: Duration = Duration::from_secs(5);

/// Each attempt looks whether anything of the earlier ones is alive, and says so in `overlap` (a process that is dead
/// and only waits to be waited for is not). It starts a child in its
/// own group and one that escapes from it, and waits at the gate.
const JOB: &str = "\
me=pids-$QUEUECTL_JOB_ID
if [ -e $me ]; then
    while read pid; do
        grep -q '^State:.[^ZX]' /proc/$pid/status 2> /dev/null && echo $QUEUECTL_JOB_ID $pid >> overlap
    done < $me
fi
echo $$ >> $me
sleep 1000 & echo $! >> $me
setsid sh -c 'echo $$ >> $0; exec sleep 1000' $me &
while [ $(grep -c . $me) -lt $((3 * QUEUECTL_FENCE)) ]; do :; done
echo $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT >> started
read x < gate
";

const JOBS: usize = 4;

/// A queue with four jobs that run on the two worker processes of a node.
struct Scene {
    queue: Queue,
    gate: Gate,
    node: Node,
    workers: Vec<i32>,
}

fn scene() -> Scene {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    queue.write("job.sh", JOB);
    let node = queue.start(&["--count", "2", "--concurrency", "2"]);
    for _ in 0..JOBS {
        queue.enqueue(["sh", "job.sh"]);
    }
    queue.wait_lines("started", JOBS);
    let workers = node.workers(2);
    Scene {
        queue,
        gate,
        node,
        workers,
    }
}

impl Scene {
    /// Waits until this many attempts have started in all, which must be soon after `killed`; lets all jobs finish; and
    /// checks what was recorded: this many jobs with one failed attempt of that kind, the others with none.
    fn check(self, killed: Instant, again: usize, kind: &str) -> Queue {
        let queue = self.queue;
        queue.wait_lines("started", JOBS + again);
        let took = killed.elapsed();
        assert!(took < SOON, "the jobs ran again only after {took:?}");
        (0..JOBS).for_each(|_| self.gate.open());
        wait_until("all jobs to complete", || {
            queue.json(["status"])["total"]["completed"] == JOBS
        });
        let mut hit = 0;
        for job in queue.jobs() {
            let history = history(&queue.job(job["id"].as_str().unwrap()));
            if history != ["1 succeeded"] {
                assert_eq!(history, [format!("1 {kind}"), "2 succeeded".to_owned()], "{job}");
                hit += 1;
            }
        }
        assert_eq!(hit, again);
        assert_eq!(queue.read("overlap"), "", "alive when the next attempt started");
        assert_eq!(queue.lines("started").len(), JOBS + again);
        for id in 1..=JOBS {
            for pid in queue.lines(&format!("pids-{id}")) {
                assert!(!lives(pid.parse().unwrap()), "job {id} left {pid} behind");
            }
        }
        queue
    }
}

#[test]
fn a_killed_worker_process_costs_its_own_jobs_one_attempt() {
    let scene = scene();
    let killed = Instant::now();
    send(scene.workers[0], Signal::SIGKILL);
    let queue = scene.check(killed, 2, "crashed");
    let jobs = queue.jobs();
    let crashed = jobs.iter().filter(|job| job["attempts"] == 2).count();
    assert_eq!(crashed, 2);
}

/// A service manager may signal every process of a node; only the dispatcher may act on it.
#[test]
fn worker_processes_leave_signals_to_their_dispatcher() {
    let scene = scene();
    let signalled = Instant::now();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        scene.workers.iter().for_each(|pid| send(*pid, signal));
    }
    let queue = scene.check(signalled, 0, "crashed");
    assert!(queue.jobs().iter().all(|job| job["attempts"] == 1));
}

#[test]
fn both_worker_processes_can_be_killed() {
    let scene = scene();
    let killed = Instant::now();
    scene.workers.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    let why = "worker process died: killed by signal 9 (SIGKILL)";
    let queue = scene.check(killed, 4, "crashed");
    let attempt = &queue.job("1")["attempt_history"][0];
    // A plugin that was being called is named behind it.
    assert!(
        attempt["error"]
            .as_str()
            .is_some_and(|error| error.starts_with(why)),
        "{attempt}"
    );
    assert!(
        crate::support::time_ms(&attempt["started_at"]) < crate::support::time_ms(&attempt["finished_at"]),
        "it ran for a while: {attempt}"
    );
}

/// What was there before the program became a node, and what that starts later, are the node's children as well.
#[test]
fn what_no_job_started_outlives_worker_processes_and_the_node() {
    let queue = Queue::quick();
    let words = "sleep 1000 & echo $! > side
        (until [ -e go ]; do sleep 0.01; done; setsid -f sh -c 'echo $$ > late; exec sleep 1000') &
        exec \"$@\"";
    let mut node = Node::start_command(&queue, &["worker:start"], |command| {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", words, "sh"]);
        *command = within(shell, command);
        command.env("QUEUECTL_LOG", "info");
    });
    let job = "setsid sh -c 'echo $$ > left; exec sleep 1000' & until [ -s left ]; do :; done; echo $PPID > worker; sleep 1000";
    queue.enqueue(["--max-retries", "0", job]);
    let worker = queue.wait_pid("worker");
    queue.write("go", "");
    let others = [queue.wait_pid("side"), queue.wait_pid("late")];
    let left = queue.wait_pid("left");
    send(worker, Signal::SIGKILL);
    node.wait_log("started again");
    assert!(!lives(left), "a job started it");
    assert!(others.iter().all(|pid| lives(*pid)));
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait_exit(), 0);
    for pid in others {
        assert!(lives(pid));
        send(pid, Signal::SIGKILL);
    }
}

#[test]
fn a_live_node_takes_over_from_a_killed_dispatcher() {
    let mut scene = scene();
    let other = scene.queue.start(&["--count", "4"]);
    let killed = Instant::now();
    scene.node.kill_dispatcher();
    let queue = scene.check(killed, 4, "lost");
    let status = queue.json(["status"]);
    assert_eq!(status["rescued_jobs"], 4, "{status}");
    let shown = queue.ok(["status"]);
    assert!(
        shown.contains("4 jobs rescued from nodes that died in the last 24 h"),
        "{shown}"
    );
    assert!(other.log().contains("rescued a dead node's jobs"));
    assert_eq!(queue.job("1")["attempt_history"][1]["node"], 2);
    assert_eq!(queue.json(["worker:list"]).as_array().unwrap().len(), 1);
}

#[test]
fn a_live_node_takes_over_when_everything_is_killed_at_once() {
    let mut scene = scene();
    let _other = scene.queue.start(&["--count", "4"]);
    let killed = Instant::now();
    // The worker processes first: they cannot clean up any more.
    scene.workers.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    scene.node.kill_dispatcher();
    let kinds: Vec<String> = {
        let queue = &scene.queue;
        queue.wait_lines("started", 2 * JOBS);
        (1..=JOBS)
            .map(|id| history(&queue.job(&id.to_string())).remove(0))
            .collect()
    };
    // Whether the dispatcher still recorded the end of a worker is a matter of luck; that it is once is not.
    let kind = kinds[0].strip_prefix("1 ").unwrap().to_owned();
    assert!(kind == "lost" || kind == "crashed", "{kinds:?}");
    scene.check(killed, 4, &kind);
}

#[test]
fn the_next_start_takes_over_from_a_killed_dispatcher() {
    let mut scene = scene();
    scene.node.kill_dispatcher();
    assert_eq!(scene.queue.json(["worker:list"])[0]["state"], "dead");
    let killed = Instant::now();
    let _other = scene.queue.start(&["--count", "4"]);
    scene.check(killed, 4, "lost");
}

#[test]
fn the_next_start_takes_over_when_everything_was_killed() {
    let mut scene = scene();
    // Held still, the dispatcher cannot see its workers die.
    scene.node.signal(Signal::SIGSTOP);
    scene.workers.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    scene.node.kill_dispatcher();
    // The jobs are orphans now, and alive: the control that there is something to kill.
    assert!(lives(scene.queue.wait_pid("pids-1")));
    let killed = Instant::now();
    let _other = scene.queue.start(&["--count", "4"]);
    scene.check(killed, 4, "lost");
}

/// No other node is there to clean up: the worker processes see that their dispatcher is gone, stop their jobs, also
/// one that does not want to, and leave.
#[test]
fn worker_processes_follow_their_dispatcher() {
    let mut scene = scene();
    let queue = &scene.queue;
    queue.ok(["config:set", "kill_grace", "200ms"]);
    scene.node.wait_log("settings changed");
    // Make room on a worker for the stubborn one.
    scene.gate.open();
    let id = queue.enqueue(["trap '' TERM; echo $$ > stubborn; while :; do sleep 1000; done"]);
    let stubborn = queue.wait_pid("stubborn");
    scene.node.kill_dispatcher();
    for pid in &scene.workers {
        wait_gone(*pid, "a worker process");
    }
    assert!(!lives(stubborn));
    for id in 1..=JOBS {
        for pid in queue.lines(&format!("pids-{id}")) {
            assert!(!lives(pid.parse().unwrap()), "process {pid} of job {id}");
        }
    }
    assert_eq!(queue.state(&id), "processing", "until a node finds it");
}

/// A node that only hangs is alive: no other node takes its jobs, however long it hangs.
#[test]
fn a_node_that_is_held_still_keeps_its_jobs() {
    let scene = scene();
    let other = scene.queue.start(&[]);
    scene.node.signal(Signal::SIGSTOP);
    // Meanwhile the other node works, and looks for dead nodes once a second.
    let id = scene.queue.enqueue(["--delay", "2500ms", "true"]);
    let bystander = scene.queue.wait_state(&id, "completed");
    assert_eq!(bystander["attempt_history"][0]["node"], 2);
    scene.node.signal(Signal::SIGCONT);
    assert!(!other.log().contains("rescued"), "{}", other.log());
    scene.queue.ok(["dlq:purge", "--all", "--yes"]);
    (0..JOBS).for_each(|_| scene.gate.open());
    for id in 1..=JOBS {
        let job = scene.queue.wait_state(&id.to_string(), "completed");
        assert_eq!(history(&job), ["1 succeeded"]);
    }
}

#[test]
fn a_job_that_kills_its_worker_process_ends_in_the_dead_letter_queue() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let _node = queue.start(&["--count", "2"]);
    let bystander = queue.enqueue([crate::support::GATED]);
    queue.wait_lines("started", 1);
    let id = queue.enqueue(["--max-retries", "2", "kill -9 $PPID; sleep 1000"]);
    let job = queue.wait_state(&id, "dead");
    assert_eq!(history(&job), ["1 crashed", "2 crashed", "3 crashed"]);
    let letter = &queue.json(["dlq:list"])[0];
    let error = letter["error"].as_str().unwrap();
    assert!(
        error.starts_with("worker process died: killed by signal 9 (SIGKILL)"),
        "{error}"
    );
    gate.open();
    let job = queue.wait_state(&bystander, "completed");
    assert_eq!(history(&job), ["1 succeeded"]);
}

/// A job that takes its whole node with it does so at most as often as it has attempts.
#[test]
fn a_job_that_kills_its_node_ends_in_the_dead_letter_queue() {
    let queue = Queue::quick();
    let id = queue.enqueue([
        "--max-retries",
        "1",
        "kill -9 $(cut -d' ' -f4 /proc/$PPID/stat); sleep 1000",
    ]);
    let bystander = queue.enqueue(["--delay", "100ms", "true"]);
    for _ in 0..2 {
        assert_eq!(Node::start(&queue, &[]).wait_exit(), -1);
    }
    let _node = queue.start(&[]);
    let job = queue.wait_state(&id, "dead");
    assert_eq!(history(&job), ["1 lost", "2 lost"]);
    queue.wait_state(&bystander, "completed");
}

#[test]
fn a_job_can_be_cancelled_after_its_node_died() {
    let mut scene = scene();
    scene.node.kill_dispatcher();
    let queue = &scene.queue;
    assert_eq!(queue.ok(["cancel", "1"]), "1 is being stopped");
    let _other = queue.start(&["--count", "4"]);
    let job = queue.wait_state("1", "cancelled");
    assert_eq!(history(&job), ["1 cancelled"]);
    queue.wait_lines("started", JOBS + 3);
    for pid in queue.lines("pids-1") {
        assert!(!lives(pid.parse().unwrap()));
    }
    (1..JOBS).for_each(|_| scene.gate.open());
    for id in 2..=JOBS {
        let job = queue.wait_state(&id.to_string(), "completed");
        assert_eq!(history(&job), ["1 lost", "2 succeeded"]);
    }
}
