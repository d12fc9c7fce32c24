//! Jobs that are HTTP requests, against a real server on this machine, which the operator has to allow first.

mod course;
pub mod server;
mod tls;

use serde_json::{Value, json};

use self::server::{Server, answer, wait_closed};
use crate::support::{Node, Queue, history};

/// A queue whose jobs may reach this machine, and end with their first failure.
pub fn open_queue() -> Queue {
    let queue = Queue::quick();
    queue.ok(["config:set", "http.allow_private", "true"]);
    queue.ok(["config:set", "max_retries", "0"]);
    queue
}

fn job(payload: &Value) -> String {
    json!({ "executor": "http", "payload": payload }).to_string()
}

/// Stores a request with those members besides its url.
fn request(queue: &Queue, url: &str, members: Value) -> String {
    let mut payload = members;
    payload["url"] = url.into();
    queue.enqueue([job(&payload)])
}

fn node(queue: &Queue) -> Node {
    queue.start(&["--concurrency", "16"])
}

/// Waits until a job is dead; why it is.
fn why(queue: &Queue, id: &str) -> String {
    let job = queue.wait_state(id, "dead");
    assert_eq!(history(&job), ["1 failed"], "{job}");
    job["error"].as_str().unwrap().to_owned()
}

#[test]
fn a_body_arrives_as_it_was_written() {
    // Numbers that no computer holds, an order that means something, escapes; but a member given twice is refused.
    let exact = r#"{"z":123456789012345678901234567890,"b":18446744073709551616,"c":-0,"a":[1.0,1e5,1E-7],"s":"\u00e4\/"}"#;
    let server = Server::start(|seen, stream| {
        answer(stream, "200 OK", "", &seen.body);
    });
    let queue = open_queue();
    let url = server.url("/");
    let line = format!("{{\"executor\":\"http\",\"payload\":{{\"url\":\"{url}\",\"json\":{exact}}}}}");
    let ids = [
        queue.enqueue([line.as_str()]),
        queue.run_with(["enqueue", "--from", "-"], line.as_bytes()).ok(),
    ];
    let _node = node(&queue);
    for id in ids {
        queue.wait_state(&id, "completed");
        assert_eq!(queue.ok(["logs", &id]), exact);
        let shown = queue.ok(["show", &id, "--json"]);
        assert!(shown.contains(exact), "{shown}");
    }
    let twice = line.replace("\"c\":-0", "\"c\":{\"k\":1,\"k\":2}");
    let said = queue.fails(2, ["enqueue", &twice]);
    assert!(said.contains("\"payload/json/c/k\" is given twice"), "{said}");
    let said = queue
        .run_with(["enqueue", "--from", "-"], twice.as_bytes())
        .fails(2);
    assert!(
        said.contains("line 1: \"payload/json/c/k\" is given twice"),
        "{said}"
    );
    assert_eq!(queue.jobs().len(), 2);
}

#[test]
fn an_answer_is_the_output_and_its_status_decides() {
    let server = Server::start(|seen, stream| match seen.path() {
        "/created" => answer(stream, "201 Created", "", "it is there\n"),
        "/broken" => answer(stream, "500 Internal Server Error", "", "<h1>sorry</h1>\n"),
        _ => answer(stream, "404 Not Found", "", "nothing here\n"),
    });
    let queue = open_queue();
    let _node = node(&queue);
    let created = request(
        &queue,
        &server.url("/created"),
        json!({ "expect_body": "is there" }),
    );
    let broken = request(&queue, &server.url("/broken"), json!({}));
    let missing = request(
        &queue,
        &server.url("/nowhere"),
        json!({ "expect_status": ["200-299", 404] }),
    );
    let narrow = request(&queue, &server.url("/created"), json!({ "expect_status": [200] }));
    let silent = request(&queue, &server.url("/created"), json!({ "expect_body": "gone" }));
    let head = request(&queue, &server.url("/created"), json!({ "method": "head" }));
    queue.wait_state(&created, "completed");
    assert_eq!(queue.ok(["logs", &created]), "it is there");
    assert_eq!(why(&queue, &broken), "HTTP 500 Internal Server Error");
    assert_eq!(
        queue.ok(["logs", &broken]),
        "<h1>sorry</h1>",
        "the answer helps to find the fault"
    );
    queue.wait_state(&missing, "completed");
    assert_eq!(why(&queue, &narrow), "HTTP 201 Created");
    assert_eq!(
        why(&queue, &silent),
        "HTTP 201 Created, but its body has no 'gone'"
    );
    queue.wait_state(&head, "completed");
    assert_eq!(queue.ok(["logs", &head]), "");
}

