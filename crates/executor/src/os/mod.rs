//! Everything that differs between operating systems, behind one set of names.
//!
//! Each half offers: `Reactor` (waits for what happens to processes) with its `Waker`, `Process` (a child with
//! whatever it starts, and its output), `Confinement` (limits of a process, put on before its program starts) with
//! `User`, and the small functions listed in the `use` lines below. No policy here:
//! when to stop what is the supervisor's business.

#[cfg(target_os = "linux")]
mod birthmark;
#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(unix)]
mod confine_unix;
#[cfg(windows)]
mod confine_windows;
#[cfg(unix)]
mod inherit_unix;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(unix)]
mod process_unix;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(windows)]
mod trust_windows;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod user;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use cgroup::Group;
#[cfg(all(unix, not(target_os = "linux")))]
use portable::Group;

#[cfg(target_os = "linux")]
pub(crate) use birthmark::{Birthmark, RUN_MOST};
#[cfg(unix)]
pub(crate) use confine_unix::Confinement;
#[cfg(windows)]
pub(crate) use confine_windows::{Confinement, User};
#[cfg(unix)]
pub(crate) use inherit_unix::{
    detach, is_ignored, isolate, reset_signals, survive_file_limit, withhold_descriptors,
};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Orphans, become_subreaper, check_library, kill_adopted, kill_marked};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{
    Birthmark, Orphans, RUN_MOST, become_subreaper, check_library, kill_adopted, kill_marked,
};
#[cfg(unix)]
pub(crate) use process_unix::{Process, Reactor, Waker, leave_child_signals};
#[cfg(windows)]
pub(crate) use trust_windows::{check_log_trust, check_trust};
#[cfg(unix)]
pub(crate) use unix::{
    arguments, check_log_trust, check_program, check_trust, create_private_file, create_private_folders,
    data_folder, exit_at_once, find_program, lacks_descriptors, open_files_limit, open_library,
    out_of_resources, set_open_files_limit, signal_name,
};
#[cfg(unix)]
pub(crate) use user::User;
#[cfg(windows)]
pub(crate) use windows::{
    Process, Reactor, Waker, arguments, check_program, create_private_file, create_private_folders,
    data_folder, detach, exit_at_once, find_program, is_ignored, isolate, lacks_descriptors,
    leave_child_signals, open_files_limit, open_library, out_of_resources, reset_signals,
    set_open_files_limit, signal_name, survive_file_limit, withhold_descriptors,
};

/// By what the processes of a run are told from those of others: two variables in their environment, the cookie, and
/// on Linux a birthmark.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux looks for them after every run")
)]
pub(crate) struct RunOrigin<'a> {
    /// `QUEUECTL_COOKIE`.
    pub(crate) cookie: &'a str,
    /// `QUEUECTL_JOB_ID`.
    pub(crate) job: &'a str,
    /// `QUEUECTL_FENCE`.
    pub(crate) fence: i64,
    /// The number of the run in this process, in the birthmarks of what it starts; 0 for none.
    pub(crate) birth_number: u32,
}
