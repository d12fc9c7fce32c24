//! Something between a node and the server that can go away, in the ways in which networks and servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

/// How it passes things on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// At once.
    Open,
    /// Connections stay and new ones are accepted, but nothing comes through: a server that is frozen.
    Frozen,
    /// Connections end, and new ones end at once: a server that is not running.
    Closed,
}

/// What happens to the next commit, or to another statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It does not reach the server, and its connection ends.
    Commit,
    /// It does, and its connection ends before the answer.
    Answer,
    /// It does not reach the server, and both sides wait for the other: a write that failed on a connection that stays.
    Statement,
    /// As with the first, and the way to the server is closed until it is opened again.
    Way,
}

struct Shared {
    mode: Mutex<Mode>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
    /// With the bytes that the statement is known by.
    loss: Mutex<Option<(&'static [u8], Loss)>>,
    watchers: AtomicUsize,
}

/// A proxy in front of the server for tests.
pub struct Proxy {
    shared: Arc<Shared>,
    port: u16,
}

impl Proxy {
    /// In front of the host and port of a location.
    pub fn new(location: &str) -> Proxy {
        let server = authority(location).to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            mode: Mutex::new(Mode::Open),
            changed: Condvar::new(),
            open: Mutex::default(),
            loss: Mutex::default(),
            watchers: AtomicUsize::new(0),
        });
        let all = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if *all.mode.lock().unwrap() == Mode::Closed {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&server) else {
                    continue;
                };
                let mut open = all.open.lock().unwrap();
                open.extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                drop(open);
                // Whether the answer to come is to be lost.
                let lost = Arc::new(AtomicBool::new(false));
                let (to, from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                for (from, to, asks) in [(from, to, true), (server, client, false)] {
                    let (all, lost) = (Arc::clone(&all), Arc::clone(&lost));
                    thread::spawn(move || pass(from, to, &all, asks, &lost));
                }
            }
        });
        Proxy { shared, port }
    }

    /// The location, by way of the proxy, which wants to understand what it hears.
    pub fn location(&self, location: &str) -> String {
        let location = location.replace(authority(location), &format!("127.0.0.1:{}", self.port));
        let separator = if location.contains('?') { '&' } else { '?' };
        format!("{location}{separator}sslmode=disable")
    }

    /// How many connections have asked whether anything has changed, which is what those do who wait.
    pub fn watchers(&self) -> usize {
        self.shared.watchers.load(Ordering::SeqCst)
    }

    /// Loses the next commit, or its answer.
    pub fn lose(&self, loss: Loss) {
        self.lose_at(COMMIT, loss);
    }

    /// Loses the next statement with this text in it, or its answer.
    pub fn lose_at(&self, text: &'static [u8], loss: Loss) {
        *self.shared.loss.lock().unwrap() = Some((text, loss));
    }

    /// Whether that has happened.
    pub fn has_lost(&self) -> bool {
        self.shared.loss.lock().unwrap().is_none()
    }

    pub fn set(&self, mode: Mode) {
        *self.shared.mode.lock().unwrap() = mode;
        if mode == Mode::Closed {
            for stream in self.shared.open.lock().unwrap().drain(..) {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        self.shared.changed.notify_all();
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared, asks: bool, lost: &AtomicBool) {
    let mut bytes = [0; 16 * 1024];
    let mut watches = false;
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut mode = shared.mode.lock().unwrap();
        while *mode == Mode::Frozen {
            mode = shared.changed.wait(mode).unwrap();
        }
        drop(mode);
        let bytes = &bytes[..count];
        let has = |wanted: &[u8]| bytes.windows(wanted.len()).any(|part| part == wanted);
        if !watches && has(MARKER) {
            watches = true;
            shared.watchers.fetch_add(1, Ordering::SeqCst);
        }
        let next = shared.loss.lock().unwrap().take_if(|(text, _)| asks && has(text));
        if let Some((_, loss)) = next {
            match loss {
                Loss::Commit => break,
                Loss::Statement => continue,
                Loss::Way => {
                    *shared.mode.lock().unwrap() = Mode::Closed;
                    break;
                }
                Loss::Answer => lost.store(true, Ordering::SeqCst),
            }
        }
        // The server has answered, so it is done.
        if (!asks && lost.load(Ordering::SeqCst)) || to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

/// A commit as it is sent.
const COMMIT: &[u8] = b"COMMIT\0";
/// The question whether anything has changed.
const MARKER: &[u8] = b"pg_current_snapshot";

/// Host and port of a location.
fn authority(location: &str) -> &str {
    let place = location
        .split("://")
        .nth(1)
        .unwrap()
        .split(['/', '?'])
        .next()
        .unwrap();
    place.rsplit('@').next().unwrap()
}