#[test]
fn a_request_has_what_the_job_says_and_marks_of_its_own() {
    let server = Server::start(|seen, stream| match seen.path() {
        "/twice" => answer(stream, "503 Service Unavailable", "", ""),
        _ => answer(stream, "204 No Content", "", ""),
    });
    let queue = open_queue();
    queue.ok(["config:set", "max_retries", "1"]);
    let _node = node(&queue);
    let id = request(
        &queue,
        &server.url("/json?a=b"),
        json!({ "json": { "a": [1, "ä"] }, "headers": { "X-Own": "1" } }),
    );
    queue.wait_state(&id, "completed");
    let seen = server.wait("/json?a=b");
    assert_eq!(
        (seen.line.as_str(), seen.body.as_str()),
        ("POST /json?a=b", r#"{"a":[1,"ä"]}"#)
    );
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(seen.headers["user-agent"], format!("queuectl/{version}"));
    assert_eq!(seen.headers["content-type"], "application/json");
    assert_eq!(seen.headers["x-own"], "1");
    let own = json!({ "method": "PUT", "body": "text", "headers": { "idempotency-key": "mine", "user-agent": "me" } });
    let id = request(&queue, &server.url("/own"), own);
    queue.wait_state(&id, "completed");
    let seen = server.wait("/own");
    assert_eq!((seen.line.as_str(), seen.body.as_str()), ("PUT /own", "text"));
    assert_eq!(
        (
            seen.headers["idempotency-key"].as_str(),
            seen.headers["user-agent"].as_str()
        ),
        ("mine", "me")
    );
    // The key names store, job and attempt, and an attempt after a retry by hand is a new one.
    let id = request(&queue, &server.url("/twice"), json!({}));
    queue.wait_state(&id, "dead");
    queue.ok(["dlq:retry", &id]);
    queue.wait_state(&id, "dead");
    let seen = server.seen().into_iter().filter(|seen| seen.path() == "/twice");
    let keys: Vec<String> = seen.map(|seen| seen.headers["idempotency-key"].clone()).collect();
    let store = keys[0].split('-').nth(1).unwrap();
    assert!(!store.is_empty());
    let expected: Vec<String> = (1..=4)
        .map(|fence| format!("queuectl-{store}-{id}-{fence}"))
        .collect();
    assert_eq!(keys, expected);
}

#[test]
fn the_server_says_when_to_come_back() {
    use std::time::{Duration, SystemTime};
    let server = Server::start(|seen, stream| {
        let date = SystemTime::now() + Duration::from_secs(120);
        let date = jiff::Timestamp::try_from(date)
            .unwrap()
            .strftime("%a, %d %b %Y %H:%M:%S GMT");
        match seen.path() {
            "/seconds" => answer(stream, "503 Service Unavailable", "retry-after: 90\r\n", ""),
            "/date" => answer(
                stream,
                "429 Too Many Requests",
                &format!("retry-after: {date}\r\n"),
                "",
            ),
            _ => answer(stream, "503 Service Unavailable", "", ""),
        }
    });
    let queue = Queue::new();
    queue.ok(["config:set", "http.allow_private", "true"]);
    let _node = node(&queue);
    let wait = |path: &str| {
        let id = request(&queue, &server.url(path), json!({}));
        let job = queue.wait_state(&id, "failed");
        let ended = crate::support::time_ms(&job["attempt_history"][0]["finished_at"]);
        let wait = crate::support::time_ms(&job["run_at"]) - ended;
        let outcome = if path == "/control" { "1 failed" } else { "1 busy" };
        assert_eq!(history(&job), [outcome], "{job}");
        assert_eq!(job["attempts"], u8::from(path == "/control"), "{job}");
        (job["error"].as_str().unwrap().to_owned(), wait)
    };
    let (error, ms) = wait("/seconds");
    assert_eq!(
        (error.as_str(), ms),
        ("HTTP 503 Service Unavailable; retry after 90 s", 90_000)
    );
    let (error, ms) = wait("/date");
    assert!(
        error.starts_with("HTTP 429 Too Many Requests; retry after 1"),
        "{error}"
    );
    assert!((100_000..=120_000).contains(&ms), "{ms}");
    let (error, ms) = wait("/control");
    assert_eq!((error.as_str(), ms), ("HTTP 503 Service Unavailable", 2000));
}

#[test]
fn only_the_operator_lets_jobs_into_the_network() {
    let server = Server::start(|_, stream| answer(stream, "200 OK", "", "secret"));
    let queue = Queue::quick();
    let node = node(&queue);
    let allow =
        "only the operator can allow addresses that are not public: config:set http.allow_private true";
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433"] {
        let url = format!("http://{host}:{}/", server.port());
        let said = queue.fails(2, ["enqueue", &job(&json!({ "url": url }))]);
        assert!(said.contains(allow), "{said}");
    }
    let by_name = format!("http://localhost:{}/", server.port());
    let refused = request(&queue, &by_name, json!({}));
    let error = why(&queue, &refused);
    assert!(
        error.contains(": 'localhost' is ") && error.ends_with(allow),
        "{error}"
    );
    assert!(
        error.starts_with("final, another attempt could not succeed: "),
        "it had four retries left: {error}"
    );
    assert_eq!(server.seen().len(), 0, "nothing got through");
    queue.ok(["config:set", "http.allow_private", "true"]);
    node.wait_log("settings changed");
    let allowed = request(&queue, &by_name, json!({}));
    queue.wait_state(&allowed, "completed");
    assert_eq!(queue.ok(["logs", &allowed]), "secret");
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn mistakes_are_refused_before_the_job_is_stored() {
    let queue = Queue::new();
    for (payload, expected) in [
        (json!({}), "payload: missing field `url`"),
        (json!({ "url": "a.example" }), "the url cannot be read"),
        (json!({ "url": "ftp://a.example" }), "only http and https"),
        (
            json!({ "url": "http://a.example", "tries": 3 }),
            "unknown field `tries`",
        ),
        (
            json!({ "url": "http://a.example", "headers": { "a": "b\nc" } }),
            "line break",
        ),
        (
            json!({ "url": "http://a.example", "timeout": "x" }),
            "is not a timeout",
        ),
    ] {
        let said = queue.fails(2, ["enqueue", &job(&payload)]);
        assert!(
            said.contains("the executor 'http' refuses the job") && said.contains(expected),
            "{said}"
        );
    }
    let command = json!({ "executor": "http", "command": "curl", "payload": { "url": "http://a.example" } });
    let said = queue.fails(2, ["enqueue", &command.to_string()]);
    assert!(said.contains("no use for \"command\""), "{said}");
    assert!(!queue.exists(), "a mistake makes no queue");
    request(&queue, "http://a.example", json!({}));
    assert_eq!(queue.jobs().len(), 1, "the control");
}

#[test]
fn wrong_settings_are_named_and_are_not_the_jobs_fault() {
    let queue = Queue::quick();
    // Set where the plugin is not installed, so that nothing could object.
    let elsewhere = queue.path("queuectl");
    let set = queue.command(["config:set", "http.alow_private", "true"]);
    std::fs::copy(set.get_program(), &elsewhere).unwrap();
    let mut there = std::process::Command::new(elsewhere);
    there.args(set.get_args());
    crate::support::unix::surroundings(&mut there, &set);
    let done = there.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && said.contains("is stored unchecked"),
        "{said}"
    );
    queue.ok(["config:set", "max_retries", "0"]);
    let _node = node(&queue);
    let id = request(&queue, "http://a.example", json!({}));
    let job = queue.wait_state(&id, "dead");
    let error = job["error"].as_str().unwrap();
    assert!(error.contains("unknown field `alow_private`"), "{error}");
    assert_eq!(history(&job)[0], "1 system_failure");
}

