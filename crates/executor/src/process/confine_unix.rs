//! What is done to a process of a job that asks for limits, between fork and exec.
//!
//! Everything that may block, allocate or fail for a reason worth telling is done before the fork; what is left for the
//! child is a list of system calls. A job without limits never comes here: its process is started by `posix_spawn`.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, geteuid, setgid, setsid, setuid, write};
use queuectl_plugin_api::abi::{
    QC_RLIMIT_AS, QC_RLIMIT_CORE, QC_RLIMIT_CPU, QC_RLIMIT_DATA, QC_RLIMIT_FSIZE, QC_RLIMIT_NOFILE,
    QC_RLIMIT_STACK,
};
#[cfg(target_os = "linux")]
use queuectl_plugin_api::abi::{QC_RLIMIT_MEMLOCK, QC_RLIMIT_NPROC};

use super::Group;
use super::nameless::nameless_file;
use super::origin::RunOrigin;
use super::user::User;
use crate::limits::{Limits, Rlimit};
use crate::os::error_text;

/// The number at which a process finds its file, as `/dev/fd/3`.
const FILE: i32 = 3;

/// One thing that the child does to itself. In this order: what needs rights comes before they are given up.
enum Step {
    /// Become a member of the run's control group, by writing to its list.
    Join(OwnedFd),
    /// Put the file at its number. The other two are what was there in the parent.
    File(OwnedFd, libc::dev_t, libc::ino_t),
    /// Begin a session, and make what its output goes to the terminal of it.
    Session,
    Umask(Mode),
    Nice(i32),
    Rlimit(Resource, rlim_t, rlim_t),
    Groups(Vec<libc::gid_t>),
    Gid(Gid),
    Uid(Uid),
    Folder(CString),
}

impl Step {
    /// Does it. Runs between fork and exec: system calls only, and nothing is allocated.
    fn take(&self) -> nix::Result<()> {
        match self {
            Step::Join(list) => write(list, b"0").map(drop),
            Step::File(file, device, inode) => {
                // The standard library opens descriptors of its own for a start. Should the number have become one of
                // those, the start is given up and tried again.
                if identity(FILE)? != (*device, *inode) {
                    return Err(Errno::EAGAIN);
                }
                // SAFETY: two numbers; what the second one stood for is not needed in the child, as was just made sure of.
                Errno::result(unsafe { libc::dup2(file.as_raw_fd(), FILE) }).map(drop)
            }
            Step::Session => {
                setsid()?;
                // SAFETY: a descriptor and a number. The standard library has connected it to the terminal before.
                let done = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCSCTTY as _, 0) };
                Errno::result(done).map(drop)
            }
            Step::Umask(mask) => {
                umask(*mask);
                Ok(())
            }
            Step::Nice(nice) => {
                // SAFETY: three numbers; 0 stands for this process.
                let done = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, *nice) };
                Errno::result(done).map(drop)
            }
            Step::Rlimit(resource, soft, hard) => setrlimit(*resource, *soft, *hard),
            Step::Groups(groups) => {
                // SAFETY: the list is readable for its length.
                let done = unsafe { libc::setgroups(groups.len() as _, groups.as_ptr()) };
                Errno::result(done).map(drop)
            }
            Step::Gid(gid) => setgid(*gid),
            Step::Uid(uid) => setuid(*uid),
            Step::Folder(folder) => chdir(folder.as_c_str()),
        }
    }

    /// What could not be done.
    fn failed(&self) -> String {
        match self {
            Step::Join(_) => "enter its control group".to_owned(),
            Step::File(..) => "be given its file".to_owned(),
            Step::Session => "take its terminal".to_owned(),
            Step::Umask(_) => "set its umask".to_owned(),
            Step::Nice(nice) => format!("set its niceness to {nice}"),
            Step::Rlimit(resource, soft, hard) => {
                format!(
                    "set its limit {resource:?} to {} (hard: {})",
                    shown(*soft),
                    shown(*hard)
                )
            }
            Step::Groups(_) => "take the groups of its user".to_owned(),
            Step::Gid(gid) => format!("become a member of the group {gid}"),
            Step::Uid(uid) => format!("become the user {uid}"),
            Step::Folder(folder) => format!("enter '{}' as its user", folder.to_string_lossy()),
        }
    }
}

fn shown(value: rlim_t) -> String {
    if value == RLIM_INFINITY {
        "unlimited".to_owned()
    } else {
        value.to_string()
    }
}

/// A process's limits, ready to be put on.
pub(crate) struct Confinement {
    steps: Vec<String>,
    told: PipeReader,
    group: Option<Group>,
    user: Option<User>,
}

