//! Clean processes: the one place that decides what a node, its worker processes and their jobs take over from whoever
//! started the node.
//!
//! | | node | worker process | job |
//! |---|---|---|---|
//! | session | that of its starter, or its own in the background | its own, without a terminal | that of its worker process, in a group of its own |
//!
//! A job leads a process group inside a session that has no terminal. It does not lead that session, so it cannot acquire
//! a terminal by opening one either, and a start costs no more than one without all that. What a job finds in its
//! environment is decided in `spawn`.

use std::process::Command;

use crate::os;

/// Has `command` start a process of queuectl's own, in a session of its own: neither does Ctrl-C at the terminal of the
/// one who starts it reach it, nor does it, or anything that it starts, reach that terminal. On Windows it is a process
/// group.
pub fn own_session(command: &mut Command) {
    os::own_session(command);
}
