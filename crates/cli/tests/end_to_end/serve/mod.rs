//! `queuectl serve`: the API of a real server, asked over a socket.

mod client;
mod described;
mod once;
mod openapi;
#[cfg(unix)]
mod output;
#[cfg(unix)]
mod pages;
#[cfg(unix)]
mod tls;
mod tokens;

use std::io::{BufRead, BufReader, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use self::client::Server;
use crate::support::Queue;

#[test]
fn a_job_is_stored_seen_and_changed() {
    let queue = Queue::quick();
    let bystander = queue.enqueue(["--id", "bystander", "--queue", "other", "exit 0"]);
    let server = Server::start(&queue, &[]);
    assert_eq!(server.get("/healthz").body, "ok\n");
    assert_eq!(server.get("/readyz").body, "ok\n");
    let before = queue.job(&bystander);

    let stored = server.post("/api/v1/jobs", r#"{"id":"mail","command":"exit 0","priority":7}"#);
    assert_eq!(
        stored.json(201),
        json!({"id": "mail", "existing": false, "replaced": null})
    );
    let twice = server.post("/api/v1/jobs", r#"{"id":"mail","command":"exit 1"}"#);
    let told = twice.json(409);
    assert!(twice.head.contains("application/problem+json"), "{}", twice.head);
    assert_eq!(
        (&told["code"], &told["status"]),
        (&json!("conflict"), &json!(409))
    );
    let bad = server.post("/api/v1/jobs", r#"{"comand":"exit 0"}"#).json(400);
    assert!(bad["detail"].as_str().unwrap().contains("comand"), "{bad}");
    let unique = r#"{"command":"exit 0","unique":"only"}"#;
    let first = server.post("/api/v1/jobs", unique).json(201);
    let second = server.post("/api/v1/jobs", unique).json(200);
    assert_eq!((&second["id"], &second["existing"]), (&first["id"], &json!(true)));

    // The same document as the command line's.
    let shown = server.get("/api/v1/jobs/mail").json(200);
    assert_eq!(shown, queue.json(["show", "mail"]));
    assert_eq!(server.get("/api/v1/jobs/none").json(404)["code"], "not_found");
    let held = server.post("/api/v1/jobs/mail/hold", "").json(200);
    assert_eq!(held, json!({"id": "mail", "result": "held"}));
    let why = server.get("/api/v1/jobs/mail/explain").json(200);
    assert_eq!(why["reasons"][0]["code"], "held", "{why}");
    server.post("/api/v1/jobs/mail/release", "{}").json(200);
    assert_eq!(
        server.post("/api/v1/jobs/mail/retry", "").json(409)["code"],
        "conflict"
    );
    server.post("/api/v1/jobs/mail/eat", "").json(404);
    queue.drain(&["--queue", "default"]);
    assert_eq!(server.get("/api/v1/jobs/mail").json(200)["state"], "completed");
    let removed = server.send("DELETE", "/api/v1/jobs/mail", &[], b"").json(200);
    assert_eq!(removed["result"], "purged");
    server.get("/api/v1/jobs/mail").json(404);
    assert_eq!(queue.job(&bystander), before, "a job that was not named");

    // What was done is in the list of operations, and can be undone.
    let operations = queue.json(["op:list"]);
    let kinds: Vec<&str> = operations
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["kind"].as_str().unwrap())
        .collect();
    for kind in ["hold", "release", "purge"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
}

#[test]
fn queues_are_seen_and_paused() {
    let queue = Queue::quick();
    queue.enqueue(["--queue", "mail", "exit 0"]);
    queue.enqueue(["--queue", "other", "exit 0"]);
    let server = Server::start(&queue, &[]);
    let paused = server
        .post(
            "/api/v1/queues/mail/pause",
            r#"{"reason":"maintenance","for":"2h"}"#,
        )
        .json(200);
    assert_eq!(paused["paused"]["reason"], "maintenance");
    assert_eq!(server.get("/api/v1/queues").json(200), queue.json(["queue:list"]));
    assert_eq!(
        server.get("/api/v1/queues/other").json(200)["paused"],
        Value::Null
    );
    let status = server.get("/api/v1/status").json(200);
    assert_eq!(status["paused"]["mail"]["reason"], "maintenance");
    let resumed = server.post("/api/v1/queues/mail/resume", "").json(200);
    assert_eq!(resumed["paused"], Value::Null);
    assert_eq!(server.get("/api/v1/nodes").json(200), json!([]));
    let bad = server
        .post("/api/v1/queues/mail/pause", r#"{"for":"soon"}"#)
        .json(400);
    assert!(bad["detail"].as_str().unwrap().starts_with("for: "), "{bad}");
    server
        .post("/api/v1/queues/mail/pause", r#"{"until":"2h"}"#)
        .json(400);
}

#[test]
fn many_jobs_come_by_line_and_are_listed_page_by_page() {
    let queue = Queue::quick();
    let server = Server::start(&queue, &[]);
    let lines = |text: &str| {
        server.send(
            "POST",
            "/api/v1/jobs",
            &[("Content-Type", "application/x-ndjson")],
            text.as_bytes(),
        )
    };
    let many: String = (0..2500)
        .map(|at| format!("{{\"id\":\"job{at}\",\"command\":\"exit 0\"}}\n"))
        .collect();
    let stored = lines(&many).json(201);
    assert_eq!(
        (&stored["stored"], &stored["existing"]),
        (&json!(2500), &json!(0))
    );
    assert_eq!(stored["ids"][2499], "job2499");

    // The batch with a mistake is not stored, the one before it is.
    let mut bad: String = (0..1000).map(|at| format!("\"exit {at}\"\n")).collect();
    bad += "\"exit 0\"\n\n{\"id\":\"job7\",\"command\":\"exit 0\"}";
    let told = lines(&bad).json(409);
    assert_eq!(
        (&told["stored"], &told["line"]),
        (&json!(1000), &json!(1001)),
        "{told}"
    );
    assert!(
        told["detail"].as_str().unwrap().starts_with("line 1003: "),
        "{told}"
    );
    assert_eq!(queue.jobs().len(), 3500);

    let mut seen = Vec::new();
    let mut path = "/api/v1/jobs?limit=999&oldest_first=true&select=state%3Dpending".to_owned();
    loop {
        let page = server.get(&path).json(200);
        seen.extend(
            page["jobs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|job| job["number"].as_i64().unwrap()),
        );
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/v1/jobs?limit=999&oldest_first=true&select=state%3Dpending&cursor={next}");
    }
    assert_eq!(seen, (1..=3500).collect::<Vec<_>>(), "each once, in order");
    let newest = server.get("/api/v1/jobs?limit=1").json(200);
    assert_eq!(newest["jobs"][0]["number"], 3500);
    for bad in [
        "limit=0",
        "limit=1001",
        "cursor=x",
        "select=state%3Dodd",
        "colour=red",
    ] {
        assert_eq!(
            server.get(&format!("/api/v1/jobs?{bad}")).json(400)["code"],
            "usage",
            "{bad}"
        );
    }
}

#[test]
fn events_come_as_a_stream_that_goes_on_where_it_broke_off() {
    let queue = Queue::quick();
    queue.ok(["config:set", "event_retention", "7d"]);
    let server = Server::start(&queue, &[]);
    let follow = |last: Option<&str>| {
        let mut stream = server.connect();
        let last = last.map_or_else(String::new, |last| format!("Last-Event-ID: {last}\r\n"));
        let host = &server.host;
        let head =
            format!("GET /api/v1/events HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        // The answer begins before the first event comes.
        assert!(
            lines
                .by_ref()
                .take_while(|line| !line.is_empty())
                .any(|line| line.contains("text/event-stream"))
        );
        lines
    };
    let mut first = follow(None);
    // Changes that the server makes itself come as those of others do.
    server
        .post("/api/v1/jobs", r#"{"id":"one","command":"exit 0"}"#)
        .json(201);
    let id = first
        .find_map(|line| Some(line.strip_prefix("id: ")?.to_owned()))
        .unwrap();
    drop(first);
    queue.enqueue(["--id", "two", "exit 0"]);
    let mut again = follow(Some(&id));
    let data = again
        .find_map(|line| Some(line.strip_prefix("data: ")?.to_owned()))
        .unwrap();
    let event: Value = serde_json::from_str(&data).unwrap();
    assert_eq!(
        (&event["id"], &event["kind"]),
        (&json!("two"), &json!("enqueued")),
        "{event}"
    );
    // The same by pages.
    let page = server.get(&format!("/api/v1/events?after={id}")).json(200);
    assert_eq!(page["events"][0], event);
    assert_eq!(
        page["next"],
        page["events"].as_array().unwrap().last().unwrap()["event"]
    );
}

#[test]
fn what_other_sites_and_names_ask_for_is_refused() {
    let queue = Queue::quick();
    let server = Server::start(&queue, &["--host", "queue.example"]);
    let job = br#"{"command":"exit 0"}"#;
    let json = ("Content-Type", "application/json");
    let post = |headers: &[(&str, &str)]| server.send("POST", "/api/v1/jobs", headers, job).status;
    assert_eq!(post(&[json]), 201);
    assert_eq!(post(&[json, ("Host", "queue.example")]), 201);
    assert_eq!(post(&[json, ("Host", "evil.example")]), 421);
    assert_eq!(post(&[json, ("Origin", "http://evil.example")]), 403);
    assert_eq!(post(&[json, ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(post(&[("Content-Type", "text/plain")]), 415);
    assert_eq!(
        server
            .send("GET", "/api/v1/status", &[("Host", "evil.example")], b"")
            .status,
        421
    );
    assert_eq!(queue.jobs().len(), 2, "the control: those that were let in");
    let foreign = ("Sec-Fetch-Site", "cross-site");
    let get = |headers: &[(&str, &str)]| server.send("GET", "/api/v1/status", headers, b"").status;
    assert_eq!(get(&[foreign, ("Sec-Fetch-Mode", "no-cors")]), 403);
    assert_eq!(get(&[foreign, ("Sec-Fetch-Mode", "navigate")]), 200, "a link");
    // Nothing says that another site may read an answer.
    let head = server
        .send("GET", "/api/v1/status", &[("Origin", "http://evil.example")], b"")
        .head;
    assert!(!head.to_ascii_lowercase().contains("access-control"), "{head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    for path in [
        "/api/v1/jobs/..%2f..%2fetc%2fpasswd",
        "/../etc/passwd",
        "/api/v2/jobs",
    ] {
        assert!([400, 404].contains(&server.get(path).status), "{path}");
    }
    assert_eq!(server.send("PUT", "/api/v1/jobs", &[json], job).status, 405);
}

#[test]
fn a_server_that_only_shows_changes_nothing() {
    let queue = Queue::quick();
    let id = queue.enqueue(["exit 0"]);
    let server = Server::start(&queue, &["--readonly"]);
    let before = queue.jobs();
    for path in [
        "/api/v1/jobs",
        "/api/v1/queues/default/pause",
        &format!("/api/v1/jobs/{id}/cancel"),
    ] {
        assert_eq!(
            server.post(path, r#""exit 0""#).json(403)["code"],
            "readonly",
            "{path}"
        );
    }
    assert_eq!(
        server
            .send("DELETE", &format!("/api/v1/jobs/{id}"), &[], b"")
            .status,
        403
    );
    assert_eq!(
        server.get("/api/v1/jobs").json(200)["jobs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(queue.jobs(), before);
}

#[test]
fn places_that_others_can_reach_are_refused() {
    let queue = Queue::quick();
    let said = queue.fails(2, ["serve", "--listen", "0.0.0.0:0"]);
    assert!(said.contains("other machines could reach 0.0.0.0:0"), "{said}");
    queue.fails(2, ["serve", "--listen", "somewhere"]);
}

/// The place where a server listens that was not told.
#[cfg(unix)]
#[test]
fn the_usual_socket_is_this_users_and_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::UnixStream;

    use nix::sys::signal::Signal;

    use crate::support::{Node, on_postgres, wait_until};

    let queue = Queue::quick();
    queue.ok(["init"]);
    // The folder of a test's queue on a server can be too long for a socket.
    let short = format!("unix:{}", queue.path("api.sock").display());
    let words = match on_postgres() {
        true => vec!["serve", "--listen", &short],
        false => vec!["serve"],
    };
    let start = || {
        let node = Node::start_command(&queue, &words, |_| {});
        node.wait_log("listening on unix:");
        node
    };
    let mut killed = start();
    let log = killed.log();
    let place = log.split("unix:").nth(1).unwrap().lines().next().unwrap();
    let socket = std::path::PathBuf::from(place);
    let ask = |path: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        client::read(stream)
    };
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    ask("/api/v1/status").json(200);
    let said = queue.fails(1, &words);
    assert!(said.contains("another server listens"), "{said}");
    ask("/healthz");
    killed.end();
    killed.wait_exit();
    assert!(socket.exists(), "what a killed server leaves");
    // Who follows events does not keep a server from ending.
    let mut server = start();
    let mut following = UnixStream::connect(&socket).unwrap();
    following
        .write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        .unwrap();
    let mut line = String::new();
    BufReader::new(&following).read_line(&mut line).unwrap();
    assert!(line.contains("200"), "{line}");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait_exit(), 0, "{}", server.log());
    wait_until("the socket to be gone", || !socket.exists());
}

/// What was acknowledged is stored, whenever the server is killed.
#[test]
fn a_killed_server_has_stored_what_it_acknowledged() {
    let queue = Queue::quick();
    let mut server = Server::start(&queue, &[]);
    let host = server.host.clone();
    let over = AtomicBool::new(false);
    let acknowledged = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (host, over) = (&host, &over);
                scope.spawn(move || {
                    let mut acknowledged = Vec::new();
                    let mut at = 0;
                    while !over.load(Ordering::SeqCst) {
                        let id = format!("c{client}-{at}");
                        let body = json!({"id": id, "command": "exit 0"}).to_string();
                        let Ok(mut stream) = std::net::TcpStream::connect(host) else { break };
                        let head = format!(
                            "POST /api/v1/jobs HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                            host,
                            body.len()
                        );
                        let mut line = String::new();
                        let answered = stream
                            .write_all(head.as_bytes())
                            .and_then(|()| BufReader::new(stream).read_line(&mut line));
                        if answered.is_ok() && line.contains(" 201 ") {
                            acknowledged.push(id);
                        }
                        at += 1;
                    }
                    acknowledged
                })
            })
            .collect();
        crate::support::wait_until("some jobs to be stored", || queue.jobs().len() >= 40);
        server.process.end();
        over.store(true, Ordering::SeqCst);
        let all = clients.into_iter().flat_map(|client| client.join().unwrap());
        all.collect::<Vec<String>>()
    });
    server.process.wait_exit();
    let stored: Vec<String> = queue
        .jobs()
        .iter()
        .map(|job| job["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(acknowledged.len() >= 30, "{}", acknowledged.len());
    for id in &acknowledged {
        assert!(stored.contains(id), "{id} was acknowledged and is not there");
    }
    queue.ok(["db:check"]);
}
