//! What tests of processes need on Unix: signals, who is alive, named pipes as gates, C programs.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{MARK, Node, Queue, wait_for, wait_until};

/// A named pipe at which jobs wait: `read x < NAME`.
pub struct Gate {
    file: File,
    path: PathBuf,
}

impl Gate {
    /// Lets one job pass.
    pub fn open(&self) {
        (&self.file).write_all(b"\n").unwrap();
    }

    /// Lets all jobs pass that come from now on.
    pub fn leave_open(&self) {
        fs::remove_file(&self.path).unwrap();
        fs::write(&self.path, "\n").unwrap();
    }
}

impl Queue {
    /// A gate with that name in the queue's folder.
    pub fn gate(&self, name: &str) -> Gate {
        let path = self.path(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // Open for both, so that neither side waits for the other to come.
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        Gate { file, path }
    }

    /// Waits until this many jobs that wait at gates have reported that they run.
    pub fn wait_started(&self, count: usize) {
        self.wait_lines("started", count);
    }
}

impl Node {
    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Kills the dispatcher alone, and waits until it is gone.
    pub fn kill_dispatcher(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait_exit();
    }

    /// Its worker processes, once there are this many.
    #[cfg(target_os = "linux")]
    pub fn workers(&self, count: usize) -> Vec<i32> {
        wait_for(&format!("{count} worker processes"), || {
            let mut workers = children(self.pid());
            workers.retain(|pid| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|word| word == b"worker:run")
            });
            workers.sort_unstable();
            (workers.len() == count).then_some(workers)
        })
    }
}

pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Whether a process is there and not merely waiting to be waited for.
pub fn lives(pid: i32) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.rsplit(") ").next().unwrap().starts_with('Z'),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => kill(Pid::from_raw(pid), None).is_ok(),
    }
}

/// Has a process hear the signals that tests send, which a shell that started the tests in the background ignores.
pub fn hear_signals(command: &mut Command) {
    use nix::sys::signal::{SigHandler, signal};
    use std::os::unix::process::CommandExt;

    let hear = || {
        for one in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM] {
            // SAFETY: the default action is no code of this process.
            unsafe { signal(one, SigHandler::SigDfl)? };
        }
        Ok(())
    };
    // SAFETY: between fork and exec there are only system calls.
    unsafe { command.pre_exec(hear) };
}

pub fn wait_gone(pid: i32, what: &str) {
    wait_until(&format!("the end of {what}, process {pid}"), || !lives(pid));
}

#[cfg(target_os = "linux")]
pub fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

#[cfg(target_os = "linux")]
pub fn children(parent: i32) -> Vec<i32> {
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        fields.split(' ').nth(1) == Some(&parent.to_string())
    };
    processes().filter(is_child).collect()
}

/// Kills all processes whose mark begins like that, until there are none.
#[cfg(target_os = "linux")]
pub fn kill_marked(mark: &str) {
    let wanted = format!("{MARK}={mark}");
    let marked = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry.starts_with(wanted.as_bytes()))
    };
    loop {
        let mut any = false;
        for pid in processes().filter(marked).filter(|pid| lives(*pid)) {
            any = true;
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        if !any {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The command inside another one, such as `setpriv OPTIONS`: its words follow the other's, and its environment and
/// folder are the other's.
pub fn within(mut outer: Command, inner: &Command) -> Command {
    outer.arg(inner.get_program()).args(inner.get_args());
    surroundings(&mut outer, inner);
    outer
}

/// Gives a command the environment and the folder of another one.
pub fn surroundings(to: &mut Command, from: &Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    to.current_dir(from.get_current_dir().unwrap());
    to.stdin(Stdio::null());
}

/// Compiles C with `cc`; false if there is none, which the caller reports as a skipped test.
pub fn compile(source: &Path, to: &Path, options: &[&str]) -> bool {
    let output = match Command::new("cc")
        .args(options)
        .arg(source)
        .arg("-o")
        .arg(to)
        .output()
    {
        Ok(output) => output,
        Err(_) => return false,
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    true
}

/// A small file system of its own, gone with the test. None where this process may not mount one.
#[cfg(target_os = "linux")]
pub struct SmallDisk {
    pub path: PathBuf,
}

#[cfg(target_os = "linux")]
impl SmallDisk {
    pub fn mount(path: PathBuf, kib: u32) -> Option<SmallDisk> {
        fs::create_dir(&path).unwrap();
        let size = format!("size={kib}k");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "none"])
            .arg(&path)
            .output();
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(SmallDisk { path })
    }

    /// Takes all the space there is.
    pub fn fill(&self) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path.join("ballast"))
            .unwrap();
        let mut size = 64 * 1024;
        while size > 0 {
            if file.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Gives that space back.
    pub fn free(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }

    pub fn read_only(&self) {
        let remounted = Command::new("mount")
            .args(["-o", "remount,ro"])
            .arg(&self.path)
            .status();
        assert!(remounted.unwrap().success());
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

/// A terminal of its own that a command runs in, as if a user had typed it there; none, and said so, without script(1).
#[cfg(target_os = "linux")]
pub fn in_a_terminal(queue: &Queue, args: &[&str], test: &str) -> Option<Child> {
    let start = queue.command(args);
    let words: Vec<String> = std::iter::once(start.get_program())
        .chain(start.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut terminal = Command::new("script");
    // `exec`, or a shell that waits for its last command (dash) would say 130, and not what the node said.
    let line = format!("exec {}", words.join(" "));
    terminal.args(["-q", "-f", "-e", "-c", &line, "typescript"]);
    surroundings(&mut terminal, &start);
    terminal.stdin(Stdio::piped()).stdout(Stdio::null());
    let terminal = terminal.spawn().ok();
    if terminal.is_none() {
        queuectl_testkit::skipped(test, "there is no script(1)");
    }
    terminal
}
