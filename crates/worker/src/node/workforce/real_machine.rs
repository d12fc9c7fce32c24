//! The real machine: worker processes with a thread at each of their streams.

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use queuectl_executor::{CallRecord, inherit, processes};

use super::machine::{Machine, WorkerProcess};
use super::worker_log;
use crate::node::inputs::Input;
use crate::os::{self, Tree};
use crate::process::COOKIE;
use crate::protocol;

/// Most messages of a worker that are passed on at once.
const MESSAGES: usize = 1024;

/// How this program becomes a worker process.
pub struct RealMachine {
    /// Its arguments.
    pub args: Vec<OsString>,
    /// What it must not learn from its environment.
    pub hidden: Vec<(&'static str, Option<OsString>)>,
    /// Takes what it writes to standard error.
    pub pass_on: fn(&[u8]),
}

struct RealProcess {
    pid: u32,
    tree: Arc<Tree>,
    /// None once its input has ended.
    frames: Option<Sender<Vec<u8>>>,
    pause: Arc<Pause>,
}

/// Minimum interval between reads of a busy worker's pipe, in µs; 0 reads at once. What the worker says meanwhile waits in
/// the pipe: reading it now and then costs far fewer switches between processes than reading each message.
#[derive(Default)]
struct Pause(AtomicU64);

impl Pause {
    fn set(&self, pause: Duration) {
        let us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.0.store(us, Ordering::Relaxed);
    }

    fn take(&self) {
        let us = self.0.load(Ordering::Relaxed);
        if us > 0 {
            thread::sleep(Duration::from_micros(us));
        }
    }
}

impl Machine for RealMachine {
    fn start(&self, index: usize, mark: &str, inputs: Sender<Input>) -> io::Result<Box<dyn WorkerProcess>> {
        let mut command = os::own_program()?;
        command
            .args(&self.args)
            .env(COOKIE, mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.hidden {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        // Without it a crash names no plugin, which is no reason not to start.
        let calls = CallRecord::share_with(&mut command).ok();
        inherit::isolate(&mut command);
        let mut child = command.spawn()?;
        let pid = child.id();
        let tree = Arc::new(Tree::of(&child).inspect_err(|_| {
            let _ = child.kill();
        })?);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the worker process has no streams"));
        };
        let (frames, outbox) = channel();
        let write = move || write_frames(stdin, &outbox);
        thread::Builder::new()
            .name(format!("to worker {}", index + 1))
            .spawn(write)?;
        let from = BufReader::with_capacity(64 * 1024, stdout);
        let log = worker_log::pass_on(index, stderr, self.pass_on)?;
        let pause = Arc::<Pause>::default();
        let reader = (Arc::clone(&tree), Arc::clone(&pause));
        let mut child = child;
        let read = move || {
            let (tree, pause) = reader;
            let status = read_frames(index, &mut child, &tree, from, &pause, &inputs);
            // Its last lines come before what the node says about its end.
            log.wait();
            let _ = inputs.send(Input::WorkerGone {
                worker: index,
                status,
                call: calls.and_then(|calls| calls.in_progress()),
            });
        };
        thread::Builder::new()
            .name(format!("from worker {}", index + 1))
            .spawn(read)?;
        let frames = Some(frames);
        Ok(Box::new(RealProcess {
            pid,
            tree,
            frames,
            pause,
        }))
    }

    fn kill_marked(&self, prefix: &str) -> usize {
        processes::kill_marked(prefix)
    }

    fn kill_adopted(&self, known: &[u32], mark: &str) -> usize {
        processes::kill_adopted(known, mark)
    }
}

impl WorkerProcess for RealProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn send(&self, frames: Vec<u8>) {
        if let Some(to) = &self.frames {
            let _ = to.send(frames);
        }
    }

    fn set_pause(&self, pause: Duration) {
        self.pause.set(pause);
    }

    fn close(&mut self) {
        // Ends the writing thread, which closes the stream.
        self.frames = None;
    }

    fn kill(&self) {
        self.tree.kill();
    }

    fn kill_rest(&self) {
        self.tree.kill_rest();
    }

    fn let_go(&self) {
        self.tree.let_go();
    }
}

/// Frames that pile up while one is written go out together.
fn write_frames(mut to: ChildStdin, outbox: &Receiver<Vec<u8>>) {
    while let Ok(mut bytes) = outbox.recv() {
        while bytes.len() < 64 * 1024
            && let Ok(more) = outbox.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Passes on what a worker says, until its end. Returns how it ended.
fn read_frames(
    worker: usize,
    child: &mut Child,
    tree: &Tree,
    mut from: BufReader<ChildStdout>,
    pause: &Pause,
    inputs: &Sender<Input>,
) -> io::Result<ExitStatus> {
    let mut end = None;
    while end.is_none() {
        if from.buffer().is_empty() {
            pause.take();
        }
        let mut messages = Vec::new();
        loop {
            match protocol::read(&mut from) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => end = Some(Ok(())),
                Err(error) => end = Some(Err(error)),
            }
            if end.is_some() || messages.len() >= MESSAGES || !protocol::is_there(from.buffer()) {
                break;
            }
        }
        if !messages.is_empty() {
            // Without a dispatcher the report has no reader, and the process ends by itself.
            let _ = inputs.send(Input::Told { worker, messages });
        }
    }
    if let Some(Err(error)) = end {
        tracing::error!(worker = worker + 1, %error, "invalid frame from worker process; killing it");
        tree.kill();
        let _ = child.kill();
    }
    child.wait()
}
