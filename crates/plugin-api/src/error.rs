//! What an executor answers when something cannot be done.

/// Why an instance could not be made, or a process could not be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// An error with its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// Why a run could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartError {
    /// The request makes no sense to this executor. The job's own failure, counted as an attempt.
    Invalid(String),
    /// The same, and another attempt cannot succeed, so none follows; see [`crate::Outcome::failed_for_good`].
    Final(String),
    /// The executor cannot run jobs at the moment. Not the job's failure; it is tried again later.
    System(String),
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            StartError::Invalid(text) | StartError::Final(text) | StartError::System(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for StartError {}

impl From<Error> for StartError {
    /// What a process could not be asked for with is the request's fault.
    fn from(error: Error) -> Self {
        StartError::Invalid(error.0)
    }
}
