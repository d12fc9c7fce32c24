//! What tests have jobs do, said to the shell of this system. `exit 0`, `exit 1` and `echo x> ran` are the same everywhere.

/// Says that it runs (see `Queue::wait_started`), and waits at the gate `gate`.
pub const GATED: &str = if cfg!(windows) {
    "echo x> started.%QUEUECTL_JOB_ID%& for /l %i in (1,0,2) do @if exist gate exit 0"
} else {
    "echo $QUEUECTL_JOB_ID >> started; read x < gate"
};

/// Runs until it is stopped.
pub const FOREVER: &str = if cfg!(windows) {
    "ping -n 1000 127.0.0.1"
} else {
    "sleep 1000"
};

/// Stands for the value of a variable.
pub fn variable(name: &str) -> String {
    if cfg!(windows) {
        format!("%{name}%")
    } else {
        format!("${name}")
    }
}

/// Succeeds at this attempt, and before it fails.
pub fn succeeds_at(attempt: u32) -> String {
    if cfg!(windows) {
        format!("if not %QUEUECTL_ATTEMPT%=={attempt} exit 1")
    } else {
        format!("test $QUEUECTL_ATTEMPT = {attempt}")
    }
}

/// Succeeds if there is such a file.
pub fn succeeds_with(file: &str) -> String {
    if cfg!(windows) {
        format!("if not exist {file} exit 1")
    } else {
        format!("test -e {file}")
    }
}
