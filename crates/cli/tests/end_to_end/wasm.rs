//! The wasm executor: real programs, written as text, on real worker processes.

pub mod programs;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use self::programs::*;
use crate::support::{Node, Queue, history, wait_until};

impl Queue {
    /// Stores a job for a program, which is written to a file of that name first.
    fn wasm(&self, name: &str, program: &str, more: Value) -> String {
        let file = format!("{name}.wat");
        // A file that is there may just be read.
        if !self.path(&file).exists() {
            self.write(&file, program);
        }
        self.wasm_file(&file, more)
    }

    /// Stores a job for a file. What is not the job's own goes into its payload.
    fn wasm_file(&self, file: &str, more: Value) -> String {
        self.enqueue([wasm_job(file, more).to_string()])
    }

    /// What a job printed, once it has completed.
    fn printed(&self, id: &str) -> String {
        self.wait_state(id, "completed");
        self.ok(["logs", "--raw", id])
    }

    /// Why a job is dead.
    fn why(&self, id: &str) -> String {
        let job = self.wait_state(id, "dead");
        job["error"].as_str().unwrap().to_owned()
    }
}

fn wasm_job(file: &str, more: Value) -> Value {
    let mut job = json!({"executor": "wasm", "max_retries": 0, "payload": {"module": file}});
    for (name, value) in more.as_object().unwrap() {
        match name.as_str() {
            "stdin" | "timeout" | "job_env" => job[name.trim_start_matches("job_")] = value.clone(),
            _ => job["payload"][name] = value.clone(),
        }
    }
    job
}

#[test]
fn wasm_programs_get_what_their_job_says_and_end_as_they_will() {
    let queue = Queue::quick();
    let node = queue.start(&["--concurrency", "4"]);
    let hello = queue.wasm("hello", &hello(), json!({}));
    let three = queue.wasm("three", &exit(3), json!({}));
    let echo = queue.wasm(
        "echo",
        &echo(),
        json!({"args": ["one", "two words"], "env": {"A": "own"}, "job_env": {"A": "job", "B": "job"}, "stdin": "input"}),
    );
    let with_fuel = queue.wasm_file(
        "hello.wat",
        json!({"fuel": 1000, "deadline": "1m", "memory": "1MiB"}),
    );
    assert_eq!(queue.printed(&hello), "hello");
    assert_eq!(queue.job(&hello)["attempt_history"][0]["exit_code"], 0);
    assert_eq!(queue.why(&three), "exit status 3");
    assert_eq!(queue.job(&three)["attempt_history"][0]["exit_code"], 3);
    let words = queue.printed(&echo);
    let words: Vec<&str> = words.split('\0').collect();
    let (id, fence) = (format!("QUEUECTL_JOB_ID={echo}"), "QUEUECTL_FENCE=1");
    let expected = [
        "echo.wat",
        "one",
        "two words",
        "A=own",
        "B=job",
        &id,
        "QUEUECTL_ATTEMPT=1",
        fence,
    ];
    // All of the environment: nothing of the worker's is in it.
    assert_eq!(
        words,
        [&expected[..], &["QUEUECTL_QUEUE=default", "input"]].concat()
    );
    assert_eq!(queue.printed(&with_fuel), "hello");
    node.wait_log("job fuel");
}

