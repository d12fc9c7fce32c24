//! The queue as a file or a database.

use serde::Serialize;

/// A queue that was made, or was there.
#[derive(Debug, Serialize)]
pub struct InitView {
    /// The queue's file, or where it is on PostgreSQL, without a password.
    pub db: String,
    /// Whether it was not there before.
    pub made: bool,
}

/// What a check of the queue found.
#[derive(Debug, Serialize)]
pub struct CheckView {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// What is wrong with the file's structure.
    pub damage: Vec<String>,
    /// Rows that point at rows that are not there.
    pub dangling: u64,
    /// Numbers of jobs, by queue and state, that are wrong.
    pub miscounted: u64,
    /// Jobs that hold a key of a limit, or wait for one, otherwise than their state says.
    pub misplaced: u64,
    /// Groups whose callback is missing or early, and jobs that their groups take for others than they are.
    pub misgrouped: u64,
    /// The file's pages.
    pub pages: u64,
    /// Pages free for reuse.
    pub free_pages: u64,
}

/// A copy of the queue in a file.
#[derive(Debug, Serialize)]
pub struct BackupView {
    /// The new file, as it was named.
    pub file: String,
}

/// A queue that was copied to another place.
#[derive(Debug, Serialize)]
pub struct CopyView {
    /// The queue that was copied, without a password.
    pub from: String,
    /// The copy, without a password.
    pub to: String,
    /// Jobs copied.
    pub jobs: u64,
    /// Their ended attempts.
    pub attempts: u64,
    /// Attempts that printed something.
    pub outputs: u64,
    /// Settings that were set.
    pub settings: u64,
    /// Schedules, with their ticks.
    pub schedules: u64,
}

/// The schema, and what it lacks or lacked.
#[derive(Debug, Serialize)]
pub struct MigrateView {
    /// The queue, without a password.
    pub db: String,
    /// The version found; null if there was no queue.
    pub version: Option<i32>,
    /// The steps from there to the newest version.
    pub migrations: Vec<MigrationView>,
    /// Whether they were run.
    pub done: bool,
}

/// One step from a version of the schema to the next.
#[derive(Debug, Serialize)]
pub struct MigrationView {
    /// The version that it makes.
    pub version: i32,
    /// Its name.
    pub name: &'static str,
    /// Its statements, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<&'static str>,
}

/// Where the queue is.
#[derive(Debug, Serialize)]
pub struct PathView {
    /// The file, or the location on PostgreSQL without a password.
    pub db: String,
    /// The folder on this machine with long outputs, logs and locks of nodes.
    pub folder: String,
}

/// A file that was written again without free space.
#[derive(Debug, Serialize)]
pub struct CompactView {
    /// Its size before, with its write-ahead log, in bytes.
    pub bytes_before: u64,
    /// Its size after, in bytes.
    pub bytes: u64,
}