#[test]
fn stopping_a_job_aborts_its_request() {
    let (closed, closings) = std::sync::mpsc::channel();
    let server = Server::start(move |seen, stream| {
        wait_closed(stream);
        closed.send(seen.path().to_owned()).unwrap();
    });
    let queue = open_queue();
    let closing = || closings.recv_timeout(crate::support::PATIENCE).unwrap();
    // The grace period is for jobs that can do something with it.
    queue.ok(["config:set", "kill_grace", "1h"]);
    let mut node = node(&queue);
    let cancelled = request(&queue, &server.url("/cancelled"), json!({ "timeout": "1h" }));
    server.wait("/cancelled");
    let refused = queue.fails(4, ["kill", &cancelled]);
    assert!(
        refused.contains("executor http runs jobs without a process"),
        "{refused}"
    );
    queue.ok(["cancel", "--wait", &cancelled]);
    assert_eq!(closing(), "/cancelled");
    assert_eq!(history(&queue.job(&cancelled)), ["1 cancelled"]);
    let mut late: Value = serde_json::from_str(&job(&json!({ "url": server.url("/late") }))).unwrap();
    late["timeout"] = "100ms".into();
    let late = queue.enqueue([late.to_string()]);
    assert_eq!(closing(), "/late");
    assert_eq!(
        history(&queue.wait_state(&late, "dead")),
        ["1 timed_out"],
        "the job's own limit"
    );
    let returned = request(&queue, &server.url("/returned"), json!({}));
    server.wait("/returned");
    queue.ok(["worker:stop", "--now"]);
    assert_eq!(node.wait_exit(), 0);
    assert_eq!(closing(), "/returned");
    assert_eq!(queue.state(&returned), "pending");
}

