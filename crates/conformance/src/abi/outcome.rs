//! How a case ends.

/// How a case ends that does not end well.
#[derive(Debug)]
pub(super) enum End {
    /// A rule is broken; what happened.
    Broken(String),
    /// It cannot be tried; why.
    Skipped(String),
}

pub(super) type CaseResult = Result<(), End>;

/// A broken rule.
pub(super) fn broken<T>(what: impl Into<String>) -> Result<T, End> {
    Err(End::Broken(what.into()))
}

/// A case that cannot be tried.
pub(super) fn skipped<T>(why: impl Into<String>) -> Result<T, End> {
    Err(End::Skipped(why.into()))
}
