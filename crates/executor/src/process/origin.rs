//! What tells the processes of one run from those of all others.

/// By what the processes of a run are told from those of others: two variables in their environment, the cookie, and
/// on Linux a birthmark.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "only Linux looks for them after every run")
)]
pub(crate) struct RunOrigin<'a> {
    /// `QUEUECTL_COOKIE`.
    pub(crate) cookie: &'a str,
    /// `QUEUECTL_JOB_ID`.
    pub(crate) job: &'a str,
    /// `QUEUECTL_FENCE`.
    pub(crate) fence: i64,
    /// The number of the run in this process, in the birthmarks of what it starts; 0 for none.
    pub(crate) birth_number: u32,
}
