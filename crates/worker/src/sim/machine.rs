//! The simulated machine: worker processes are entries of the table, and sweeps go over that table.

use std::io;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use super::{Process, failpoints, with};
use crate::node::inputs::Input;
use crate::node::workforce::machine::{Machine, WorkerProcess};
use crate::process::Jobs;

/// The machine that the simulator is on at the time.
pub struct SimMachine;

struct SimProcess {
    pid: u32,
    frames: Option<Sender<Vec<u8>>>,
}

impl Machine for SimMachine {
    fn start(&self, index: usize, mark: &str, inputs: Sender<Input>) -> io::Result<Box<dyn WorkerProcess>> {
        let (to, frames) = channel();
        let pid = with(|table| {
            table.last_pid += 1;
            table.processes.push(Process {
                pid: table.last_pid,
                worker: index,
                mark: mark.to_owned(),
                machine: table.machine,
                frames,
                inputs,
                jobs: Jobs::default(),
                running: Vec::new(),
                dead: false,
                leaves_at: None,
            });
            table.last_pid
        });
        let frames = Some(to);
        Ok(Box::new(SimProcess { pid, frames }))
    }

    fn kill_marked(&self, prefix: &str) -> usize {
        if failpoints::is_disabled("sweep") {
            return 0;
        }
        with(|table| {
            let mut killed = 0;
            for place in 0..table.processes.len() {
                let process = &mut table.processes[place];
                if process.machine == table.machine && process.mark.starts_with(prefix) {
                    killed += process.running.len();
                    if !process.dead {
                        killed += 1;
                        process.die();
                    }
                    table.clear(place);
                }
            }
            table.bury();
            killed
        })
    }

    /// Kills what the node's dead worker processes left running.
    fn kill_adopted(&self, _: &[u32], mark: &str) -> usize {
        if failpoints::is_disabled("sweep") {
            return 0;
        }
        with(|table| {
            let mut killed = 0;
            for place in 0..table.processes.len() {
                let process = &table.processes[place];
                if process.dead && process.mark.starts_with(mark) {
                    killed += process.running.len();
                    table.clear(place);
                }
            }
            table.bury();
            killed
        })
    }
}

impl WorkerProcess for SimProcess {
    fn pid(&self) -> u32 {
        self.pid
    }

    fn send(&self, frames: Vec<u8>) {
        if let Some(to) = &self.frames {
            let _ = to.send(frames);
        }
    }

    fn set_pause(&self, _: Duration) {}

    /// It leaves at once, with all that it runs.
    fn close(&mut self) {
        self.frames = None;
        with(|table| {
            if let Some(place) = table.place(self.pid) {
                table.clear(place);
                table.processes[place].die();
                table.bury();
            }
        });
    }

    fn kill(&self) {}

    fn kill_rest(&self) {}

    fn let_go(&self) {}
}
