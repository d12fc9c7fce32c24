//! Whether queuectl can work here.

use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// All is well.
    Ok,
    /// Worth knowing.
    Note,
    /// It works, but may not always.
    Warning,
    /// It does not work, or not safely.
    Problem,
}

impl Verdict {
    /// Returns the word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Note => "note",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Serialize)]
pub struct FindingView {
    /// What was looked at. Codes are added and never renamed.
    pub code: &'static str,
    /// How bad it is.
    pub verdict: Verdict,
    /// In words, on one line.
    pub text: String,
    /// What helps: a command, or advice.
    pub fix: Option<String>,
}

impl FindingView {
    /// Returns a finding that needs nothing done.
    pub fn new(code: &'static str, verdict: Verdict, text: impl Into<String>) -> FindingView {
        FindingView {
            code,
            verdict,
            text: text.into(),
            fix: None,
        }
    }

    /// Adds what helps.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> FindingView {
        self.fix = Some(fix.into());
        self
    }
}

/// All that was looked at.
#[derive(Debug, Serialize)]
pub struct DoctorView {
    /// Whether there are no problems.
    pub ok: bool,
    /// In the order in which it was looked at.
    pub findings: Vec<FindingView>,
}
