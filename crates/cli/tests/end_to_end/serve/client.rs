//! A server of the program under test, and a client that says exactly what it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::described;
use crate::support::{Node, Queue, wait_for};

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `queuectl serve`.
pub struct Server {
    pub process: Node,
    /// The host and port that it listens on.
    pub host: String,
}

/// What it answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// The document, of an answer with that status.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}\n{}", self.head, self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    /// Starts one on any port of this machine.
    pub fn start(queue: &Queue, options: &[&str]) -> Server {
        Server::start_on("127.0.0.1:0", queue, options)
    }

    /// Starts one on any port of an address.
    pub fn start_on(place: &str, queue: &Queue, options: &[&str]) -> Server {
        let words = [&["serve", "--listen", place], options].concat();
        let process = Node::start_command(queue, &words, |_| {});
        let host = wait_for("the server's address", || {
            let log = process.log();
            let place = log.split_once("://")?.1;
            Some(place.lines().next()?.replace("0.0.0.0", "127.0.0.1"))
        });
        Server { process, host }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.send(
            "POST",
            path,
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        )
    }

    /// Sends a request with a token and a document.
    pub fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let token = format!("Bearer {token}");
        let headers = [
            ("Authorization", token.as_str()),
            ("Content-Type", "application/json"),
        ];
        self.send(method, path, &headers, body.as_bytes())
    }

    /// Sends a request with these headers besides the host and the length, and returns the answer.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            text += &format!("Host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += &format!("Content-Length: {}\r\n\r\n", body.len());
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        // A request that is refused may not be read to its end.
        let _ = stream.write_all(body);
        let answer = read(stream);
        let fits = described::check(method, path, answer.status, &answer.head, &answer.body);
        assert_eq!(fits, Ok(()), "see serve/described.rs");
        answer
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// Reads an answer, of one length or in pieces.
pub fn read(stream: impl Read) -> Answer {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(
            stream.read_line(&mut head).unwrap(),
            0,
            "the answer breaks off: {head}"
        );
    }
    let mut body = Vec::new();
    // Some systems report a connection that was closed on unread bytes.
    let _ = stream.read_to_end(&mut body);
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        body = joined(&body);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body: String::from_utf8(body).unwrap(),
    }
}

fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = chunks.windows(2).position(|two| two == b"\r\n").unwrap();
        let length = usize::from_str_radix(std::str::from_utf8(&chunks[..end]).unwrap(), 16).unwrap();
        if length == 0 {
            return body;
        }
        let from = end + 2;
        body.extend_from_slice(&chunks[from..from + length]);
        chunks = &chunks[from + length + 2..];
    }
}
