//! What a node, its worker processes and their jobs inherit from the process that started the node. It is decided here and
//! nowhere else.
//!
//! | | node | worker process | job |
//! |---|---|---|---|
//! | session | that of its starter, or its own in the background | its own, without a terminal | that of its worker process, in a group of its own |
//! | descriptors | those of its starter, or the standard ones in the background | the standard ones | the standard ones, and its script |
//! | signals | those that its starter ignores | all as they are by default | the same |
//!
//! A job leads a process group inside a session that has no terminal. It does not lead that session, so it cannot acquire
//! a terminal by opening one either, and a start costs no more than one without all that. What a job finds in its
//! environment is decided in `spawn`.

use std::process::Command;

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// Keeps the descriptors that this process was started with, beside the standard ones, from all processes that it starts.
/// It has them itself as before: a lock that a shell took for it is held as long as it lives, and no longer. To be called
/// at its start.
pub fn withhold_descriptors() {
    platform::withhold_descriptors();
}

/// Has this process hear the signals that its starter blocked, and learn how its children end, whatever its starter thought
/// of that. What else its starter ignored stays ignored. To be called before it has threads.
pub fn reset_signals() {
    platform::reset_signals();
}

/// Has writes beyond the largest size that files may have (`ulimit -f`) fail, instead of ending this process without a word.
/// Processes that it starts are ended as before. To be called at its start.
pub fn survive_file_limit() {
    platform::survive_file_limit();
}

/// Whether a signal is ignored, which a process is to leave so that was started with it: `nohup` does that.
pub fn is_ignored(signal: i32) -> bool {
    platform::is_ignored(signal)
}

/// Has `command` start a process of queuectl's own that runs jobs or plugins, in a session of its own and with no signal
/// ignored or blocked: neither does Ctrl-C at the terminal of the one who starts it reach it, nor does it, or anything that
/// it starts, reach that terminal. On Windows it is a process group.
pub fn isolate(command: &mut Command) {
    platform::isolate(command);
}

/// Has `command` start a node in the background, in a session of its own.
pub fn detach(command: &mut Command) {
    platform::detach(command);
}
