//! Where a dead letter comes from: the death of one job in one store, however often it is exported and imported.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use crate::id::JobId;
use crate::quote::excerpt;

/// The label of a job that was imported as a dead letter. Its value is the letter's [`DeathId`].
pub const IMPORTED_FROM: &str = "imported-from";

/// Names the death of a job: the number of its store, the job and the claim under which it died.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeathId {
    /// The number of the store, hexadecimal.
    pub store: String,
    /// The job.
    pub job: JobId,
    /// The fencing token of its last claim; 0 if it was never claimed.
    pub fence: i64,
}

impl Display for DeathId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.store, self.job, self.fence)
    }
}

impl FromStr for DeathId {
    type Err = String;

    fn from_str(text: &str) -> Result<DeathId, String> {
        let refuse = || format!("'{}' does not name a store, a job and a claim", excerpt(text));
        let mut parts = text.split('/');
        let (Some(store), Some(job), Some(fence), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(refuse());
        };
        let is_store = (1..=64).contains(&store.len()) && store.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = |text: &str| text.parse::<i64>().ok().filter(|number| *number >= 0);
        match (number(job), number(fence)) {
            (Some(job), Some(fence)) if is_store => Ok(DeathId {
                store: store.to_owned(),
                job: JobId(job),
                fence,
            }),
            _ => Err(refuse()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_read_as_it_is_written() {
        let text = "00ab12cd00ab12cd/17/3";
        let read: DeathId = text.parse().unwrap();
        assert_eq!((read.job, read.fence), (JobId(17), 3));
        assert_eq!(read.to_string(), text);
        for wrong in ["", "ab/1", "ab/1/2/3", "xy/1/2", "/1/2", "ab/-1/2", "ab/1/x"] {
            assert!(wrong.parse::<DeathId>().is_err(), "{wrong}");
        }
    }
}
