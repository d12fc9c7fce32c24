//! Nodes as children of the test, their log in a file.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;

use super::done::wait_exit;
use super::{MARK, Queue, kill_marked, wait_until};

/// A node. When it is dropped, it is killed with its worker processes and their jobs.
pub struct Node {
    child: Child,
    log: PathBuf,
    mark: String,
    /// The queue's folder stays as long as the log is of interest.
    _folder: Arc<tempfile::TempDir>,
}

impl Node {
    /// Starts a node, and does not wait until it runs.
    pub fn start(queue: &Queue, args: &[&str]) -> Node {
        Node::start_command(queue, &[&["worker:start"], args].concat(), |_| {})
    }

    /// The same with the command spelled out, and with changes to how it is started.
    pub fn start_command(queue: &Queue, words: &[&str], adjust: impl FnOnce(&mut Command)) -> Node {
        let mut command = queue.command(words);
        adjust(&mut command);
        Node::start_with(queue, command)
    }

    /// The same by a command of the test's own.
    pub fn start_with(queue: &Queue, mut command: Command) -> Node {
        let mark = queue.next_mark();
        let number = mark.rsplit('#').nth(1).unwrap().to_owned();
        let log = queue.path(&format!("node{number}.log"));
        let file = File::create(&log).unwrap();
        command.env(MARK, &mark);
        #[cfg(unix)]
        super::unix::hear_signals(&mut command);
        command.stdout(file.try_clone().unwrap()).stderr(file);
        Node {
            child: command.spawn().unwrap(),
            log,
            mark,
            _folder: Arc::clone(&queue.folder),
        }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The mark of everything that belongs to it.
    pub fn mark(&self) -> &str {
        &self.mark
    }

    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// Waits until the log has this text.
    pub fn wait_log(&self, text: &str) {
        wait_until(
            &format!("'{text}' in {}\n{}", self.log.display(), self.log()),
            || self.log().contains(text),
        );
    }

    /// Waits for its end; the exit status, -1 if a signal ended it.
    pub fn wait_exit(&mut self) -> i32 {
        wait_exit(&mut self.child, "the node")
    }

    /// Ends its first process alone, without asking it: the dispatcher of a node.
    pub fn end(&mut self) {
        self.child.kill().unwrap();
    }

    /// Whether it has not ended.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the node {}\n{}", self.mark, self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_marked(&self.mark);
    }
}
