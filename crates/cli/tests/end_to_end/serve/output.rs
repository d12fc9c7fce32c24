//! What jobs print, over the API: as documents, as text, and as it comes; and waiting for the end of a job.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::Server;
use crate::support::jobs::{FOREVER, succeeds_with};
use crate::support::{Queue, wait_until};

/// Prints a part, waits at the gate, and prints another to the other stream. The parts end within a character.
const PARTS: &str = "printf 'one \\303'; printf '\\244\\n'; echo x >> started; read x < gate; echo two >&2";

/// A message of a stream.
#[derive(Debug)]
pub struct Message {
    pub id: String,
    pub kind: String,
    pub data: Value,
}

/// A stream of messages.
pub struct Follow(BufReader<TcpStream>);

impl Follow {
    /// Begins one; the status of an answer that is none.
    pub fn begin(server: &Server, path: &str, last: Option<&str>) -> Result<Follow, u16> {
        let mut stream = server.connect();
        let last = last.map_or_else(String::new, |last| format!("Last-Event-ID: {last}\r\n"));
        let host = &server.host;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        match head.contains("text/event-stream") {
            true => Ok(Follow(reader)),
            false => Err(head.split(' ').nth(1).unwrap().parse().unwrap()),
        }
    }

    /// The next message; none at the end.
    pub fn next(&mut self) -> Option<Message> {
        let mut message = Message {
            id: String::new(),
            kind: String::new(),
            data: Value::Null,
        };
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            let line = line.trim_end();
            match line.split_once(": ") {
                Some(("id", id)) => message.id = id.to_owned(),
                Some(("event", kind)) => message.kind = kind.to_owned(),
                Some(("data", data)) => message.data = serde_json::from_str(data).unwrap(),
                _ if line.is_empty() && !message.kind.is_empty() => return Some(message),
                // Lengths of pieces, and messages that keep the connection alive.
                _ => {}
            }
        }
    }

    /// All that was printed until the job ended, and the place after it.
    fn read_all(mut self) -> (String, String) {
        let mut text = String::new();
        while let Some(message) = self.next() {
            match message.kind.as_str() {
                "output" => text += message.data["text"].as_str().unwrap(),
                "end" => return (text, message.id),
                _ => {}
            }
        }
        panic!("the stream broke off after {text:?}");
    }
}

fn texts(document: &Value) -> String {
    let chunks = document["chunks"].as_array().unwrap().iter();
    chunks.map(|chunk| chunk["text"].as_str().unwrap()).collect()
}

#[test]
fn output_is_read_in_pieces_that_meet() {
    let queue = Queue::quick();
    queue.ok(["config:set", "output_limit", "40"]);
    let id = queue.enqueue(["--max-retries", "1", "seq 1 60; echo wrong >&2; exit 3"]);
    queue.enqueue(["echo bystander"]);
    queue.drain(&[]);
    let waits = queue.enqueue(["--delay", "1day", "true"]);
    let server = Server::start(&queue, &[]);
    let path = format!("/api/v1/jobs/{id}/logs");
    let whole: String = (1..=60).map(|n| format!("{n}\n")).collect::<String>() + "wrong\n";

    let newest = server.get(&path).json(200);
    assert_eq!(texts(&newest), whole, "{newest}");
    assert_eq!(
        (&newest["attempt"], &newest["ended"], &newest["more"]),
        (&json!(2), &json!(true), &json!(false))
    );
    let last = newest["chunks"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["stream"], &last["text"]),
        (&json!("stderr"), &json!("wrong\n"))
    );
    assert!(last["at"].is_string());

    // From the first attempt on, a few bytes at a time.
    let mut pieces = Vec::new();
    let mut next = "0:0".to_owned();
    loop {
        let piece = server.get(&format!("{path}?limit=16&after={next}")).json(200);
        pieces.push((piece["attempt"].as_i64().unwrap(), texts(&piece)));
        next = piece["next"].as_str().unwrap().to_owned();
        if piece["more"] == false {
            assert_eq!(piece["ended"], true, "{piece}");
            break;
        }
    }
    for attempt in [1, 2] {
        let of = pieces.iter().filter(|(number, _)| *number == attempt);
        let text: String = of.map(|(_, text)| text.as_str()).collect();
        assert_eq!(text, whole, "attempt {attempt}");
    }
    let one = server.get(&format!("{path}?attempt=1&stream=stderr")).json(200);
    assert_eq!((texts(&one).as_str(), &one["attempt"]), ("wrong\n", &json!(1)));

    let plain = |query: &str| server.send("GET", &format!("{path}{query}"), &[("Accept", "text/plain")], b"");
    assert_eq!(plain("").body, whole);
    let part = plain("?attempt=1&limit=16");
    assert_eq!(part.body, whole[..16], "{}", part.head);
    let next = part.head.split_once("link: <").unwrap().1;
    let (next, rel) = next.split_once('>').unwrap();
    assert!(
        next.starts_with("?attempt=1&after=") && next.ends_with("&limit=16"),
        "{next}"
    );
    assert!(rel.starts_with("; rel=\"next\""), "{rel}");
    let following = plain(next).body;
    assert!(
        !following.is_empty() && whole[16..].starts_with(&following),
        "{following}"
    );

    let nothing = server.get(&format!("/api/v1/jobs/{waits}/logs")).json(200);
    assert_eq!(
        (&nothing["attempt"], &nothing["ended"]),
        (&json!(0), &json!(false))
    );
    for (status, query) in [
        (404, "attempt=3"),
        (400, "after=x"),
        (400, "limit=1"),
        (400, "stream=both"),
        (400, "colour=red"),
    ] {
        server.get(&format!("{path}?{query}")).json(status);
    }
    server.get("/api/v1/jobs/none/logs").json(404);
}

