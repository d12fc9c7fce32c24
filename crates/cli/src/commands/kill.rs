//! `kill`: sends a signal to running jobs.

use anyhow::Result;
use clap::Args;

use super::doing::{Doing, Signalling};
use super::select::ChangeArgs;
use crate::context::Context;
use crate::exit::Exit;
use crate::listed::listed;
use crate::registry::Run;

/// Send a signal to running jobs
#[derive(Debug, Args)]
#[command(after_help = "\
The node of each job sends the signal to all processes of the job's process group. What becomes of the job is what its own end \
says: one that a signal ended has failed, and is retried if it has attempts left. `queuectl cancel` stops a job for good. A \
job that a node has claimed ahead gets the signal when it has started.

Examples:
  queuectl kill --signal HUP 12
  queuectl kill -s USR1 queue=mail --yes")]
pub struct KillArgs {
    /// The signal, by its name: TERM, KILL, INT, HUP, USR1 ...; on Windows TERM and KILL, which both end all processes
    #[arg(
        short,
        long,
        value_name = "SIGNAL",
        default_value = "TERM",
        value_parser = listed(SIGNALS, signal),
        hide_possible_values = true
    )]
    signal: String,
    #[command(flatten)]
    change: ChangeArgs,
}

/// Signals that can be sent, without `SIG`.
const SIGNALS: [&str; 17] = [
    "HUP", "INT", "QUIT", "ABRT", "KILL", "USR1", "USR2", "PIPE", "ALRM", "TERM", "CHLD", "CONT", "STOP",
    "TSTP", "WINCH", "IO", "URG",
];

fn signal(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    match SIGNALS.contains(&name) {
        true => Ok(format!("SIG{name}")),
        false => Err(format!("expected one of {}", SIGNALS.join(", "))),
    }
}

impl Run for KillArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let verb = format!("send {} to", self.signal);
        let done = format!("sent {}", self.signal);
        let will = format!("will get {}", self.signal);
        let signalling = Signalling {
            signal: &self.signal,
            will: &will,
            words: (&verb, &done),
        };
        let mut store = context.open()?;
        let (exit, _) = self.change.act(&mut store, Doing::Signal(&signalling), context)?;
        Ok(exit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_with_or_without_sig() {
        for text in ["usr1", "SIGUSR1", "Usr1"] {
            assert_eq!(signal(text), Ok("SIGUSR1".to_owned()));
        }
        for text in ["", "9", "SIG", "NONE"] {
            assert!(signal(text).unwrap_err().contains("TERM"), "{text}");
        }
    }
}
