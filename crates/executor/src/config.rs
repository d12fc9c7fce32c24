//! What a host is made from.

use std::time::Duration;

use crate::{CallRecord, PluginSettings, SearchPath};

/// What a host is made from.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Where plugins are looked for.
    pub search: SearchPath,
    /// What plugins are told about the user's choices.
    pub settings: PluginSettings,
    /// How long a call into a plugin may take, loading it included. If one takes longer, this process ends with
    /// [`HANGING_STATUS`](crate::HANGING_STATUS): the thread that calls plugins cannot be recovered.
    pub call_limit: Duration,
    /// The value of `QUEUECTL_COOKIE` in the environment of every process: by it they are found again when this
    /// process dies. Unique to this worker process.
    pub cookie: String,
    /// The mark of the node, `STORE.NODE`: executors put it onto what they start outside of this process.
    pub mark: String,
    /// Where calls into plugins are noted for the node, if anywhere.
    pub call_record: Option<CallRecord>,
}
