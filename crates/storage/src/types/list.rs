//! Which jobs a list has, and a place in it.

use std::fmt;
use std::str::FromStr;

use queuectl_core::Job;

use super::filter::JobFilter;

/// A place in a list. Jobs are listed in the order in which they ended if only states of ended jobs are asked for, all others
/// by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub(crate) ended: i64,
    pub(crate) id: i64,
}

impl Position {
    pub(crate) const FIRST: Position = Position {
        ended: i64::MIN,
        id: i64::MIN,
    };
    pub(crate) const LAST: Position = Position {
        ended: i64::MAX,
        id: i64::MAX,
    };

    /// The place just before this one: what is above it begins here.
    #[must_use]
    pub fn before(self) -> Position {
        Position {
            id: self.id.saturating_sub(1),
            ..self
        }
    }
}

/// As text, for those who go on with a list later.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.ended, self.id)
    }
}

impl FromStr for Position {
    type Err = UnknownPosition;

    fn from_str(text: &str) -> Result<Position, UnknownPosition> {
        let (ended, id) = text.split_once('.').ok_or(UnknownPosition)?;
        let number = |text: &str| text.parse().map_err(|_| UnknownPosition);
        Ok(Position {
            ended: number(ended)?,
            id: number(id)?,
        })
    }
}

/// A text that is not a place in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not a valid cursor; use `next` of an earlier answer")]
pub struct UnknownPosition;

/// Which part of a list to read.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    /// Which jobs are on it.
    pub jobs: JobFilter,
    /// Only those before this place; to page through a long list, newest first.
    pub below: Option<Position>,
    /// Only those after this place; to page through a long list, oldest first.
    pub above: Option<Position>,
    /// Oldest first instead of newest first.
    pub oldest_first: bool,
    /// Most jobs to return.
    pub limit: u32,
}

impl ListFilter {
    /// The place of a job in this list.
    pub fn position(&self, job: &Job) -> Position {
        let ended = match job.finished_at {
            Some(at) if self.jobs.is_by_end() => at.0,
            _ => 0,
        };
        Position { ended, id: job.id.0 }
    }
}
