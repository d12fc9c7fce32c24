//! A server for requests of jobs: threads and blocking sockets, so that it shares nothing with the client under test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::wait_for;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET /path`.
    pub line: String,
    /// By names in small letters.
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Seen {
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }

    /// Reads one; none if the connection ends before.
    pub fn read(from: &mut impl BufRead) -> Option<Seen> {
        let mut lines = (&mut *from).lines().map_while(Result::ok);
        let line = lines.next()?.strip_suffix(" HTTP/1.1")?.to_owned();
        let headers: BTreeMap<String, String> = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |text| text.parse().unwrap());
        let mut body = vec![0; length];
        from.read_exact(&mut body).ok()?;
        let body = String::from_utf8(body).unwrap();
        Some(Seen { line, headers, body })
    }
}

/// Answers requests until the test program ends; one request per connection.
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// `answer` writes what it likes to the connection, which is closed when it returns.
    pub fn start(answer: impl Fn(&Seen, &mut TcpStream) + Send + Sync + 'static) -> Server {
        Server::start_with(move |stream, note| {
            if let Some(seen) = Seen::read(&mut BufReader::new(&*stream)) {
                note(seen.clone());
                answer(&seen, stream);
            }
        })
    }

    /// The same for connections that are more than their bytes.
    pub fn start_with(serve: impl Fn(&mut TcpStream, &dyn Fn(Seen)) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
        };
        let (serve, seen) = (Arc::new(serve), Arc::clone(&server.seen));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, seen, mut stream) = (Arc::clone(&serve), Arc::clone(&seen), stream.unwrap());
                // A thousand of them wait at the same time in one test.
                let small = thread::Builder::new().stack_size(256 * 1024);
                small
                    .spawn(move || serve(&mut stream, &|request| seen.lock().unwrap().push(request)))
                    .unwrap();
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for the first request for a path.
    pub fn wait(&self, path: &str) -> Seen {
        wait_for(&format!("a request for {path}"), || {
            self.seen().into_iter().find(|seen| seen.path() == path)
        })
    }
}

/// Writes an answer. The client may be gone.
pub fn answer(stream: &mut impl Write, status: &str, headers: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + body).as_bytes());
}

/// Waits until the other side ends the connection.
pub fn wait_closed(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0]);
}
