//! Log events, on standard error: one line each, for people or as JSON.
//!
//! Nodes log from level info, other commands from warn. `-v` and `-q` change the level; `QUEUECTL_LOG` replaces it with a
//! filter such as `queuectl_worker=debug,warn`. Spans are not printed: an event carries all its fields.
//!
//! A node and its worker processes do not wait for the reader of their log; see [`crate::stderr`]. An event of the name
//! [`FINAL_MESSAGE`] is followed by the end of the process, so it alone is waited for.

mod format;

use std::io;
use std::panic::PanicHookInfo;

use anstream::ColorChoice;
use anyhow::Result;
use queuectl_executor::FINAL_MESSAGE;
use tracing::Subscriber;
use tracing::{Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::exit::Usage;
use crate::global::{Global, LogFormat};
use crate::stderr::{color, queue};
use format::{JsonLines, TextLines};

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
    let subscriber: Box<dyn Subscriber + Send + Sync> = match global.log_format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer()
                .event_format(TextLines { color, raw })
                .with_writer(Writers)
                .log_internal_errors(false);
            Box::new(tracing_subscriber::registry().with(filter).with(lines))
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer()
                .event_format(JsonLines)
                .with_writer(Writers)
                .log_internal_errors(false);
            Box::new(tracing_subscriber::registry().with(filter).with(lines))
        }
    };
    if is_node {
        let format = global.log_format;
        queue::start(move |count| {
            let message = format!(
                "{count} log lines were dropped, because nobody read the log or it could not be written"
            );
            format::own_line(format, TextLines { color, raw }, Level::WARN, &message)
        })?;
        std::panic::set_hook(Box::new(log_panic));
    }
    subscriber.try_init()?;
    Ok(Logging(()))
}

/// Logs a panic, which the standard library would write to standard error and wait for.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    tracing::error!(thread = thread.name().unwrap_or("unnamed"), "{panic}");
}

/// Writes an event's line directly, or through the queue if there is one.
struct Writers;

impl<'a> MakeWriter<'a> for Writers {
    type Writer = Box<dyn io::Write + 'a>;

    fn make_writer(&'a self) -> Self::Writer {
        match queue::queue() {
            Some(_) => Box::new(queue::LineWriter { is_last: false }),
            None => Box::new(io::stderr()),
        }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self::Writer {
        match queue::queue() {
            Some(_) => Box::new(queue::LineWriter {
                is_last: event.name() == FINAL_MESSAGE,
            }),
            None => Box::new(io::stderr()),
        }
    }
}

fn filter(global: &Global, is_node: bool) -> Result<EnvFilter> {
    if let Some(text) = std::env::var("QUEUECTL_LOG").ok().filter(|text| !text.is_empty()) {
        return EnvFilter::try_new(&text).map_err(|error| {
            Usage::new(format!("QUEUECTL_LOG='{text}' is not a log filter: {error}"))
                .hint("use a level such as debug, or target=level pairs such as queuectl_worker=debug,warn")
                .into()
        });
    }
    Ok(EnvFilter::new(level(global.verbose, global.quiet, is_node)))
}

fn level(verbose: u8, quiet: u8, is_node: bool) -> &'static str {
    match (verbose, quiet, is_node) {
        (0, 0, true) => "info",
        (0, 0, false) | (0, 1, _) => "warn",
        (0, 2.., _) => "error",
        (1, ..) => "debug",
        (2.., ..) => "trace",
    }
}

#[cfg(test)]
mod tests {
    use super::level;

    #[test]
    fn levels() {
        assert_eq!(level(0, 0, true), "info");
        assert_eq!(level(0, 0, false), "warn");
        assert_eq!(level(0, 1, true), "warn");
        assert_eq!(level(0, 9, true), "error");
        assert_eq!(level(1, 0, false), "debug");
        assert_eq!(level(3, 0, true), "trace");
    }
}
