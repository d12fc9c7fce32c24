//! Hard limits. Everything a user can send has one; those that can be chosen are in [`crate::settings`] instead.

/// Longest job name, queue name or executor name, in bytes.
pub const NAME_BYTES: usize = 128;
/// Largest payload of one job (command, environment, working directory, standard input and the executor's own
/// object, as JSON), in bytes.
pub const PAYLOAD_BYTES: usize = 1024 * 1024;
/// Deepest nesting of a payload as it is stored: so many objects and arrays within one another. What reads JSON gives up
/// at 128, and what prints a job puts more around it.
pub const PAYLOAD_DEPTH: usize = 100;
/// Most arguments in one command, and most entries in its environment.
pub const PAYLOAD_ITEMS: usize = 4096;
/// Priorities run from minus this to plus this; higher runs first.
pub const PRIORITY: i32 = 1_000_000;
/// Most retries that a job may ask for.
pub const RETRIES: u32 = 1000;
/// Farthest a job may be scheduled ahead, in days (100 years).
pub const SCHEDULE_DAYS: i64 = 36_525;
/// Times an executor may fail to run a job at all (as opposed to the job failing) before the job is declared dead.
pub const SYSTEM_FAILURES: u32 = 5;
/// Longest error message stored with an attempt, in bytes.
pub const MESSAGE_BYTES: usize = 4096;
/// Longest value of an executor's own setting, in bytes.
pub const SETTING_BYTES: usize = 4096;
/// Most worker processes in one node.
pub const WORKERS: u32 = 1024;
/// Most jobs that one worker process runs at a time.
pub const CONCURRENCY: u32 = 1024;
/// Most queues that one node can be told to serve.
pub const NODE_QUEUES: usize = 256;
/// Most rows one `list` returns.
pub const LIST_ROWS: u32 = 1_000_000;
/// Jobs stored by one transaction of a bulk enqueue.
pub const ENQUEUE_BATCH: usize = 1000;
