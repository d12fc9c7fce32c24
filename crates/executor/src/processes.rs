//! Sweeps for processes without an owner: those that a dead worker process had started.
//!
//! A sweep blocks until they are dead, at most ten seconds; dispatchers and rescues call it. What a live worker's own jobs
//! leave behind is the business of its [`Host`](crate::Host).

use std::io;

use crate::process;

/// Orphans among this process's descendants become its own children from now on. Linux only; elsewhere nothing
/// happens.
///
/// # Errors
/// What the operating system says.
pub fn become_subreaper() -> io::Result<()> {
    process::become_subreaper()
}

/// Has the operating system tell the host's own thread, and not this one or those that it starts, when a child ends: so
/// no thread is woken in vain. Call it before the host is there, in a process whose other threads start no children.
///
/// # Errors
/// What the operating system says.
pub fn leave_children_to_host() -> io::Result<()> {
    process::leave_child_signals()
}

/// Kills every child of this process whose number is not in `known_children`, waits for it, and goes on with the
/// orphans that come from that until none is left. Returns how many processes it killed.
///
/// If other children than jobs' can come to this process, because it had some before it became a subreaper or is the
/// first process of all, only those are killed that carry a mark that begins with `mark`.
pub fn kill_adopted(known_children: &[u32], mark: &str) -> usize {
    process::kill_adopted(known_children, mark)
}

/// Kills every process on this machine that has `QUEUECTL_COOKIE` starting with `cookie_prefix` in its environment,
/// and all descendants of those, until two looks in a row find none. Never this process itself. Returns how many
/// processes it killed. An empty prefix kills nothing.
pub fn kill_marked(cookie_prefix: &str) -> usize {
    if cookie_prefix.is_empty() {
        0
    } else {
        process::kill_marked(cookie_prefix)
    }
}