#[test]
fn wasm_programs_without_end_are_stopped() {
    let queue = Queue::quick();
    let node = queue.start(&["--concurrency", "8"]);
    let workers = node.workers(1);
    let bystander = queue.wasm("sleep", &sleep(), json!({"args": ["bystander"]}));
    let deadline = queue.wasm("loop", LOOP, json!({"deadline": "100ms"}));
    let asleep = queue.wasm_file("sleep.wat", json!({"deadline": "100ms"}));
    let fuel = queue.wasm_file("loop.wat", json!({"fuel": 100_000}));
    let timeout = queue.wasm_file("loop.wat", json!({"timeout": "150ms"}));
    let timeout_asleep = queue.wasm_file("sleep.wat", json!({"timeout": "150ms"}));
    let in_start = queue.wasm("start", START_LOOP, json!({"deadline": "100ms"}));
    assert_eq!(queue.why(&deadline), "deadline: it ran longer than 0.1 s");
    assert_eq!(queue.why(&asleep), "deadline: it ran longer than 0.1 s");
    assert_eq!(queue.why(&in_start), "deadline: it ran longer than 0.1 s");
    let said = queue.why(&fuel);
    assert!(
        said.starts_with("out of fuel: it used all of its 100000 units"),
        "{said}"
    );
    for id in [timeout, timeout_asleep] {
        assert_eq!(history(&queue.wait_state(&id, "dead")), ["1 timed_out"]);
    }
    // All kinds are cancelled while they run: one that computes, one that sleeps, and one that waits in the
    // operating system, for somebody to open the other end of a named pipe.
    nix::unistd::mkfifo(&queue.path("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let dirs = json!([{"host": ".", "guest": "."}]);
    for id in [
        queue.wasm("announced", &announced_loop(), json!({})),
        queue.wasm_file("sleep.wat", json!({})),
        queue.wasm("cat", &cat(), json!({"args": ["pipe"], "dirs": dirs})),
    ] {
        wait_until("output of the program", || {
            queue.ok(["logs", &id]).contains("here")
        });
        queue.ok(["cancel", "--wait", &id]);
        let job = queue.job(&id);
        assert_eq!(history(&job), ["1 cancelled"]);
    }
    assert_eq!(queue.state(&bystander), "processing");
    assert_eq!(node.workers(1), workers, "no worker process died of it");
    queue.ok(["worker:stop", "--now", "--wait"]);
    let job = queue.job(&bystander);
    assert_eq!(
        (history(&job), &job["state"]),
        (vec!["1 returned".to_owned()], &"pending".into())
    );
}

#[test]
fn wasm_programs_have_limits() {
    let queue = Queue::quick();
    let node = queue.start(&["--concurrency", "4"]);
    let workers = node.workers(1);
    let eats = queue.wasm("eats", EATS, json!({"memory": "3MiB"}));
    let at_once = queue.wasm(
        "much",
        "(module (memory 100) (func (export \"_start\")))",
        json!({"memory": "1MiB"}),
    );
    let fits = queue.wasm_file("much.wat", json!({"memory": "7MiB"}));
    let deep = queue.wasm("deep", DEEP, json!({}));
    let zero = queue.wasm("zero", ZERO, json!({}));
    queue.write("file", "");
    let args = json!({"args": ["file"], "dirs": [{"host": ".", "guest": "."}]});
    let opens = queue.wasm("opens", &opens(), args);
    let said = queue.why(&eats);
    assert!(said.starts_with("trap: unreachable"), "{said}");
    assert!(
        said.contains("memory limit: it wanted") && said.contains("may have 3.0 MiB"),
        "{said}"
    );
    let said = queue.why(&at_once);
    assert!(
        said.starts_with("memory limit: it wanted 6.2 MiB and may have 1.0 MiB"),
        "{said}"
    );
    queue.wait_state(&fits, "completed");
    assert!(queue.why(&deep).starts_with("trap: stack overflow"));
    assert_eq!(queue.why(&zero), "trap: integer divide by zero");
    assert_eq!(
        queue.why(&opens),
        "too many open files: it may have 256 open beside its dirs"
    );
    let trace = queue.ok(["logs", &zero]);
    assert!(
        trace.contains("in divides\n"),
        "the function's name is told: {trace}"
    );
    assert_eq!(node.workers(1), workers);
}

#[test]
fn wasm_programs_reach_the_folders_of_their_job_alone() {
    let queue = Queue::quick();
    let _node = queue.start(&["--concurrency", "4"]);
    fs::create_dir(queue.path("data")).unwrap();
    queue.write("data/file", "content");
    queue.write("secret", "secret");
    let read = |args: Value, dirs: Value| queue.wasm("cat", &cat(), json!({"args": args, "dirs": dirs}));
    let data = json!([{"host": "data", "guest": "/data"}]);
    let writable = json!([{"host": "data", "guest": "/data", "read_only": false}]);
    let none = read(json!(["file"]), json!([]));
    let given = read(json!(["file"]), data.clone());
    let outside = read(json!(["../secret"]), data.clone());
    let absolute = read(json!([queue.path("secret")]), data.clone());
    let write = |dirs: Value| queue.wasm("touch", &touch(), json!({"args": ["new"], "dirs": dirs}));
    let missing = read(json!(["file"]), json!([{"host": "nowhere", "guest": "/"}]));
    // Errors of WASI: 8 is BADF, 63 PERM, 69 ROFS, 76 NOTCAPABLE.
    assert_eq!(queue.why(&none), "exit status 8");
    assert_eq!(queue.printed(&given), "here\ncontent");
    assert_eq!(
        (queue.why(&outside), queue.why(&absolute)),
        ("exit status 63".into(), "exit status 63".into())
    );
    let refused = write(data);
    assert_eq!(queue.why(&refused), "exit status 63");
    assert!(!queue.path("data/new").exists());
    let made = write(writable);
    queue.wait_state(&made, "completed");
    assert!(queue.path("data/new").exists());
    let said = queue.why(&missing);
    assert!(
        said.starts_with("cannot open the folder") && said.contains("nowhere"),
        "{said}"
    );
    // An operator can forbid folders altogether.
    queue.ok(["config:set", "wasm.allow_dirs", "false"]);
    let job = wasm_job("cat.wat", json!({"dirs": [{"host": "data", "guest": "/"}]})).to_string();
    let said = queue.fails(2, ["enqueue", &job]);
    assert!(said.contains("wasm.allow_dirs is false"), "{said}");
}

#[test]
fn wasm_modules_that_cannot_run_are_named() {
    let queue = Queue::quick();
    let _node = queue.start(&["--concurrency", "4"]);
    let imports = "(module (import \"env\" \"one\" (func)) (import \"env\" \"two\" (global i32))
        (func (export \"_start\")))";
    let newer = "(module (import \"wasi_snapshot_preview1\" \"sing\" (func)) (func (export \"_start\")))";
    queue.write("bytes.wasm", b"\0asm\x01\0\0\0\xff");
    for (id, wanted) in [
        (
            queue.wasm_file("nowhere.wasm", json!({})),
            "nowhere.wasm: No such file or directory",
        ),
        (
            queue.wasm_file("bytes.wasm", json!({})),
            "bytes.wasm is not a valid module",
        ),
        (
            queue.wasm("text", "(module (func", json!({})),
            "text.wat is not a valid module",
        ),
        (
            queue.wasm("imports", imports, json!({})),
            "wants what is not offered: env.one, env.two;",
        ),
        (
            queue.wasm("library", "(module)", json!({})),
            "library.wat has no _start",
        ),
        (
            queue.wasm("newer", newer, json!({})),
            "wants what is not offered: wasi_snapshot_preview1.sing;",
        ),
        (queue.wasm_file(".", json!({})), "is not a file"),
    ] {
        let said = queue.why(&id);
        assert!(said.contains(wanted), "{said}");
        assert_eq!(history(&queue.job(&id)), ["1 failed"]);
    }
    // What needs no look at a file is refused before it is stored.
    let said = queue.fails(2, ["enqueue", "--executor", "wasm", "hello.wasm"]);
    assert!(said.contains("takes no command"), "{said}");
    let said = queue.fails(
        2,
        [
            "enqueue",
            &wasm_job("a", json!({"memory": "64 apples"})).to_string(),
        ],
    );
    assert!(said.contains("'64 apples' is not a size"), "{said}");
    let good = queue.wasm("hello", &hello(), json!({}));
    assert_eq!(queue.printed(&good), "hello");
}

#[test]
fn wasm_components_run() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    let good = queue.wasm("good", &component(0), json!({}));
    let bad = queue.wasm("bad", &component(1), json!({}));
    queue.wait_state(&good, "completed");
    assert_eq!(queue.why(&bad), "exit status 1");
}

#[test]
fn wasm_output_is_bounded_and_complete() {
    let queue = Queue::quick();
    let _node = queue.start(&[]);
    // 32 MiB, of which the queue keeps the ends.
    let id = queue.wasm("much", &prints(32 * 1024), json!({}));
    let job = queue.wait_state(&id, "completed");
    assert_eq!(job["attempt_history"][0]["output_bytes"], 32 * 1024 * 1024);
}

/// The files with compiled code.
fn cached(queue: &Queue) -> Vec<PathBuf> {
    let folder = queue.path("home/.cache/queuectl/wasm");
    let files = fs::read_dir(folder).map(|files| files.map(|file| file.unwrap().path()).collect());
    files.unwrap_or_default()
}

/// Runs the job on a node of its own; the numbers that the plugin gave at its end.
fn stats(queue: &Queue, jobs: usize) -> String {
    let before = cached(queue).len();
    let ids: Vec<String> = (0..jobs)
        .map(|_| queue.wasm("hello", &hello(), json!({})))
        .collect();
    let mut node = Node::start(queue, &["--drain", "-v"]);
    assert_eq!(node.wait_exit(), 0, "{}", node.log());
    assert!(ids.iter().all(|id| queue.ok(["logs", id]) == "hello"));
    assert!(before <= cached(queue).len());
    node.log()
}

#[test]
fn wasm_code_is_compiled_once_and_taken_only_from_private_files() {
    let queue = Queue::quick();
    let has = |log: &str, wanted: &[&str]| {
        for number in wanted {
            assert!(
                log.contains(&number.replace('\'', "\\\"")) || log.contains(&number.replace('\'', "\"")),
                "{number}\n{log}"
            );
        }
    };
    has(
        &stats(&queue, 2),
        &["'compiled':1", "'memory_hits':1", "'disk_hits':0", "'runs':2"],
    );
    let file = cached(&queue).pop().unwrap();
    has(
        &stats(&queue, 1),
        &["'compiled':0", "'disk_hits':1", "'cache_files_refused':0"],
    );
    // Somebody else could have written it.
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    has(
        &stats(&queue, 1),
        &["'compiled':1", "'cache_files_refused':1", "others may write to"],
    );
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600,
        "it was replaced"
    );
    // It was damaged.
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    has(
        &stats(&queue, 1),
        &["'compiled':1", "'cache_files_refused':1", "is damaged"],
    );
    // A folder that others may write to is not used.
    let folder = file.parent().unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o777)).unwrap();
    has(&stats(&queue, 1), &["'compiled':1", "'cache_files_refused':1"]);
    fs::remove_dir_all(folder).unwrap();
    queue.ok(["config:set", "wasm.cache_dir", "none"]);
    has(&stats(&queue, 1), &["'compiled':1", "'cache_files_refused':0"]);
    assert_eq!(cached(&queue).len(), 0);
}

#[test]
fn a_thousand_wasm_programs_run_at_once() {
    let queue = Queue::quick();
    queue.write("hello.wat", hello());
    queue.write("nap.wat", nap());
    let mut lines = String::new();
    for n in 0..1000 {
        let file = if n % 2 == 0 { "hello.wat" } else { "nap.wat" };
        lines += &format!("{}\n", wasm_job(file, json!({})));
    }
    queue.run_with(["enqueue", "--from", "-"], lines.as_bytes()).ok();
    let mut node = Node::start(&queue, &["--drain", "--concurrency", "1000"]);
    assert_eq!(node.wait_exit(), 0, "{}", node.log());
    let completed = queue.json(["list", "--state", "completed", "--limit", "2000"]);
    assert_eq!(completed.as_array().unwrap().len(), 1000);
    let log = node.log();
    assert!(!log.contains("died") && !log.contains("ERROR"), "{log}");
}