impl Confinement {
    /// Has `command` put the limits on before its program starts.
    ///
    /// # Errors
    /// What cannot be done here, in words.
    pub(crate) fn prepare(
        command: &mut Command,
        limits: &Limits,
        user: Option<User>,
        cwd: Option<&Path>,
        origin: RunOrigin,
    ) -> Result<Confinement, String> {
        let mut steps = Vec::new();
        let mut group = None;
        if limits.memory.is_some() || limits.pids.is_some() {
            let made = Group::create(origin, limits.memory, limits.pids)?;
            steps.push(Step::Join(made.entrance()?));
            group = Some(made);
        }
        steps.extend(limits.terminal.map(|_| Step::Session));
        if let Some(bytes) = &limits.file {
            steps
                .push(file(bytes).map_err(|error| format!("cannot write its file: {}", error_text(&error)))?);
        }
        steps.extend(
            limits
                .umask
                .map(|mask| Step::Umask(Mode::from_bits_truncate(mask as libc::mode_t))),
        );
        steps.extend(limits.nice.map(Step::Nice));
        for limit in &limits.rlimits {
            steps.push(rlimit(limit)?);
        }
        if let Some(user) = user.as_ref().filter(|user| !user.is_current()) {
            if !geteuid().is_root() {
                return Err(format!(
                    "only a node of root can run jobs as another user, and this one is of user {}",
                    geteuid()
                ));
            }
            steps.push(Step::Groups(user.groups.clone()));
            steps.push(Step::Gid(user.gid));
            steps.push(Step::Uid(user.uid));
            // Again, as that user: the standard library enters it before.
            let cwd = cwd.and_then(|cwd| CString::new(cwd.as_os_str().as_bytes()).ok());
            steps.extend(cwd.map(Step::Folder));
        }
        let described = steps.iter().map(Step::failed).collect();
        let (told, tell) = pipe().map_err(|error| format!("no pipe: {}", error_text(&error)))?;
        // SAFETY: the steps are system calls on data that was made before.
        unsafe { command.pre_exec(move || put_on(&steps, &tell)) };
        Ok(Confinement {
            steps: described,
            told,
            group,
            user,
        })
    }

    /// Makes what the process's streams are connected to its user's, so that `/dev/stdout` can be opened.
    pub(crate) fn own(&self, stream: impl AsFd) {
        if let Some(user) = &self.user {
            user.own(stream);
        }
    }

    /// The step at which the child gave up, if it was one of these. Call it after the command is gone.
    pub(crate) fn failed_step(&mut self) -> Option<&str> {
        let mut number = [0];
        match self.told.read(&mut number) {
            Ok(1) => self.steps.get(usize::from(number[0])).map(String::as_str),
            _ => None,
        }
    }

    /// The control group, for the process that was started.
    pub(crate) fn into_group(self) -> Option<Group> {
        self.group
    }
}

/// A pipe whose reading end does not wait: what a child that gave up had to tell is there when that is known.
fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((reader, writer))
}

/// Runs in the child.
fn put_on(steps: &[Step], mut tell: &PipeWriter) -> io::Result<()> {
    for (number, step) in steps.iter().enumerate() {
        if let Err(errno) = step.take() {
            // There are a few dozen steps at most. If it cannot be told, the bare error has to do.
            let _ = tell.write(&[number as u8]);
            return Err(errno.into());
        }
    }
    Ok(())
}

fn rlimit(limit: &Rlimit) -> Result<Step, String> {
    let name = limit.name().unwrap_or_default();
    let resource = match limit.resource {
        QC_RLIMIT_CPU => Resource::RLIMIT_CPU,
        QC_RLIMIT_NOFILE => Resource::RLIMIT_NOFILE,
        QC_RLIMIT_CORE => Resource::RLIMIT_CORE,
        QC_RLIMIT_FSIZE => Resource::RLIMIT_FSIZE,
        QC_RLIMIT_AS => Resource::RLIMIT_AS,
        QC_RLIMIT_DATA => Resource::RLIMIT_DATA,
        QC_RLIMIT_STACK => Resource::RLIMIT_STACK,
        #[cfg(target_os = "linux")]
        QC_RLIMIT_NPROC => Resource::RLIMIT_NPROC,
        #[cfg(target_os = "linux")]
        QC_RLIMIT_MEMLOCK => Resource::RLIMIT_MEMLOCK,
        _ => return Err(format!("there is no limit {name} on this system")),
    };
    // The child inherits these.
    let (soft_now, hard_now) =
        getrlimit(resource).map_err(|errno| format!("cannot read the limit {name}: {}", errno.desc()))?;
    let value = |value: u64| {
        if value == Rlimit::UNLIMITED {
            RLIM_INFINITY
        } else {
            value
        }
    };
    let hard = limit.hard.map_or(hard_now, value);
    let soft = limit.soft.map_or(soft_now.min(hard), value);
    if soft > hard {
        return Err(format!(
            "the limit {name} of {} is above the hard limit of the node, {}; give the job a hard limit, too",
            shown(soft),
            shown(hard)
        ));
    }
    Ok(Step::Rlimit(resource, soft, hard))
}

/// The bytes as a file without a name, which anybody can read who has it.
fn file(bytes: &[u8]) -> io::Result<Step> {
    let file = nameless_file(bytes)?;
    // A process of another user opens it afresh by its path.
    file.set_permissions(std::fs::Permissions::from_mode(0o444))?;
    let mut file = OwnedFd::from(file);
    if file.as_raw_fd() == FILE {
        // Copying it onto itself would leave it to be closed.
        file = file.try_clone()?;
    }
    // Something has to be at that number, so that nothing that is opened later gets it.
    let (device, inode) = match identity(FILE) {
        Ok(there) => there,
        Err(_) => {
            let null = File::open("/dev/null")?;
            // SAFETY: an open descriptor and a number. It takes the lowest free one from there on, and is never closed.
            let held = unsafe { libc::fcntl(null.as_raw_fd(), libc::F_DUPFD_CLOEXEC, FILE) };
            identity(Errno::result(held)?)?
        }
    };
    Ok(Step::File(file, device, inode))
}

/// What a descriptor's number stands for.
fn identity(number: i32) -> nix::Result<(libc::dev_t, libc::ino_t)> {
    // SAFETY: all-zero is a valid stat.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the struct may be written; a number that is not open is an error.
    Errno::result(unsafe { libc::fstat(number, &raw mut stat) })?;
    Ok((stat.st_dev, stat.st_ino))
}