#[test]
fn a_server_that_is_busy_puts_off_all_jobs_of_the_limit() {
    use std::sync::Mutex;
    use std::time::{Duration, Instant};
    let asked: &'static Mutex<Vec<Instant>> = Box::leak(Box::default());
    let server = Server::start(|_, stream| {
        let mut asked = asked.lock().unwrap();
        asked.push(Instant::now());
        match asked.len() {
            1 => answer(stream, "429 Too Many Requests", "retry-after: 2\r\n", ""),
            _ => answer(stream, "200 OK", "", "done"),
        }
    });
    let queue = open_queue();
    queue.ok(["limit:set", "api", "--rate", "1000/s", "--running", "1"]);
    let url = server.url("/");
    let limited = json!({ "executor": "http", "limit": "api", "payload": { "url": url } }).to_string();
    let ids = [
        queue.enqueue([limited.as_str()]),
        queue.enqueue([limited.as_str()]),
    ];
    let node = node(&queue);
    node.wait_log("busy; the attempt does not count");
    let said = queue.ok(["explain", &ids[1]]);
    assert!(said.contains("limit api is put off for another"), "{said}");
    let shown = queue.json(["limit:show", "api"]);
    assert!(shown["by_key"][0]["busy_until"].is_string(), "{shown}");
    let bystander = request(&queue, &url, json!({}));
    let first = queue.wait_state(&ids[0], "completed");
    assert_eq!(history(&first), ["1 busy", "2 succeeded"], "{first}");
    queue.wait_state(&ids[1], "completed");
    queue.wait_state(&bystander, "completed");
    let asked = asked.lock().unwrap();
    let early = asked
        .iter()
        .filter(|at| at.duration_since(asked[0]) < Duration::from_secs(2));
    assert_eq!(early.count(), 2, "the first, and the one without the limit");
    assert_eq!(asked.len(), 4);
}
