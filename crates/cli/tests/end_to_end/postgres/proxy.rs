//! Something between a node and the server that can go away, in the ways in which networks and servers do.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
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

struct Shared {
    mode: Mutex<Mode>,
    changed: Condvar,
    open: Mutex<Vec<TcpStream>>,
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
                for (from, to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    let all = Arc::clone(&all);
                    thread::spawn(move || pass(from, to, &all));
                }
            }
        });
        Proxy { shared, port }
    }

    /// The location, by way of the proxy.
    pub fn location(&self, location: &str) -> String {
        location.replace(authority(location), &format!("127.0.0.1:{}", self.port))
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

fn pass(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        let mut mode = shared.mode.lock().unwrap();
        while *mode == Mode::Frozen {
            mode = shared.changed.wait(mode).unwrap();
        }
        drop(mode);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

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
