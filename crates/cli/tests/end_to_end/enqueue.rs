//! Storing one job: the forms of a command, and every option.

use crate::support::jobs::{FOREVER, variable};
use crate::support::{Queue, history, time_ms};

#[test]
#[cfg(unix)]
fn a_command_is_an_argv_a_line_or_an_object() {
    let queue = Queue::quick();
    let argv = queue.enqueue(["printf", "[%s]", "a  b", "$HOME", "*", "--help", "; exit 3"]);
    let line = queue.enqueue(["printf '[%s]' \"a  b\" $((6 * 7)) | tr a A"]);
    let object = queue.enqueue([r#"{"id":"job1","command":["printf","[%s]","x  y"],"max_retries":7}"#]);
    let object_line =
        queue.enqueue([r#" {"command":"echo $QUEUECTL_JOB_ID/$QUEUECTL_ATTEMPT/$QUEUECTL_QUEUE"}"#]);
    assert_eq!((argv.as_str(), object.as_str()), ("1", "job1"));
    assert_eq!(queue.drain(&["--count", "2"]), 0);
    assert_eq!(queue.ok(["logs", &argv]), "[a  b][$HOME][*][--help][; exit 3]");
    assert_eq!(queue.ok(["logs", &line]), "[A  b][42]");
    assert_eq!(queue.ok(["logs", "job1"]), "[x  y]");
    assert_eq!(
        queue.ok(["logs", &object_line]),
        format!("{object_line}/1/default")
    );
    let job = queue.job("job1");
    assert_eq!(
        (&job["max_retries"], &job["argv"][2]),
        (&7.into(), &"x  y".into())
    );
    assert!(queue.job(&line)["argv"].is_null());
}

#[test]
fn an_id_is_taken_once() {
    let queue = Queue::new();
    assert_eq!(queue.enqueue(["--id", "mine", "first"]), "mine");
    let said = queue.fails(4, ["enqueue", "--id", "mine", "second"]);
    assert!(said.contains("already a job with the id 'mine'"), "{said}");
    let jobs = queue.jobs();
    assert_eq!((jobs.len(), jobs[0]["command"].as_str()), (1, Some("first")));
    // The number stands for the same job.
    let number = jobs[0]["number"].to_string();
    assert_eq!(queue.job(&number)["id"], "mine");
    queue.fails(3, ["show", "other"]);
    queue.fails(3, ["show", "999"]);
}

#[test]
fn higher_priorities_run_first_and_equal_ones_by_age() {
    let queue = Queue::quick();
    for (id, priority) in [("a", "0"), ("b", "-5"), ("c", "10"), ("d", "0"), ("e", "10")] {
        queue.enqueue([
            "--id",
            id,
            "--priority",
            priority,
            &format!(">>order echo {}", variable("QUEUECTL_JOB_ID")),
        ]);
    }
    // Priority counts across queues as well.
    queue.enqueue([
        "--id",
        "f",
        "--queue",
        "other",
        "--priority",
        "5",
        ">>order echo f",
    ]);
    assert_eq!(queue.drain(&[]), 0);
    assert_eq!(queue.lines("order"), ["c", "e", "f", "a", "d", "b"]);
}

#[test]
fn delays_and_times_schedule_a_job() {
    let queue = Queue::new();
    let delayed = queue.enqueue(["--delay", "1h 5m", "exit 0"]);
    let at = queue.enqueue(["--run-at", "2099-01-01T00:00:00Z", "exit 0"]);
    let past = queue.enqueue(["--run-at", "2020-01-01T00:00:00Z", "exit 0"]);
    let now = queue.enqueue(["exit 0"]);
    let job = queue.job(&delayed);
    assert_eq!(job["state"], "scheduled");
    assert_eq!(time_ms(&job["run_at"]) - time_ms(&job["created_at"]), 3_900_000);
    let job = queue.job(&at);
    assert_eq!(
        (job["state"].as_str(), job["run_at"].as_str()),
        (Some("scheduled"), Some("2099-01-01T00:00:00.000Z"))
    );
    for id in [past, now] {
        let job = queue.job(&id);
        assert_eq!(
            (job["state"].as_str(), job["run_at"].is_null()),
            (Some("pending"), true),
            "{job}"
        );
    }
    let said = queue.ok(["status"]);
    assert!(said.contains("next job due in 1 h"), "{said}");
}

#[test]
fn a_scheduled_job_runs_when_it_is_due_and_not_before() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--delay", "400ms", "exit 0"]);
    let scheduled = queue.job(&id);
    assert_eq!(scheduled["state"], "scheduled");
    let bystander = queue.enqueue(["--delay", "1day", "exit 0"]);
    let _node = queue.start(&[]);
    let job = queue.wait_state(&id, "completed");
    let started = time_ms(&job["attempt_history"][0]["started_at"]);
    assert!(started >= time_ms(&scheduled["run_at"]), "{job}");
    assert_eq!(queue.state(&bystander), "scheduled");
}

#[test]
fn options_of_a_job_hold() {
    let queue = Queue::quick();
    let sub = queue.path("sub");
    std::fs::create_dir(&sub).unwrap();
    let (place, cat, seen) = if cfg!(windows) {
        ("cd& echo %A%,%B%& more", "more", sub)
    } else {
        ("pwd -P; echo $A,$B; cat", "cat", sub.canonicalize().unwrap())
    };
    let place = queue.enqueue([
        "--cwd",
        "sub",
        "--env",
        "A=1 2",
        "--env",
        "B=x=y",
        "--stdin",
        "-from\nme",
        place,
    ]);
    let piped = queue.run_with(["enqueue", "--stdin", "-", cat], b"piped\n").ok();
    let nothing = queue.enqueue([format!("{cat}&& echo end")]);
    let once = queue.enqueue(["--max-retries", "0", "exit 9"]);
    let twice = queue.enqueue(["--max-retries", "1", "exit 9"]);
    let late = queue.enqueue(["--timeout", "150ms", "--max-retries", "0", FOREVER]);
    assert_eq!(queue.drain(&["--concurrency", "4"]), 1);
    assert_eq!(
        queue.ok(["logs", &place]),
        format!("{}\n1 2,x=y\n-from\nme", seen.display())
    );
    assert_eq!(queue.ok(["logs", &piped]), "piped");
    assert_eq!(queue.ok(["logs", &nothing]), "end", "no input means an empty one");
    assert_eq!(history(&queue.job(&once)), ["1 failed"]);
    assert_eq!(history(&queue.job(&twice)), ["1 failed", "2 failed"]);
    let late = queue.job(&late);
    assert_eq!(
        (history(&late), late["error"].as_str()),
        (vec!["1 timed_out".to_owned()], Some("timed out after 150 ms"))
    );
    assert!(late["attempt_history"][0]["duration_ms"].as_u64() >= Some(150));
}

#[test]
fn a_job_may_have_its_own_back_off() {
    let queue = Queue::new();
    queue.ok(["config:set", "backoff_base", "3"]);
    let own = queue.enqueue(["--backoff-base", "7.5", "exit 1"]);
    let common = queue.enqueue(["exit 1"]);
    let _node = queue.start(&[]);
    for (id, wait) in [(own, 7500), (common, 3000)] {
        let job = queue.wait_state(&id, "failed");
        let ended = time_ms(&job["attempt_history"][0]["finished_at"]);
        assert_eq!(time_ms(&job["run_at"]) - ended, wait, "{job}");
    }
}

#[test]
fn waiting_ends_with_the_status_of_the_job() {
    let queue = Queue::quick();
    let _node = queue.start(&["--count", "2"]);
    let wait = |options: &[&str], command: &str| {
        let mut all = vec!["enqueue", "--wait", "--max-retries", "0"];
        all.extend(options);
        all.push(command);
        queue.run(all)
    };
    // Its output is that of the job, as with `run`; programs get the id in its place.
    let done = wait(&["--id", "good"], "echo hello");
    assert_eq!(
        (done.status, done.text().trim_end(), done.err.as_str()),
        (0, "hello", "job good\n")
    );
    let done = wait(&["--json"], "echo hello");
    assert_eq!(done.status, 0, "{}", done.err);
    assert_eq!(
        done.text().trim_end(),
        r#"{"id":"2","existing":false,"replaced":null}"#
    );
    assert_eq!(wait(&[], "exit 42").status, 42);
    #[cfg(unix)]
    assert_eq!(wait(&[], "kill -9 $$").status, 137);
    let (polite, fewer) = if cfg!(windows) {
        (FOREVER, "set /a left=6-%QUEUECTL_ATTEMPT%& call exit %left%")
    } else {
        (
            "trap 'exit 0' TERM; sleep 1000 & wait",
            "exit $((6 - QUEUECTL_ATTEMPT))",
        )
    };
    assert_eq!(wait(&["--timeout", "100ms"], polite).status, 1);
    let done = queue.run(["enqueue", "--wait", "--max-retries", "1", fewer]);
    assert_eq!(done.status, 4);
    assert_eq!(queue.run(["wait", "good"]).status, 0);
    assert_eq!(queue.run(["wait", "good", "3", "4"]).status, 42);
    queue.fails(3, ["wait", "nobody"]);
}

/// The first command creates the queue; the others find it.
#[test]
fn a_queue_can_be_made_by_many_at_once() {
    let queue = Queue::new();
    let started: Vec<_> = (0..12)
        .map(|_| {
            queue
                .command(["enqueue", "exit 0"])
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut ids: Vec<u32> = started
        .into_iter()
        .map(|enqueue| {
            let output = enqueue.wait_with_output().unwrap();
            assert!(output.status.success());
            String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=12).collect::<Vec<_>>());
    assert_eq!(queue.jobs().len(), 12);
    // What jobs are told is for their owner only.
    #[cfg(unix)]
    let mode = |path: &std::path::Path| {
        let data = std::fs::metadata(path).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777
    };
    #[cfg(unix)]
    if !crate::support::on_postgres() {
        assert_eq!((mode(queue.db()), mode(&queue.beside())), (0o600, 0o700));
    }
}
