//! What a command has done.

use queuectl_core::NodeId;
use serde::Serialize;

/// A job that was to be stored.
#[derive(Debug, Serialize)]
pub struct EnqueuedView<'a> {
    /// The job's id, or that of the job that has its unique key.
    pub id: &'a str,
    /// Whether that job was there already and counts in its place.
    pub existing: bool,
    /// The job that it took the place of.
    pub replaced: Option<&'a str>,
}

/// A job that was changed.
#[derive(Debug, Serialize)]
pub struct ChangedView<'a> {
    /// The job, as it was named.
    pub id: String,
    /// What became of it.
    pub result: &'a str,
}

/// How many jobs were given up at once.
#[derive(Debug, Serialize)]
pub struct CancelledView {
    /// Jobs that are cancelled.
    pub jobs: u64,
    /// Jobs that run and are being stopped.
    pub stopping: u64,
}

/// Which jobs would be changed.
#[derive(Debug, Serialize)]
pub struct WouldView {
    /// Their number.
    pub jobs: u64,
    /// The ids of the first of them.
    pub first: Vec<String>,
}

/// How many jobs will run again.
#[derive(Debug, Serialize)]
pub struct RetriedView {
    /// Their number.
    pub jobs: u64,
    /// Jobs that stay as they are because other jobs have their unique keys.
    pub skipped: u64,
}

/// How many jobs were changed at once, or would be.
#[derive(Debug, Serialize)]
pub struct CountView {
    /// The number of jobs.
    pub jobs: u64,
}

/// What became of dead letters that were imported.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct LettersImportedView {
    /// Jobs that were stored.
    pub jobs: u64,
    /// Jobs that were there already.
    pub already: u64,
    /// Stored jobs that have only numbers, because other jobs have their ids.
    pub name_taken: u64,
    /// Stored jobs whose unique keys other jobs have.
    pub key_taken: u64,
    /// Lines that were left out.
    pub wrong: u64,
}

/// A node that runs in the background.
#[derive(Debug, Serialize)]
pub struct StartedView {
    /// The node's number.
    pub node: NodeId,
    /// Its process number.
    pub pid: u32,
    /// Where it logs.
    pub log_file: String,
}

/// Nodes that were asked to stop.
#[derive(Debug, Serialize)]
pub struct AskedView<'a> {
    /// The living nodes among those that were asked.
    pub nodes: &'a [NodeId],
}
