//! Which events are logged: a level for each target, such as `queuectl_worker=debug,warn`.

use std::str::FromStr;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;

/// Levels by target.
#[derive(Debug)]
pub struct Filter {
    /// What targets begin with, the longest first.
    targets: Vec<(String, LevelFilter)>,
    others: LevelFilter,
}

impl From<LevelFilter> for Filter {
    fn from(level: LevelFilter) -> Self {
        Filter {
            targets: Vec::new(),
            others: level,
        }
    }
}

impl FromStr for Filter {
    type Err = String;

    /// Reads a list of levels and `target=level` pairs. A target alone means all of its events.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Filter::from(LevelFilter::OFF);
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match (part.split_once('='), part.parse()) {
                (Some((target, level)), _) => {
                    // An empty level would be read as `error`.
                    let level = Some(level)
                        .filter(|level| !level.is_empty())
                        .and_then(|level| level.parse().ok())
                        .ok_or_else(|| format!("'{level}' is not a level"))?;
                    filter.targets.push((target.to_owned(), level));
                }
                (None, Ok(level)) => filter.others = level,
                (None, Err(_)) => filter.targets.push((part.to_owned(), LevelFilter::TRACE)),
            }
        }
        filter
            .targets
            .sort_by_key(|(target, _)| std::cmp::Reverse(target.len()));
        Ok(filter)
    }
}

impl Filter {
    /// Returns whether an event is logged.
    pub fn passes(&self, event: &Metadata<'_>) -> bool {
        *event.level() <= self.level_of(event.target())
    }

    /// Returns the level beyond which nothing is logged.
    pub fn most(&self) -> LevelFilter {
        let levels = self.targets.iter().map(|(_, level)| *level);
        levels.fold(self.others, LevelFilter::max)
    }

    fn level_of(&self, target: &str) -> LevelFilter {
        let named = self.targets.iter().find(|(start, _)| target.starts_with(start));
        named.map_or(self.others, |(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_target_counts() {
        let filter: Filter = "warn, queuectl_worker=debug,queuectl_worker::node=error"
            .parse()
            .unwrap();
        assert_eq!(filter.level_of("queuectl_storage::sqlite"), LevelFilter::WARN);
        assert_eq!(filter.level_of("queuectl_worker::process"), LevelFilter::DEBUG);
        assert_eq!(filter.level_of("queuectl_worker::node::loop"), LevelFilter::ERROR);
        assert_eq!(filter.most(), LevelFilter::DEBUG);
    }

    #[test]
    fn what_is_not_named_is_not_logged() {
        let filter: Filter = "queuectl_worker".parse().unwrap();
        assert_eq!(filter.level_of("queuectl_worker::node"), LevelFilter::TRACE);
        assert_eq!(filter.level_of("queuectl_executor"), LevelFilter::OFF);
    }

    #[test]
    fn a_level_that_is_none_is_named() {
        for (text, level) in [("a=b=c", "b=c"), ("a=", ""), ("info,a=loud", "loud")] {
            let error = text.parse::<Filter>().unwrap_err();
            assert_eq!(error, format!("'{level}' is not a level"));
        }
    }
}
