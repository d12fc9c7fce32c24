//! Log events, on standard error: one line each, for people or as JSON.
//!
//! Nodes log what they do; other verbs log only warnings. `-v` and `-q` move the level, `QUEUECTL_LOG` replaces it
//! with a filter such as `queuectl_worker=debug,warn`. Spans are not printed: each event says all it has to say.

mod format;

use std::io;

use anstream::ColorChoice;
use anyhow::Result;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{Global, LogFormat};
use crate::exit::Usage;
use format::{JsonLines, TextLines};

/// Starts logging for this process.
pub fn start(global: &Global, is_node: bool) -> Result<()> {
    let filter = filter(global, is_node)?;
    let color = anstream::AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let subscriber: Box<dyn Subscriber + Send + Sync> = match global.log_format {
        LogFormat::Text => {
            let lines = tracing_subscriber::fmt::layer()
                .event_format(TextLines {
                    color,
                    raw: global.raw,
                })
                .with_writer(io::stderr)
                .log_internal_errors(false);
            Box::new(tracing_subscriber::registry().with(filter).with(lines))
        }
        LogFormat::Json => {
            let lines = tracing_subscriber::fmt::layer()
                .event_format(JsonLines)
                .with_writer(io::stderr)
                .log_internal_errors(false);
            Box::new(tracing_subscriber::registry().with(filter).with(lines))
        }
    };
    subscriber.try_init()?;
    Ok(())
}

fn filter(global: &Global, is_node: bool) -> Result<EnvFilter> {
    if let Some(text) = std::env::var("QUEUECTL_LOG").ok().filter(|text| !text.is_empty()) {
        return EnvFilter::try_new(&text).map_err(|error| {
            Usage::new(format!("QUEUECTL_LOG='{text}' is no log filter: {error}"))
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
