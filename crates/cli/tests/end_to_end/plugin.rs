//! Executors that misbehave: what they cost, and whom.

use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::unix::{compile, send};
use crate::support::{Node, Queue, history};

/// A queue with the plugin `fatal` in the folder `plugins`; none if it cannot be compiled here.
fn with_plugin(test: &str) -> Option<Queue> {
    let queue = Queue::quick();
    add_plugin(&queue, test).then_some(queue)
}

/// Puts it into the queue's folder; false if it cannot be compiled here.
pub fn add_plugin(queue: &Queue, test: &str) -> bool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let include = here.join("../plugin-api/include");
    std::fs::create_dir(queue.path("plugins")).unwrap();
    let compiled = compile(
        &here.join("tests/end_to_end/fatal.c"),
        &queue.path("plugins/libqueuectl_plugin_fatal.so"),
        &["-shared", "-fPIC", "-pthread", "-I", include.to_str().unwrap()],
    );
    if !compiled {
        queuectl_testkit::skipped(test, "there is no C compiler `cc`");
    }
    compiled
}

#[test]
fn a_plugin_that_crashes_takes_no_other_job_with_it() {
    let Some(queue) = with_plugin("a_plugin_that_crashes_takes_no_other_job_with_it") else {
        return;
    };
    let gate = queue.gate("gate");
    let plugins = queue.path("plugins");
    let node = queue.start(&["--count", "2", "--plugin-dir", plugins.to_str().unwrap()]);
    let bystander = queue.enqueue([crate::support::GATED]);
    queue.wait_lines("started", 1);
    let plugin = plugins.join("libqueuectl_plugin_fatal.so");
    let fatal = |how: &str| {
        let job = format!(r#"{{"executor":"fatal","max_retries":1,"payload":{{"do":"{how}"}}}}"#);
        queue.enqueue([job])
    };
    let (good, segfault, exit, abort) = (fatal("succeed"), fatal("segfault"), fatal("exit"), fatal("abort"));
    let after = queue.enqueue(["true"]);
    for (id, why) in [
        (&segfault, "worker process died: killed by signal 11 (SIGSEGV)"),
        (&exit, "worker process died: exit status 0"),
        (&abort, "worker process died: killed by signal 6 (SIGABRT)"),
    ] {
        let job = queue.wait_state(id, "dead");
        assert_eq!(history(&job), ["1 crashed", "2 crashed"], "{job}");
        let call = format!(
            "{why} during a call into the plugin {} (starting a run)",
            plugin.display()
        );
        assert_eq!(job["error"], *call);
        node.wait_log(&call);
    }
    assert_eq!(queue.json(["dlq:list"]).as_array().unwrap().len(), 3);
    assert_eq!(history(&queue.job(&good)), ["1 succeeded"]);
    assert_eq!(history(&queue.wait_state(&after, "completed")), ["1 succeeded"]);
    gate.open();
    assert_eq!(
        history(&queue.wait_state(&bystander, "completed")),
        ["1 succeeded"]
    );
    assert_eq!(node.workers(2).len(), 2, "what died was replaced");
}

#[test]
fn a_plugin_that_hangs_while_it_is_loaded_costs_its_own_job_alone() {
    for (fault, call) in [
        ("HANG_CREATE", "making an instance"),
        ("HANG_LOAD", "being loaded"),
    ] {
        let queue = Queue::quick();
        let Some(file) = crate::conformance::faulty(&queue, "faults", fault) else {
            let test = "a_plugin_that_hangs_while_it_is_loaded_costs_its_own_job_alone";
            queuectl_testkit::skipped(test, "there is no C compiler `cc`");
            return;
        };
        let gate = queue.gate("gate");
        let folder = file.parent().unwrap().to_str().unwrap();
        let words = ["worker:start", "--concurrency", "2", "--plugin-dir", folder];
        let node = Node::start_command(&queue, &words, |command| {
            command.env("QUEUECTL_PLUGIN_CALL_LIMIT", "300ms");
        });
        let bystander = queue.enqueue(["--max-retries", "0", crate::support::GATED]);
        queue.wait_lines("started", 1);
        let hanging = queue.enqueue([r#"{"executor":"faults","max_retries":0,"payload":{"do":"it"}}"#]);
        let job = queue.wait_state(&hanging, "dead");
        assert_eq!(history(&job), ["1 crashed"], "{job}");
        let why = format!(
            "worker process died: the plugin {} hangs: it did not return from {call} within 300 ms",
            file.display()
        );
        assert_eq!(job["error"], *why);
        node.wait_log(&format!(
            "ending the worker process: {}",
            &why["worker process died: ".len()..]
        ));
        // In the same worker process, and not at fault: it runs again, though it has no second attempt.
        queue.wait_lines("started", 2);
        gate.open();
        let job = queue.wait_state(&bystander, "completed");
        assert_eq!(history(&job), ["1 returned", "2 succeeded"], "{job}");
    }
}

#[test]
fn a_plugin_that_hangs_with_a_job_costs_its_worker_alone() {
    let Some(queue) = with_plugin("a_plugin_that_hangs_with_a_job_costs_its_worker_alone") else {
        return;
    };
    let gate = queue.gate("gate");
    let plugins = queue.path("plugins");
    let words = [
        "worker:start",
        "--count",
        "2",
        "--plugin-dir",
        plugins.to_str().unwrap(),
    ];
    let node = Node::start_command(&queue, &words, |command| {
        command.env("QUEUECTL_PLUGIN_CALL_LIMIT", "300ms");
    });
    let bystander = queue.enqueue([crate::support::GATED]);
    queue.wait_lines("started", 1);
    for (what, timeout, words) in [
        (
            "hang",
            "1h",
            "hangs: it did not return from starting a run within 300 ms",
        ),
        (
            "stay",
            "100ms",
            "hangs: it did not return from stopping a run within 300 ms",
        ),
    ] {
        let id = queue.enqueue([format!(
            r#"{{"executor":"fatal","max_retries":0,"timeout":"{timeout}","payload":{{"do":"{what}"}}}}"#
        )]);
        let job = queue.wait_state(&id, "dead");
        assert_eq!(history(&job), ["1 crashed"], "{job}");
        let why = job["error"].as_str().unwrap();
        assert!(
            why.starts_with("worker process died: the plugin ") && why.ends_with(words),
            "{why}"
        );
        node.wait_log(words);
    }
    gate.open();
    assert_eq!(
        history(&queue.wait_state(&bystander, "completed")),
        ["1 succeeded"]
    );
}

#[test]
fn a_run_that_a_plugin_does_not_end_costs_its_worker_process_and_no_other_job() {
    let test = "a_run_that_a_plugin_does_not_end_costs_its_worker_process_and_no_other_job";
    for (what, cancel) in [("deaf", false), ("deaf, unhandled", true)] {
        let Some(queue) = with_plugin(test) else { return };
        queue.ok(["config:set", "kill_grace", "100ms"]);
        let gate = queue.gate("gate");
        let plugins = queue.path("plugins");
        let node = queue.start(&["--concurrency", "2", "--plugin-dir", plugins.to_str().unwrap()]);
        let bystander = queue.enqueue(["--max-retries", "0", crate::support::GATED]);
        queue.wait_lines("started", 1);
        let timeout = if cancel { "1h" } else { "100ms" };
        let deaf = queue.enqueue([format!(
            r#"{{"executor":"fatal","max_retries":0,"timeout":"{timeout}","payload":{{"do":"{what}"}}}}"#
        )]);
        let (state, kind) = if cancel {
            queue.wait_state(&deaf, "processing");
            queue.ok(["cancel", &deaf]);
            ("cancelled", "1 cancelled")
        } else {
            ("dead", "1 timed_out")
        };
        let job = queue.wait_state(&deaf, state);
        assert_eq!(history(&job), [kind], "{job}");
        let why = format!(
            "the plugin {} did not end the run of job {deaf} within 5 s after it was told to kill it",
            plugins.join("libqueuectl_plugin_fatal.so").display()
        );
        let told = job["attempt_history"][0]["error"].as_str().unwrap();
        assert!(told.ends_with(&why), "{told}");
        node.wait_log(&format!("ending the worker process: {why}"));
        queue.wait_lines("started", 2);
        gate.open();
        let job = queue.wait_state(&bystander, "completed");
        assert_eq!(history(&job), ["1 returned", "2 succeeded"], "{job}");
    }
}

/// Prints what a job inherits, in a folder of its own.
const INHERITED: &str = "echo $PATH; umask; grep -E '^(Sig(Blk|Ign)|Uid|NoNewPrivs)' /proc/self/status; ulimit -n; \
                         ls -l /proc/self/fd | wc -l; readlink /proc/$PPID/cwd";

#[cfg(target_os = "linux")]
#[test]
fn what_a_plugin_changes_is_put_back_before_another_job_inherits_it() {
    let test = "what_a_plugin_changes_is_put_back_before_another_job_inherits_it";
    let faults = [
        ("SETENV", "the environment (PATH)"),
        ("CHDIR", "the working folder"),
        ("UMASK", "the umask"),
        ("LOAD_UMASK", "the umask"),
        ("CHILD_HANDLER", "SIGCHLD is taken from the host"),
        ("IGNORES", "SIGUSR1 is ignored"),
        ("BLOCKS", "the signals of the calling thread"),
        ("LOWERS", "the limit of open files"),
        ("CLOSES", "standard stream 0"),
        ("INHERITED", "descriptors that jobs would inherit"),
    ];
    for (fault, words) in faults {
        let queue = Queue::quick();
        let Some(file) = crate::conformance::faulty(&queue, "faults", fault) else {
            queuectl_testkit::skipped(test, "there is no C compiler `cc`");
            return;
        };
        let folder = file.parent().unwrap().to_str().unwrap();
        let node = queue.start(&["--plugin-dir", folder]);
        let before = queue.enqueue([INHERITED]);
        queue.wait_state(&before, "completed");
        let faulty = queue.enqueue([r#"{"executor":"faults","max_retries":0,"payload":{"do":"it"}}"#]);
        queue.wait_state(&faulty, "completed");
        let after = queue.enqueue([INHERITED]);
        queue.wait_state(&after, "completed");
        assert_eq!(queue.ok(["logs", &after]), queue.ok(["logs", &before]), "{fault}");
        let call = if fault == "LOAD_UMASK" {
            "being loaded"
        } else {
            "starting a run"
        };
        node.wait_log(&format!(
            "the plugin {} changed in {call} what all jobs share: {words}; restored",
            file.display()
        ));
        assert_eq!(node.workers(1).len(), 1);
    }
}

/// A plugin that is alone in its worker process is not looked at after each call.
#[cfg(target_os = "linux")]
#[test]
fn what_the_only_plugin_changed_is_put_back_before_another_one_is_called() {
    let test = "what_the_only_plugin_changed_is_put_back_before_another_one_is_called";
    let faults = [
        ("SETENV", "the environment (PATH)"),
        ("CHDIR", "the working folder"),
        ("UMASK", "the umask"),
        ("IGNORES", "SIGUSR1 is ignored"),
        ("LOWERS", "the limit of open files"),
        ("INHERITED", "descriptors that jobs would inherit"),
    ];
    for (fault, words) in faults {
        let queue = Queue::quick();
        let Some(file) = crate::conformance::faulty(&queue, "faults", fault) else {
            queuectl_testkit::skipped(test, "there is no C compiler `cc`");
            return;
        };
        let folder = file.parent().unwrap().to_str().unwrap();
        let job = queue.enqueue([INHERITED]);
        queue.start(&["--drain", "--plugin-dir", folder]).wait_exit();
        let alone = queue.ok(["logs", &job]);

        let node = queue.start(&["--plugin-dir", folder]);
        // More than the calls that are looked at one by one.
        for _ in 0..20 {
            let faulty = queue.enqueue([r#"{"executor":"faults","max_retries":0,"payload":{"do":"it"}}"#]);
            queue.wait_state(&faulty, "completed");
        }
        let job = queue.enqueue([INHERITED]);
        queue.wait_state(&job, "completed");
        assert_eq!(queue.ok(["logs", &job]), alone, "{fault}");
        // It was there to be restored: the last looks before had not seen it.
        node.wait_log(&format!(
            "the plugin {} changed in an earlier call, or between calls, what all jobs share: {words}; restored",
            file.display()
        ));
        assert_eq!(node.workers(1).len(), 1);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_put_back_costs_the_worker_process_and_no_other_job() {
    let test = "what_cannot_be_put_back_costs_the_worker_process_and_no_other_job";
    if !nix::unistd::geteuid().is_root() {
        queuectl_testkit::skipped(test, "only root can become somebody else");
        return;
    }
    let queue = Queue::quick();
    let Some(file) = crate::conformance::faulty(&queue, "faults", "SETUID") else {
        queuectl_testkit::skipped(test, "there is no C compiler `cc`");
        return;
    };
    let gate = queue.gate("gate");
    let folder = file.parent().unwrap().to_str().unwrap();
    let node = queue.start(&["--concurrency", "2", "--plugin-dir", folder]);
    let bystander = queue.enqueue(["--max-retries", "0", crate::support::GATED]);
    queue.wait_lines("started", 1);
    let faulty = queue.enqueue([r#"{"executor":"faults","max_retries":0,"payload":{"do":"it"}}"#]);
    let job = queue.wait_state(&faulty, "dead");
    let why = format!(
        "worker process died: the plugin {} changed in starting a run what cannot be restored: the user or the group",
        file.display()
    );
    assert!(job["error"].as_str().unwrap().starts_with(&why), "{job}");
    node.wait_log("ending the worker process: the plugin ");
    queue.wait_lines("started", 2);
    gate.open();
    let job = queue.wait_state(&bystander, "completed");
    assert_eq!(history(&job), ["1 returned", "2 succeeded"], "{job}");
}

#[test]
fn the_threads_of_a_plugin_do_not_hear_of_the_ends_of_jobs() {
    let Some(queue) = with_plugin("the_threads_of_a_plugin_do_not_hear_of_the_ends_of_jobs") else {
        return;
    };
    let plugins = queue.path("plugins");
    let _node = queue.start(&["--concurrency", "2", "--plugin-dir", plugins.to_str().unwrap()]);
    let nap = queue.enqueue([r#"{"executor":"fatal","max_retries":0,"payload":{"do":"nap"}}"#]);
    queue.wait_state(&nap, "processing");
    let others: Vec<String> = (0..20).map(|_| queue.enqueue(["true"])).collect();
    for id in &others {
        queue.wait_state(id, "completed");
    }
    queue.wait_state(&nap, "completed");
}

#[test]
fn what_a_plugin_prints_has_a_limit() {
    let Some(queue) = with_plugin("what_a_plugin_prints_has_a_limit") else {
        return;
    };
    let plugins = queue.path("plugins");
    let node = queue.start(&["--plugin-dir", plugins.to_str().unwrap()]);
    let id = queue.enqueue([r#"{"executor":"fatal","max_retries":0,"payload":{"do":"print"}}"#]);
    queue.wait_state(&id, "completed");
    node.wait_log("prints more than 1 MiB a minute; dropping the rest");
    assert!(node.log().len() < 2 * 1024 * 1024, "{}", node.log().len());
}

#[test]
fn a_run_that_is_taken_over_counts_from_its_first_start() {
    let Some(queue) = with_plugin("a_run_that_is_taken_over_counts_from_its_first_start") else {
        return;
    };
    let plugins = queue.path("plugins");
    let node = queue.start(&["--plugin-dir", plugins.to_str().unwrap()]);
    let id =
        queue.enqueue([r#"{"executor":"fatal","max_retries":0,"timeout":"2s","payload":{"do":"keep"}}"#]);
    node.wait_log("job kept");
    send(node.workers(1)[0], Signal::SIGKILL);
    node.wait_log("detail=again");
    let job = queue.wait_state(&id, "dead");
    let attempt = &job["attempt_history"][0];
    assert_eq!(job["error"], "timed out after 2 s");
    assert!(attempt["duration_ms"].as_u64().unwrap() >= 2000, "{attempt}");
    // To the millisecond of what the dispatcher and the worker process each call its start.
    let started = |view: &serde_json::Value| crate::support::time_ms(&view["started_at"]);
    assert!(started(attempt) - started(&job) < 1000, "{job}");
}

#[test]
fn what_a_job_printed_before_its_worker_process_died_is_shown() {
    let queue = Queue::quick();
    let _gate = queue.gate("gate");
    let node = queue.start(&[]);
    let id = queue.enqueue(["--max-retries", "0", "echo said before; read x < gate"]);
    // Once it is beside the queue.
    crate::support::wait_until("the output of a running job", || {
        queue.run(["logs", &id]).out.starts_with(b"said before")
    });
    send(node.workers(1)[0], Signal::SIGKILL);
    let job = queue.wait_state(&id, "dead");
    assert_eq!(history(&job), ["1 crashed"]);
    assert_eq!(job["attempt_history"][0]["output_bytes"], 12);
    assert_eq!(queue.ok(["logs", &id]), "said before");
}

#[test]
fn five_system_failures_are_not_told_as_used_attempts() {
    let queue = Queue::quick();
    queue.enqueue(["--executor", "nowhere", "--max-retries", "9", "x"]);
    let node = queue.start(&[]);
    node.wait_log("job is dead: it could not be run 5 times in a row");
}

#[test]
fn an_executor_that_is_not_there_is_named() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--executor", "nowhere", "--max-retries", "0", "x"]);
    let bystander = queue.enqueue(["true"]);
    assert_eq!(queue.drain(&[]), 1);
    let job = queue.job(&id);
    let why = job["error"].as_str().unwrap();
    assert!(
        why.contains("'nowhere'") && why.contains("libqueuectl_plugin_nowhere.so"),
        "{why}"
    );
    assert_eq!(history(&job).len(), 5, "{job}");
    assert!(
        history(&job)
            .iter()
            .all(|attempt| attempt.ends_with("system_failure"))
    );
    assert_eq!(queue.state(&bystander), "completed");
}

/// The example `append` takes what it finds; here its schema allows no other members.
#[test]
fn a_payload_that_breaks_the_schema_is_refused_before_it_is_stored() {
    let queue = Queue::quick();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let include = here.join("../plugin-api/include");
    std::fs::create_dir(queue.path("plugins")).unwrap();
    let source = std::fs::read_to_string(here.join("../../examples/plugin-c/plugin.c")).unwrap();
    let closed = source.replace(
        r#"\"required\":["#,
        r#"\"additionalProperties\":false,\"required\":["#,
    );
    assert_ne!(source, closed);
    let compiled = compile(
        &queue.write("plugin.c", closed),
        &queue.path("plugins/libqueuectl_plugin_append.so"),
        &["-shared", "-fPIC", "-I", include.to_str().unwrap()],
    );
    if !compiled {
        let test = "a_payload_that_breaks_the_schema_is_refused_before_it_is_stored";
        return queuectl_testkit::skipped(test, "there is no C compiler `cc`");
    }
    let lines = queue.path("lines");
    let fields = format!(r#""file":"{}","line":"it works""#, lines.display());
    let plugins = ["--plugin-dir", "plugins"];
    let enqueue = |more: &[&str]| queue.run([&["enqueue"], &plugins[..], more].concat());
    let broken = [
        (
            format!(r#"{{{fields},"lime":"x"}}"#),
            r#""payload/lime" is not known; "payload" takes file, line"#,
        ),
        (
            format!(r#"{{{fields},"line2":{{"a":1}}}}"#),
            r#""payload/line2" is not known"#,
        ),
    ];
    for (payload, why) in &broken {
        queue.write("payload.json", payload);
        let job = format!(r#"{{"executor":"append","payload":{payload}}}"#);
        queue.write("job.jsonl", &job);
        for way in [
            &[job.as_str()][..],
            &["--executor", "append", "--payload", payload],
            &["--executor", "append", "--payload", "@payload.json"],
            &["--from", "job.jsonl"],
        ] {
            let said = enqueue(way).fails(2);
            assert!(said.contains("the executor 'append' refuses the job"), "{said}");
            assert!(said.contains(why), "{said}");
        }
    }
    assert!(!queue.db().exists() || queue.jobs().is_empty(), "none is stored");
    // What fits is stored and runs, with an option in place of the whole job.
    let good = format!("{{{fields}}}");
    queue.write("payload.json", format!("\u{feff}{good}\n"));
    enqueue(&["--executor", "append", "--payload", &good]).ok();
    enqueue(&["--payload", "@payload.json", "--executor", "append"]).ok();
    // An option wins over a field, also over those of many jobs.
    queue.write("jobs.jsonl", r#"{"executor":"append","payload":{"lime":1}}"#);
    enqueue(&["--payload", &good, "--from", "jobs.jsonl"]).ok();
    assert_eq!(queue.drain(&plugins), 0);
    assert_eq!(queue.lines("lines"), ["it works"; 3]);
    // A plugin that is not here has no say, but what is no object is refused.
    assert_eq!(
        queue
            .run(["enqueue", "--executor", "else", "--payload", r#"{"x":1}"#])
            .status,
        0
    );
    for (bad, why) in [
        ("[1]", "this is not a JSON object"),
        ("{", "this is not valid JSON"),
        (r#"{"a":1,"a":2}"#, r#""a" is given twice"#),
        ("@nowhere.json", "cannot read nowhere.json"),
    ] {
        let said = queue.fails(2, ["enqueue", "--executor", "else", "--payload", bad]);
        assert!(said.contains(why), "{bad}: {said}");
    }
    let said = queue.fails(2, ["enqueue", "--executor", "else"]);
    assert!(said.contains("required"), "{said}");
}
