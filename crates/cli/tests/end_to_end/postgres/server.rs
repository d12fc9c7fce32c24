//! A server of a test's own, for what one cannot do to a server that others use.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
pub use queuectl_devkit::postgres::{Server, Setup};

use crate::support::unix::children;
use crate::support::wait_until;

/// A server on this machine with such settings. None, and said so, if there are no programs for it.
pub fn own_server(test: &str, settings: &[&str]) -> Option<Server> {
    server_at(test, "127.0.0.1", settings)
}

/// The same at that address.
pub fn server_at(test: &str, address: &str, settings: &[&str]) -> Option<Server> {
    let server = Server::with(&Setup {
        address,
        durable: false,
        settings: &[&["shared_buffers=64MB"], settings].concat(),
    });
    let server = server.unwrap_or_else(|error| panic!("the server does not start: {error:#}"));
    if server.is_none() {
        queuectl_testkit::skipped(test, "the programs of a PostgreSQL server are not installed");
    }
    server
}

/// The server's process, and the processes that serve connections of clients.
fn processes(server: &Server) -> (i32, Vec<i32>) {
    let file = fs::read_to_string(server.data().join("postmaster.pid")).unwrap();
    let postmaster = file.lines().next().unwrap().trim().parse().unwrap();
    let serves = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"postgres: queuectl ")
    };
    (
        postmaster,
        children(postmaster).into_iter().filter(serves).collect(),
    )
}

/// Stops everything that the server is, or lets it go on.
pub fn signal_all(server: &Server, signal: Signal) {
    let (postmaster, _) = processes(server);
    for pid in [vec![postmaster], children(postmaster)].concat() {
        // Connections come and go meanwhile.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Has what was committed until now reach the disk, and nothing from now on: stops the process that writes the log, which
/// the server for tests leaves to it alone.
pub fn hold_back_log(server: &Server) {
    let mut psql = server.psql("postgres");
    let output = psql.args(["--command", "CHECKPOINT"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let (postmaster, _) = processes(server);
    let is_writer = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"postgres: walwriter")
    };
    let writer = children(postmaster).into_iter().find(is_writer).unwrap();
    kill(Pid::from_raw(writer), Signal::SIGSTOP).unwrap();
}

/// Kills one of the processes that serve connections.
pub fn kill_one(server: &Server) {
    wait_until("a process that serves a connection", || {
        let (_, serving) = processes(server);
        let mut killed = serving
            .into_iter()
            .map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
        killed.any(|killed| killed.is_ok())
    });
}
