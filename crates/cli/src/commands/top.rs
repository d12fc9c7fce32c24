//! `top`: the live view of a queue in the terminal, which is in a crate of its own.

use std::io;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::range::Length;
use queuectl_top::{Options, TopError};

use crate::context::Context;
use crate::exit::{Ended, Exit, Usage};
use crate::number::length;
use crate::operator;
use crate::registry::Run;

/// Watch the queue live in the terminal, and act on jobs there
#[derive(Debug, Args)]
#[command(after_help = "\
Tabs: overview, jobs, queues, limits, groups, schedules, dead, nodes and events; 1 to 9 or Tab goes to one, ? shows the keys, \
q quits. / filters (jobs by selectors, as in `queuectl help selectors`), Space marks jobs, and r, c, h and p retry, cancel, hold \
and pause. It needs a terminal of at least 80 x 24. docs/top.md has more.")]
pub struct TopArgs {
    /// Only look: no key changes anything
    #[arg(long)]
    readonly: bool,
    /// Look at the queue again this long after the last look, if it changed
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = length(INTERVAL), allow_hyphen_values = true)]
    interval: Duration,
}

/// How often the queue is looked at.
const INTERVAL: Length = Length {
    min_ms: 100,
    max_ms: 60 * 60 * 1000,
};

impl Run for TopArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        if !context.output.takes_bytes() {
            return Err(Usage::new("top is for people and prints no documents")
                .hint("`queuectl status --json` and `queuectl list --json` do")
                .into());
        }
        let options = Options {
            location: context.location.clone(),
            readonly: self.readonly,
            interval: self.interval,
            colours: anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never,
            operator: operator::name(),
        };
        match queuectl_top::run(options) {
            Ok(()) => Ok(Exit::OK),
            Err(TopError::Store(error)) => Err(error.into()),
            Err(error @ TopError::NoTerminal) => Err(Usage::new(error.to_string())
                .hint("elsewhere, use `queuectl status` and `queuectl list`")
                .into()),
            Err(error @ TopError::Terminal(_)) => Err(Ended {
                message: error.to_string(),
                exit: Exit::NEGATIVE,
            }
            .into()),
            Err(error @ TopError::Died(_)) => Err(error.into()),
        }
    }
}