/// What was not kept is counted; what a terminal would obey is not sent as text unless it is asked for.
#[test]
fn gaps_are_counted_and_text_is_safe() {
    let queue = Queue::quick();
    queue.ok(["config:set", "output_limit", "40"]);
    queue.ok(["config:set", "output_file_limit", "0"]);
    let id = queue.enqueue(["printf '\\033[2Jbegin\\n'; seq 1 60; printf 'end\\377'"]);
    queue.drain(&[]);
    let server = Server::start(&queue, &[]);
    let path = format!("/api/v1/jobs/{id}/logs");
    let document = server.get(&path).json(200);
    let shown = queue.json(["logs", &id]);
    let gap = document["chunks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|chunk| chunk["omitted_bytes"] != 0);
    assert_eq!(
        gap.unwrap()["omitted_bytes"],
        shown["omitted_bytes"],
        "{document}"
    );
    assert!(texts(&document).starts_with("\u{1b}[2Jbegin\n") && texts(&document).ends_with("end\u{fffd}"));
    let plain = server.send("GET", &path, &[("Accept", "text/plain")], b"");
    assert!(plain.body.starts_with("\\x1b[2Jbegin\n"), "{}", plain.body);
    assert!(
        plain.body.contains("bytes left out") && plain.body.ends_with("end\\xff"),
        "{}",
        plain.body
    );
    assert!(plain.head.contains("text/plain"), "{}", plain.head);
}

#[test]
fn a_running_job_is_followed_and_a_client_that_was_cut_off_goes_on_where_it_was() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let id = queue.enqueue([
        "--max-retries",
        "1",
        &format!("{PARTS}; exit $((2 - QUEUECTL_ATTEMPT))"),
    ]);
    queue.enqueue(["--queue", "other", "echo bystander"]);
    let server = Server::start(&queue, &[]);
    let path = format!("/api/v1/jobs/{id}/logs");
    // Before it runs.
    let early = Follow::begin(&server, &path, None).unwrap();
    let _node = queue.start(&[]);
    queue.wait_started(1);
    let mut first = Follow::begin(&server, &path, None).unwrap();
    let mut seen = String::new();
    let mut last = String::new();
    while !seen.ends_with('\n') {
        let message = first.next().unwrap();
        assert_eq!(message.kind, "output", "{message:?}");
        seen += message.data["text"].as_str().unwrap();
        last = message.id;
    }
    assert_eq!(seen, "one ä\n", "characters are whole");
    drop(first);
    gate.open();
    queue.wait_started(2);
    let again = Follow::begin(&server, &path, Some(&last)).unwrap();
    gate.open();
    let (rest, end) = again.read_all();
    assert_eq!(rest, "two\none ä\ntwo\n", "each byte once");
    assert_eq!(early.read_all().0, "one ä\ntwo\none ä\ntwo\n");
    assert_eq!(Follow::begin(&server, &path, Some(&end)).err(), Some(204));
    // One who was not there gets the newest attempt, and then the end.
    assert_eq!(
        Follow::begin(&server, &path, None).unwrap().read_all().0,
        "one ä\ntwo\n"
    );
    let err = Follow::begin(&server, &format!("{path}?stream=stderr"), None).unwrap();
    assert_eq!(err.read_all().0, "two\n");
    // How the first attempt ended is told between the two.
    let mut all = Follow::begin(&server, &path, Some("0:0")).unwrap();
    let ended = std::iter::from_fn(|| all.next())
        .find(|message| message.kind == "attempt")
        .unwrap();
    assert_eq!(
        (&ended.data["attempt"], &ended.data["exit_code"]),
        (&json!(1), &json!(1))
    );
}

