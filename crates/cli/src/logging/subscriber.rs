//! What `tracing` hands events to: those that pass the filter become lines. There are no spans.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::filter::Filter;
use super::format::Format;

/// Writes events as lines.
pub struct Lines {
    /// Which events.
    pub filter: Filter,
    /// How a line looks.
    pub format: Format,
    /// Writes a line of an event.
    pub write: fn(&Metadata<'_>, &[u8]),
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && self.filter.passes(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.filter.most())
    }

    fn event(&self, event: &Event<'_>) {
        (self.write)(event.metadata(), &self.format.line(event));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
