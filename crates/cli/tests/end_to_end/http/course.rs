//! The course of a request: redirects, networks and servers that fail, answers without end, many at once.

use std::io::Write;
use std::net::TcpListener;
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use serde_json::json;

use super::server::{Server, answer, wait_closed};
use super::{job, node, open_queue, request, why};
use crate::support::{Node, PATIENCE, wait_until};

#[test]
fn redirects_are_followed_so_far_and_secrets_stay_behind() {
    let other = Server::start(|_, stream| answer(stream, "200 OK", "", "arrived"));
    let elsewhere = other.url("/elsewhere");
    let server = Server::start(move |seen, stream| {
        let to = |place: &str| format!("location: {place}\r\n");
        match seen.path() {
            "/start" => answer(stream, "302 Found", &to("middle"), "moved"),
            "/middle" => answer(stream, "307 Temporary Redirect", &to(&elsewhere), "moved"),
            "/file" => answer(stream, "302 Found", &to("file:///etc/passwd"), ""),
            _ => answer(stream, "301 Moved Permanently", &to("/loop"), "moved"),
        }
    });
    let queue = open_queue();
    let _node = node(&queue);
    let secret = json!({ "body": "x", "headers": { "Authorization": "Bearer 1", "X-Api-Key": "2" } });
    let followed = request(&queue, &server.url("/start"), secret);
    queue.wait_state(&followed, "completed");
    assert_eq!(
        queue.ok(["logs", &followed]),
        "arrived",
        "the answers on the way are no output"
    );
    let middle = server.wait("/middle");
    assert_eq!((middle.line.as_str(), middle.body.as_str()), ("GET /middle", ""));
    assert_eq!(middle.headers["x-api-key"], "2");
    let last = other.wait("/elsewhere");
    assert!(!last.headers.contains_key("authorization") && !last.headers.contains_key("x-api-key"));
    assert_eq!(last.headers["idempotency-key"], middle.headers["idempotency-key"]);

    let endless = request(&queue, &server.url("/loop"), json!({}));
    let error = why(&queue, &endless);
    assert!(
        error.starts_with("more than 5 redirects, the last to 127.0.0.1:"),
        "{error}"
    );
    let count = |path: &str| server.seen().iter().filter(|seen| seen.path() == path).count();
    assert_eq!(count("/loop"), 6);
    let none = request(&queue, &server.url("/start"), json!({ "redirects": 0 }));
    assert_eq!(why(&queue, &none), "HTTP 302 Found");
    let wanted = request(&queue, &server.url("/start"), json!({ "expect_status": [302] }));
    queue.wait_state(&wanted, "completed");
    assert_eq!(queue.ok(["logs", &wanted]), "moved");
    let file = request(&queue, &server.url("/file"), json!({}));
    assert!(why(&queue, &file).contains("only http and https"));
}

#[test]
fn what_keeps_a_request_from_its_answer_is_named() {
    let server = Server::start(|seen, stream| {
        let text = match seen.path() {
            "/garbage" => "no idea what you want\r\n\r\n",
            "/short" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
            "/chunk" => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
            "/begun" => "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf",
            "/head" => &format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)),
            _ => "",
        };
        let _ = stream.write_all(text.as_bytes());
        if matches!(seen.path(), "/slow" | "/begun") {
            wait_closed(stream);
        }
    });
    let queue = open_queue();
    let _node = node(&queue);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let jobs = [
        (server.url("/slow"), "no answer within 0.2 s"),
        (
            server.url("/begun"),
            "HTTP 200 OK, but its body did not end within 0.2 s",
        ),
        (server.url("/garbage"), "no usable answer from 127.0.0.1:"),
        (server.url("/short"), "was cut short: "),
        (server.url("/chunk"), "was cut short: "),
        (server.url("/gone"), "connection closed before message completed"),
        (server.url("/head"), "no usable answer from 127.0.0.1:"),
        (format!("http://{closed}/"), "cannot reach 127.0.0.1:"),
        (format!("http://{closed}/"), "refused"),
        (
            "http://nowhere.invalid/".to_owned(),
            "cannot reach nowhere.invalid: dns error: ",
        ),
    ]
    .map(|(url, expected)| {
        let slow = url.ends_with("/slow") || url.ends_with("/begun");
        let members = if slow {
            json!({ "timeout": 0.2 })
        } else {
            json!({})
        };
        (request(&queue, &url, members), url, expected)
    });
    for (id, url, expected) in jobs {
        let error = why(&queue, &id);
        assert!(error.contains(expected), "{url}: {error}");
        let begun = ["/begun", "/short", "/chunk"]
            .iter()
            .any(|path| url.ends_with(path));
        let output = queue.ok(["logs", &id]);
        assert_eq!(
            output,
            if begun { "half" } else { "" },
            "{url}: what came is kept"
        );
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_answer_without_end_costs_no_more_than_its_limit() {
    const HUGE: u64 = 100 << 20;
    let sent = Arc::new(AtomicU64::new(0));
    let server = Server::start({
        let sent = Arc::clone(&sent);
        move |_, stream| {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {HUGE}\r\n\r\n");
            let piece = [b'x'; 1 << 16];
            while sent.load(Ordering::Relaxed) < HUGE && stream.write_all(&piece).is_ok() {
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
        }
    });
    let queue = open_queue();
    let node = node(&queue);
    let worker = node.workers(1)[0];
    let most = || {
        let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    };
    let huge = request(&queue, &server.url("/"), json!({}));
    let job = queue.wait_state(&huge, "completed");
    assert_eq!(job["attempt_history"][0]["output_bytes"], 1 << 20, "{job}");
    assert!(
        sent.load(Ordering::Relaxed) < HUGE / 2,
        "it was not read to its end"
    );
    assert!(most() < HUGE, "{} bytes of memory", most());
    node.wait_log("1048576 bytes (the rest was not read)");
    let unseen = request(&queue, &server.url("/"), json!({ "expect_body": "y" }));
    let error = why(&queue, &unseen);
    assert_eq!(
        error,
        "HTTP 200 OK, but the first 1048576 bytes of its body have no 'y'"
    );
    queue.ok(["config:set", "http.max_output", "1KiB"]);
    node.wait_log("settings changed");
    let little = request(&queue, &server.url("/"), json!({}));
    queue.wait_state(&little, "completed");
    assert_eq!(queue.ok(["logs", &little]), "x".repeat(1024));
}

#[test]
fn a_thousand_requests_wait_at_the_same_time() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    const MANY: usize = 1000;
    // One file each, here and in the worker process, which inherits the limit.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(hard.min(8192)), hard).unwrap();
    let arrived = Arc::new((Mutex::new(0), Condvar::new()));
    let server = Server::start(move |_, stream| {
        // No request is answered before all have arrived.
        let mut count = arrived.0.lock().unwrap();
        *count += 1;
        arrived.1.notify_all();
        let (count, late) = arrived
            .1
            .wait_timeout_while(count, PATIENCE, |count| *count < MANY)
            .unwrap();
        drop(count);
        if !late.timed_out() {
            answer(stream, "200 OK", "", "");
        }
    });
    let queue = open_queue();
    let lines = format!("{}\n", job(&json!({ "url": server.url("/"), "timeout": "1m" }))).repeat(MANY);
    queue.run_with(["enqueue", "--from", "-"], lines.as_bytes()).ok();
    let _node = Node::start(&queue, &["-q", "--concurrency", &MANY.to_string()]);
    wait_until("all jobs to complete", || {
        queue.json(["status"])["total"]["completed"] == MANY
    });
    assert_eq!(server.seen().len(), MANY);
}
