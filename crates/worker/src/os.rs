//! What differs between operating systems: signals, process groups of worker processes, and taking the standard
//! streams away from plugins.

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

#[cfg(windows)]
mod windows;

#[cfg(unix)]
mod unix {
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::process::{Child, Command, ExitStatus};
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::{Pid, dup, dup2_stdin, dup2_stdout};
    use queuectl_executor::inherit;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    /// The number of a signal on this system, by its name.
    pub fn signal_number(name: &str) -> Option<i32> {
        name.parse::<Signal>().ok().map(|signal| signal as i32)
    }

    /// This program, to be started again. On Linux it is the very file that runs, even if another version was installed
    /// over it meanwhile: a node and its worker processes are always of one version.
    pub fn own_program() -> io::Result<Command> {
        let path = std::env::current_exe()?;
        if cfg!(target_os = "linux") {
            let mut command = Command::new("/proc/self/exe");
            command.arg0(path);
            return Ok(command);
        }
        Ok(Command::new(path))
    }

    /// Lets SIGINT, SIGTERM and SIGHUP pass by: a worker process ends when its node says so, and a service manager may
    /// signal all processes of a node at once. Handled rather than ignored, for jobs would inherit an ignored signal.
    pub fn outlive_stop_signals() -> io::Result<()> {
        let nobody_looks = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&nobody_looks))?;
        }
        Ok(())
    }

    /// The clock that runs since the machine was started, and on Linux also while it sleeps.
    pub fn since_start() -> Duration {
        #[cfg(target_os = "linux")]
        let clock = nix::time::ClockId::CLOCK_BOOTTIME;
        #[cfg(not(target_os = "linux"))]
        let clock = nix::time::ClockId::CLOCK_MONOTONIC;
        // Every system has these clocks.
        clock.now().map(Duration::from).unwrap_or_default()
    }

    /// A file that is made has the owner's rights alone.
    pub fn for_owner_only(options: &mut OpenOptions) {
        std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    }

    /// Writes over the beginning of a file, in one call.
    pub fn write_at_start(file: &File, bytes: &[u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
    }

    /// Gives this process the program's name in process lists, where it was started by way of [`own_program`].
    pub fn name_process() {
        #[cfg(target_os = "linux")]
        let _ = nix::sys::prctl::set_name(c"queuectl");
    }

    /// Calls `stop` from a thread of its own for every SIGINT, SIGTERM and SIGHUP, but not for those that are ignored.
    pub fn on_stop_signal(mut stop: impl FnMut() + Send + 'static) -> io::Result<()> {
        let heard = [SIGINT, SIGTERM, SIGHUP].into_iter();
        let mut signals = Signals::new(heard.filter(|signal| !inherit::is_ignored(*signal)))?;
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for _ in signals.forever() {
                    stop();
                }
            })?;
        Ok(())
    }

    /// Kills a process that is a child of this one and was not waited for yet, and every process of its group.
    pub fn kill_child_group(pid: u32) {
        if let Ok(pid) = i32::try_from(pid) {
            let _ = kill(Pid::from_raw(-pid), Signal::SIGKILL);
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// A worker process and its process group.
    pub struct Tree(u32);

    impl Tree {
        /// The tree of a child that leads a session.
        pub fn of(child: &Child) -> io::Result<Tree> {
            Ok(Tree(child.id()))
        }

        /// Kills the process, which was not waited for yet, and every process of its group.
        pub fn kill(&self) {
            kill_child_group(self.0);
        }

        /// Its number may mean others once it was waited for: what it left is for the sweeps to find.
        pub fn kill_rest(&self) {}

        /// What is left may stay: nothing holds it.
        pub fn let_go(&self) {}
    }

    /// A terminal here says itself what its characters are.
    pub fn utf8_console() {}

    /// How a process ended, in words.
    pub fn describe(status: ExitStatus) -> String {
        match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(number)) => match Signal::try_from(number) {
                Ok(signal) => format!("killed by signal {number} ({signal})"),
                Err(_) => format!("killed by signal {number}"),
            },
            (None, None) => "ended".to_owned(),
        }
    }

    /// Moves standard input and output to private handles, and leaves null devices in their place: a plugin that
    /// prints reaches the log, not the dispatcher.
    pub fn take_standard_streams() -> io::Result<(File, File)> {
        let input = File::from(dup(io::stdin())?);
        let output = File::from(dup(io::stdout())?);
        for file in [&input, &output] {
            nix::fcntl::fcntl(
                file,
                nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
            )?;
        }
        dup2_stdin(File::open("/dev/null")?)?;
        dup2_stdout(io::stderr())?;
        Ok((input, output))
    }

    /// The name of the user whose process this is, if the system knows one.
    pub fn user_name() -> Option<String> {
        let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok()?;
        Some(user?.name)
    }

    /// The machine's name.
    pub fn host_name() -> String {
        nix::unistd::gethostname()
            .map_or_else(|_| "unknown".into(), |name| name.to_string_lossy().into_owned())
    }
}
