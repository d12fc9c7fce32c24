//! Children: one process with whatever it starts, its output, its limits and its end.
//!
//! Each half offers `Reactor` (waits for what happens to children) with its `Waker`, `Process` (a child with its
//! descendants and its output), `Confinement` (limits, put on before the program starts) with `User`, `Orphans`
//! (descendants that got away) and the functions in the `use` lines below. There is no policy here: when to stop which
//! process is the supervisor's business.

#[cfg(target_os = "linux")]
mod birthmark;
#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(unix)]
mod confine_unix;
#[cfg(windows)]
mod confine_windows;
mod error;
#[cfg(target_os = "linux")]
mod linux;
mod nameless;
mod origin;
#[cfg(unix)]
mod pipes_unix;
#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(target_os = "linux")]
mod strays;
#[cfg(unix)]
mod terminal_unix;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
mod user;
#[cfg(unix)]
mod wait_unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use cgroup::Group;
#[cfg(all(unix, not(target_os = "linux")))]
use portable::{Group, Strays};
#[cfg(target_os = "linux")]
use strays::Strays;

#[cfg(target_os = "linux")]
pub(crate) use birthmark::{Birthmark, RUN_MOST};
#[cfg(unix)]
pub(crate) use confine_unix::Confinement;
#[cfg(windows)]
pub(crate) use confine_windows::{Confinement, User};
pub(crate) use error::{SpawnError, cannot_confine, cannot_start};
#[cfg(target_os = "linux")]
pub(crate) use linux::{Orphans, become_subreaper, kill_adopted, kill_marked};
pub(crate) use nameless::nameless_file;
pub(crate) use origin::RunOrigin;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Birthmark, Orphans, RUN_MOST, become_subreaper, kill_adopted, kill_marked};
#[cfg(unix)]
pub(crate) use unix::{Process, Reactor, Waker, arguments, leave_child_signals};
#[cfg(unix)]
pub(crate) use user::User;
#[cfg(windows)]
pub(crate) use windows::{Process, Reactor, Waker, arguments, leave_child_signals};
