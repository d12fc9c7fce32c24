//! `Idempotency-Key`: a request that is sent again stores nothing.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::client::{Answer, Server};
use crate::support::{Queue, wait_until};

/// Sends jobs with a key.
fn send(server: &Server, key: &str, kind: &str, body: &str) -> Answer {
    let headers = [("Content-Type", kind), ("Idempotency-Key", key)];
    server.send("POST", "/api/v1/jobs", &headers, body.as_bytes())
}

fn is_repeated(answer: &Answer) -> bool {
    answer
        .head
        .to_ascii_lowercase()
        .contains("idempotency-replayed: true")
}

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

#[test]
fn a_request_with_a_key_is_done_once() {
    let queue = Queue::quick();
    let server = Server::start(&queue, &[]);
    let job = json!({"command": "exit 0"}).to_string();
    let first = send(&server, "a", JSON, &job);
    let again = send(&server, "a", JSON, &job);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.body, again.body);
    assert!(!is_repeated(&first) && is_repeated(&again));
    let other = send(&server, "a", JSON, &json!({"command": "exit 1"}).to_string()).json(422);
    assert_eq!(other["code"], "key_reused");
    send(&server, "b", JSON, &job).json(201);
    assert_eq!(
        queue.jobs().len(),
        2,
        "the control: another key stores another job"
    );
    for wrong in ["", &"k".repeat(256)] {
        assert_eq!(send(&server, wrong, JSON, &job).json(400)["code"], "usage");
    }
    // What was refused can be sent again.
    send(&server, "c", JSON, r#"{"id":"taken","command":"exit 0"}"#).json(201);
    let refused = send(&server, "d", JSON, r#"{"id":"taken","command":"exit 1"}"#);
    assert_eq!(refused.json(409)["code"], "conflict");
    queue.ok(["cancel", "taken"]);
    queue.ok(["purge", "taken", "--yes"]);
    send(&server, "d", JSON, r#"{"id":"taken","command":"exit 1"}"#).json(201);
    // What another job stood for is answered the same, whatever becomes of that.
    let unique = r#"{"command":"exit 0","unique":"only"}"#;
    let stored = send(&server, "e", JSON, unique).json(201);
    assert_eq!(send(&server, "e", JSON, unique).json(201), stored);
    assert_eq!(send(&server, "f", JSON, unique).json(200)["existing"], true);
    assert_eq!(send(&server, "f", JSON, unique).json(200)["existing"], true);
}

/// Each token has keys of its own.
#[test]
fn keys_are_those_of_a_token() {
    let queue = Queue::quick();
    let [one, two] = ["one", "two"].map(|name| {
        let made = queue.ok(["token:add", name, "--role", "enqueue"]);
        format!("Bearer {}", made.trim())
    });
    let server = Server::start(&queue, &[]);
    let send = |token: &str, body: &str| {
        let headers = [
            ("Content-Type", JSON),
            ("Idempotency-Key", "same"),
            ("Authorization", token),
        ];
        server.send("POST", "/api/v1/jobs", &headers, body.as_bytes())
    };
    let first = send(&one, r#""exit 1""#).json(201);
    let second = send(&two, r#""exit 2""#).json(201);
    assert_ne!(first["id"], second["id"]);
    assert_eq!(send(&one, r#""exit 1""#).json(201), first);
    assert_eq!(queue.jobs().len(), 2);
    // One that has the name of another later has no keys of that.
    queue.ok(["token:revoke", "--forget", "one"]);
    let made = queue.ok(["token:add", "one", "--role", "enqueue"]);
    let third = format!("Bearer {}", made.trim());
    wait_until("the new token to be known", || {
        let headers = [("Authorization", third.as_str())];
        server.send("GET", "/api/v1/status", &headers, b"").status == 403
    });
    let stored = send(&third, r#""exit 1""#).json(201);
    assert_ne!(stored["id"], first["id"]);
    assert_eq!(queue.jobs().len(), 3);
}

/// Two servers are sent the same at the same time, a job with an id of its own: the slower one gives the answer of the quicker one.
#[test]
fn a_request_that_is_sent_to_two_servers_is_answered_the_same() {
    let queue = Queue::quick();
    let servers = [Server::start(&queue, &[]), Server::start(&queue, &[])];
    for round in 0..30 {
        let body = json!({"id": format!("job-{round}"), "command": "exit 0"}).to_string();
        let key = format!("key-{round}");
        let barrier = std::sync::Barrier::new(2);
        let ask = |server: &Server| {
            barrier.wait();
            send(server, &key, JSON, &body)
        };
        let answers: Vec<Answer> = thread::scope(|scope| {
            let sent = servers.each_ref().map(|server| {
                scope.spawn({
                    let ask = &ask;
                    move || ask(server)
                })
            });
            sent.into_iter().map(|sent| sent.join().unwrap()).collect()
        });
        assert_eq!(answers[0].json(201), answers[1].json(201), "{round}");
    }
    assert_eq!(queue.jobs().len(), 30);
    // Without the key, which is the control, the name is taken.
    let job = json!({"id": "job-7", "command": "exit 0"}).to_string();
    assert_eq!(
        servers[0].post("/api/v1/jobs", &job).json(409)["code"],
        "conflict"
    );
}

/// Many jobs that broke off are sent again as a whole: batches that are stored are not stored again.
#[test]
fn a_request_with_many_jobs_goes_on_where_it_broke_off() {
    let queue = Queue::quick();
    let server = Server::start(&queue, &[]);
    let lines =
        |range: std::ops::Range<u32>| -> String { range.map(|at| format!("\"echo {at}\"\n")).collect() };
    // The second batch has a mistake; the first is stored.
    let broken = lines(0..1500) + "{}";
    let told = send(&server, "many", LINES, &broken).json(400);
    assert_eq!((&told["stored"], &told["line"]), (&json!(1000), &json!(1001)));
    let whole = send(&server, "many", LINES, &lines(0..2500));
    let done = whole.json(201);
    assert_eq!((&done["stored"], queue.jobs().len()), (&json!(2500), 2500));
    assert!(!is_repeated(&whole));
    let again = send(&server, "many", LINES, &lines(0..2500));
    assert_eq!((again.json(201), is_repeated(&again)), (done, true));
    let other = send(&server, "many", LINES, &lines(7..2507)).json(422);
    assert_eq!(
        (&other["code"], &other["stored"]),
        (&json!("key_reused"), &json!(0))
    );
    assert_eq!(
        send(&server, "many", JSON, r#""exit 0""#).json(422)["code"],
        "key_reused"
    );
    assert_eq!(queue.jobs().len(), 2500);
    // The control: without the key, all of them are stored again.
    let headers = [("Content-Type", LINES)];
    server
        .send("POST", "/api/v1/jobs", &headers, lines(0..10).as_bytes())
        .json(201);
    assert_eq!(queue.jobs().len(), 2510);
}

/// The server is killed after the commit, before anybody has read the answer.
#[test]
fn an_answer_that_was_lost_is_given_again() {
    let queue = Queue::quick();
    let mut server = Server::start(&queue, &[]);
    let body = r#""exit 0""#;
    let mut stream = server.connect();
    let head = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nHost: {}\r\nContent-Type: {JSON}\r\nIdempotency-Key: lost\r\nContent-Length: {}\r\n\r\n{body}",
        server.host,
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    wait_until("the job to be stored", || queue.jobs().len() == 1);
    server.process.end();
    server.process.wait_exit();
    drop(stream);
    let server = Server::start(&queue, &[]);
    let again = send(&server, "lost", JSON, body);
    assert!(is_repeated(&again));
    assert_eq!(again.json(201)["id"], queue.jobs()[0]["id"]);
    assert_eq!(queue.jobs().len(), 1);
    server.post("/api/v1/jobs", body).json(201);
    assert_eq!(queue.jobs().len(), 2, "the control");
}

/// Clients that send everything again, which they do not know to be stored, have stored everything once.
#[test]
fn a_killed_server_stores_once_what_is_sent_again() {
    let queue = Queue::quick();
    let mut server = Server::start(&queue, &[]);
    let over = AtomicBool::new(false);
    let sent: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let (host, over) = (&server.host, &over);
                scope.spawn(move || {
                    let mut sent = Vec::new();
                    while !over.load(Ordering::SeqCst) {
                        let key = format!("c{client}-{}", sent.len());
                        let body = json!(format!("echo {key}")).to_string();
                        let Ok(mut stream) = std::net::TcpStream::connect(host) else { break };
                        let head = format!(
                            "POST /api/v1/jobs HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {JSON}\r\nIdempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        sent.push(key);
                        if stream.write_all(head.as_bytes()).is_err() {
                            break;
                        }
                        let mut answer = String::new();
                        let _ = std::io::Read::read_to_string(&mut stream, &mut answer);
                    }
                    sent
                })
            })
            .collect();
        wait_until("some jobs to be stored", || queue.jobs().len() >= 40);
        server.process.end();
        over.store(true, Ordering::SeqCst);
        clients
            .into_iter()
            .flat_map(|client| client.join().unwrap())
            .collect()
    });
    server.process.wait_exit();
    let server = Server::start(&queue, &[]);
    for key in &sent {
        let body = json!(format!("echo {key}")).to_string();
        send(&server, key, JSON, &body).json(201);
    }
    let mut stored: Vec<String> = queue
        .jobs()
        .iter()
        .map(|job| Value::as_str(&job["command"]).unwrap().to_owned())
        .collect();
    stored.sort();
    let mut wanted: Vec<String> = sent.iter().map(|key| format!("echo {key}")).collect();
    wanted.sort();
    assert!(wanted.len() >= 40);
    assert_eq!(stored, wanted, "each once");
    queue.ok(["db:check"]);
}
