//! Which jobs a job waits for, how each of them has to end, and what becomes of it if one ends otherwise.

use std::fmt;
use std::str::FromStr;

use crate::id::JobRef;
use crate::state::State;

/// How a job has to end for another to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Condition {
    /// It is completed.
    Ok = 1,
    /// It is dead or cancelled.
    Failed = 2,
    /// It has ended, in whichever way.
    Any = 3,
}

impl Condition {
    const ALL: [Condition; 3] = [Condition::Ok, Condition::Failed, Condition::Any];

    /// The condition's name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Condition::Ok => "ok",
            Condition::Failed => "failed",
            Condition::Any => "any",
        }
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The condition that a stored number stands for.
    pub fn from_code(code: i16) -> Option<Condition> {
        Condition::ALL
            .into_iter()
            .find(|condition| condition.code() == code)
    }

    /// Whether a job that ended in that state meets it.
    pub fn is_met_by(self, ended: State) -> bool {
        match self {
            Condition::Ok => ended == State::Completed,
            Condition::Failed => matches!(ended, State::Dead | State::Cancelled),
            Condition::Any => ended.is_final(),
        }
    }
}

/// What becomes of a job whose condition cannot be met any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(i16)]
pub enum Unmet {
    /// It is cancelled.
    #[default]
    Cancel = 1,
    /// It is held, for an operator to decide.
    Hold = 2,
    /// It runs all the same.
    Run = 3,
}

impl Unmet {
    /// Its name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Unmet::Cancel => "cancel",
            Unmet::Hold => "hold",
            Unmet::Run => "run",
        }
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The one that a stored number stands for.
    pub const fn from_code(code: i16) -> Option<Unmet> {
        match code {
            1 => Some(Unmet::Cancel),
            2 => Some(Unmet::Hold),
            3 => Some(Unmet::Run),
            _ => None,
        }
    }
}

impl FromStr for Unmet {
    type Err = String;
    fn from_str(text: &str) -> Result<Unmet, String> {
        let mut all = [Unmet::Cancel, Unmet::Hold, Unmet::Run].into_iter();
        all.find(|unmet| unmet.name() == text)
            .ok_or_else(|| "expected cancel, hold or run".to_owned())
    }
}

/// A job that another waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct After {
    /// The job.
    pub job: JobRef,
    /// How it has to end.
    pub condition: Condition,
}

/// Reads `JOB` or `JOB:CONDITION`. Ids may have colons, too: what follows the last one is a condition if there is one of that
/// name.
impl FromStr for After {
    type Err = String;
    fn from_str(text: &str) -> Result<After, String> {
        let text = text.trim();
        let named = text.rsplit_once(':').and_then(|(job, name)| {
            let condition = Condition::ALL
                .into_iter()
                .find(|condition| condition.name() == name)?;
            Some((job, condition))
        });
        let (job, condition) = named.unwrap_or((text, Condition::Ok));
        let job = job
            .parse()
            .map_err(|error: crate::id::IdError| error.to_string())?;
        Ok(After { job, condition })
    }
}

impl fmt::Display for After {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.job, self.condition.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_follows_the_last_colon() {
        for (text, job, condition) in [
            ("12", "12", Condition::Ok),
            ("extract:ok", "extract", Condition::Ok),
            ("13:any", "13", Condition::Any),
            (" a:b:failed", "a:b", Condition::Failed),
            ("a:b", "a:b", Condition::Ok),
            ("a:ok:ok", "a:ok", Condition::Ok),
        ] {
            let after: After = text.parse().unwrap();
            assert_eq!(
                (after.job.to_string().as_str(), after.condition),
                (job, condition)
            );
            assert_eq!(after.to_string().parse::<After>().unwrap(), after);
        }
        for wrong in ["", ":ok", "a b", "a,b"] {
            assert!(wrong.parse::<After>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_end_meets_one_of_ok_and_failed_and_any() {
        for state in State::ALL {
            let met = Condition::ALL.map(|condition| condition.is_met_by(state));
            assert_eq!(met[0] || met[1], state.is_final(), "{state}");
            assert_eq!(met[2], state.is_final(), "{state}");
            assert!(!(met[0] && met[1]), "{state}");
        }
        for condition in Condition::ALL {
            assert_eq!(Condition::from_code(condition.code()), Some(condition));
        }
        for unmet in [Unmet::Cancel, Unmet::Hold, Unmet::Run] {
            assert_eq!(Unmet::from_code(unmet.code()), Some(unmet));
        }
    }
}
