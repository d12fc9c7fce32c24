//! The machine as a node sees it: it starts worker processes there, and sweeps for processes that have lost their owner.
//!
//! A trait, so that the parts that decide can be tried without processes: `real_machine` has the real one, and the
//! simulator has one that is a table.

use std::io;
use std::sync::mpsc::Sender;
use std::time::Duration;

use crate::node::inputs::Input;

/// Starts worker processes and finds what they leave behind.
pub trait Machine {
    /// Starts the process of worker `index` (from 0), which marks everything that it starts with `mark`. What it says,
    /// and its end, go to `inputs`.
    ///
    /// # Errors
    /// The process or a thread at its streams could not be started.
    fn start(&self, index: usize, mark: &str, inputs: Sender<Input>) -> io::Result<Box<dyn WorkerProcess>>;

    /// Kills the processes whose mark begins like this. Returns how many.
    fn kill_marked(&self, prefix: &str) -> usize;

    /// Kills the processes that came to this one when their parent died, except the `known` ones, and the marked ones of
    /// them. Returns how many.
    fn kill_adopted(&self, known: &[u32], mark: &str) -> usize;
}

/// A worker process and everything in its group.
pub trait WorkerProcess {
    /// Its number.
    fn pid(&self) -> u32;

    /// Sends whole frames without waiting. They are lost if the process is gone, which its own input tells.
    fn send(&self, frames: Vec<u8>);

    /// Sets the minimum interval between reads of what it says; zero reads at once.
    fn set_pause(&self, pause: Duration);

    /// Ends its input: it stops its jobs, and leaves.
    fn close(&mut self);

    /// Kills it with its group.
    fn kill(&self);

    /// Kills what is left of its group once it is gone.
    fn kill_rest(&self);

    /// Lets what is left of its group live.
    fn let_go(&self);
}