/// A stream ends, that of one attempt, too. A client that was cut off anywhere gets what it lacks, and learns the end once.
#[test]
fn every_stream_has_an_end_that_is_told() {
    let queue = Queue::quick();
    let id = queue.enqueue(["--max-retries", "1", "echo one; exit 1"]);
    queue.enqueue(["echo bystander"]);
    queue.drain(&[]);
    let server = Server::start(&queue, &[]);
    // The connection may stay open after it.
    let all = |mut follow: Follow| {
        let mut told: Vec<Message> = Vec::new();
        while told.last().is_none_or(|message| message.kind != "end") {
            told.push(follow.next().unwrap());
        }
        told
    };
    for query in ["?attempt=1", "?attempt=2", ""] {
        let path = format!("/api/v1/jobs/{id}/logs{query}");
        let told = all(Follow::begin(&server, &path, None).unwrap());
        let kinds: Vec<&str> = told.iter().map(|message| message.kind.as_str()).collect();
        assert_eq!(kinds, ["output", "attempt", "end"], "{query}");
        assert_eq!(told[2].data["state"], "dead");
        for (at, last) in told.iter().enumerate() {
            let rest = Follow::begin(&server, &path, Some(&last.id)).map(all);
            match rest {
                Ok(rest) => {
                    let rest: Vec<&str> = rest.iter().map(|message| message.kind.as_str()).collect();
                    assert_eq!((rest.as_slice(), at < 2), (&kinds[at + 1..], true), "{query}");
                }
                Err(status) => assert_eq!((status, at), (204, 2), "{query}"),
            }
        }
    }
}

#[test]
fn after_a_server_was_killed_another_goes_on() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let id = queue.enqueue([PARTS]);
    let _node = queue.start(&[]);
    queue.wait_started(1);
    let path = format!("/api/v1/jobs/{id}/logs");
    let mut server = Server::start(&queue, &[]);
    let mut follow = Follow::begin(&server, &path, None).unwrap();
    let (mut seen, mut last) = (String::new(), String::new());
    while !seen.ends_with('\n') {
        let message = follow.next().unwrap();
        seen += message.data["text"].as_str().unwrap();
        last = message.id;
    }
    server.process.end();
    assert!(follow.next().is_none(), "the stream ends with the server");
    gate.open();
    let server = Server::start(&queue, &[]);
    let (rest, _) = Follow::begin(&server, &path, Some(&last)).unwrap().read_all();
    assert_eq!(rest, "two\n");
}

#[test]
fn a_wait_is_answered_when_the_job_has_ended() {
    let queue = Queue::quick();
    let gate = queue.gate("gate");
    let id = queue.enqueue([PARTS]);
    let forever = queue.enqueue(["--queue", "other", FOREVER]);
    let ended = queue.enqueue(["--queue", "other", "true"]);
    queue.ok(["cancel", &ended]);
    let server = Server::start(&queue, &[]);
    let wait = |id: &str, time: &str| server.get(&format!("/api/v1/jobs/{id}?wait={time}"));
    assert_eq!(wait(&ended, "5m").json(200)["state"], "cancelled", "at once");
    let begun = Instant::now();
    assert_eq!(wait(&forever, "300ms").json(200)["state"], "pending");
    assert!(begun.elapsed() >= Duration::from_millis(300), "the whole time");
    let _node = queue.start(&["--queue", "default"]);
    queue.wait_started(1);
    thread::scope(|scope| {
        // As many as one look is for.
        let waits: Vec<_> = (0..20)
            .map(|_| scope.spawn(|| wait(&id, "5m").json(200)))
            .collect();
        let given_up = scope.spawn(|| wait(&forever, "5m").json(200));
        wait_until("the clients to wait", || server.get("/healthz").status == 200);
        gate.open();
        for waited in waits {
            assert_eq!(waited.join().unwrap()["state"], "completed");
        }
        queue.ok(["cancel", &forever]);
        assert_eq!(given_up.join().unwrap()["state"], "cancelled");
    });
    for bad in ["soon", "6m", "-1s"] {
        wait(&id, bad).json(400);
    }
}

/// A job that was cancelled for one which was retried since has not ended; without the retry, which is the control, it has.
#[test]
fn a_wait_is_for_a_job_that_will_be_revived() {
    let queue = Queue::quick();
    queue.enqueue(["--id", "load", "--max-retries", "0", &succeeds_with("there")]);
    queue.enqueue(["--id", "report", "--after", "load", "exit 0"]);
    assert_eq!(queue.drain(&[]), 1);
    let server = Server::start(&queue, &[]);
    let wait = |time: &str| server.get(&format!("/api/v1/jobs/report?wait={time}")).json(200);
    assert_eq!(wait("5m")["state"], "cancelled", "at once");
    queue.write("there", "");
    queue.ok(["retry", "load"]);
    let begun = Instant::now();
    let report = wait("300ms");
    assert!(begun.elapsed() >= Duration::from_millis(300), "the whole time");
    assert_eq!(
        (&report["state"], &report["revived_by"]),
        (&"cancelled".into(), &1.into())
    );
    thread::scope(|scope| {
        let waited = scope.spawn(|| wait("5m"));
        let _node = queue.start(&[]);
        assert_eq!(waited.join().unwrap()["state"], "completed");
    });
}
