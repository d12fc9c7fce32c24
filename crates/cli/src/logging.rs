//! Log events, on standard error: one line each, for people or as JSON.
//!
//! Nodes log from level info, other commands from warn. `-v` and `-q` change the level; `QUEUECTL_LOG` replaces it with a
//! filter such as `queuectl_worker=debug,warn`. Spans are not printed: an event carries all its fields.
//!
//! A node and its worker processes do not wait for the reader of their log; see [`crate::stderr`]. An event of the name
//! [`FINAL_MESSAGE`] is followed by the end of the process, so it alone is waited for.

mod filter;
mod format;
mod subscriber;

use std::io::{self, Write as _};
use std::panic::PanicHookInfo;

use anstream::ColorChoice;
use anyhow::Result;
use queuectl_executor::FINAL_MESSAGE;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};

use crate::exit::Usage;
use crate::global::{Global, LogFormat};
use crate::stderr::{color, queue};
use filter::Filter;
use format::{Format, TextLines};
use subscriber::Lines;

/// Flushes the log when dropped.
pub struct Logging(());

impl Drop for Logging {
    fn drop(&mut self) {
        queue::flush();
    }
}

/// Starts logging for this process.
pub fn start(global: &Global, is_node: bool) -> Result<Logging> {
    let filter = filter(global, is_node)?;
    let color = color() != ColorChoice::Never;
    let raw = global.raw;
    let format = || match global.log_format.unwrap_or_default() {
        LogFormat::Text => Format::Text(TextLines { color, raw }),
        LogFormat::Json => Format::Json,
    };
    if is_node {
        let format = format();
        queue::start(move |count| {
            let message = format!(
                "{count} log lines were dropped, because the log was not read or could not be written"
            );
            format.own_line(Level::WARN, &message)
        })?;
        std::panic::set_hook(Box::new(log_panic));
    }
    tracing::subscriber::set_global_default(Lines {
        filter,
        format: format(),
        write,
    })?;
    Ok(Logging(()))
}

/// Logs a panic, which the standard library would write to standard error and wait for.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    tracing::error!(thread = thread.name().unwrap_or("unnamed"), "{panic}");
}

/// Writes an event's line directly, or through the queue if there is one.
fn write(event: &Metadata<'_>, line: &[u8]) {
    if queue::queue().is_none() {
        // There is nowhere to report that this failed.
        let _ = io::stderr().write_all(line);
        return;
    }
    queue::push(line);
    if event.name() == FINAL_MESSAGE {
        queue::flush();
    }
}

fn filter(global: &Global, is_node: bool) -> Result<Filter> {
    if let Some(text) = std::env::var("QUEUECTL_LOG").ok().filter(|text| !text.is_empty()) {
        return text.parse::<Filter>().map_err(|error| {
            Usage::new(format!("QUEUECTL_LOG='{text}' is not a log filter: {error}"))
                .hint("use a level such as debug, or target=level pairs such as queuectl_worker=debug,warn")
                .into()
        });
    }
    Ok(Filter::from(level(global.verbose, global.quiet, is_node)))
}

fn level(verbose: u8, quiet: u8, is_node: bool) -> LevelFilter {
    match (verbose, quiet, is_node) {
        (0, 0, true) => LevelFilter::INFO,
        (0, 0, false) | (0, 1, _) => LevelFilter::WARN,
        (0, 2.., _) => LevelFilter::ERROR,
        (1, ..) => LevelFilter::DEBUG,
        (2.., ..) => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::{LevelFilter, level};

    #[test]
    fn levels() {
        assert_eq!(level(0, 0, true), LevelFilter::INFO);
        assert_eq!(level(0, 0, false), LevelFilter::WARN);
        assert_eq!(level(0, 1, true), LevelFilter::WARN);
        assert_eq!(level(0, 9, true), LevelFilter::ERROR);
        assert_eq!(level(1, 0, false), LevelFilter::DEBUG);
        assert_eq!(level(3, 0, true), LevelFilter::TRACE);
    }
}
