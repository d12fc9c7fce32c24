//! Hard limits. Everything a user can send has one. Limits that users can change are in [`crate::settings`].

use std::time::Duration;

use crate::range::{Decimal, Length, Whole};

/// Longest job name, queue name or executor name, in bytes.
pub const NAME_BYTES: usize = 128;
/// Longest unique key of a job, in bytes.
pub const KEY_BYTES: usize = 200;
/// How long a job may keep its unique key after it was stored, whatever became of it: 1 ms to 365 days.
pub const UNIQUE_FOR: Length = Length {
    min_ms: 1,
    max_ms: 365 * 24 * 60 * 60 * 1000,
};
/// How long calls for one key may be gathered into one job, and how long that job may be put off: 1 ms to 30 days.
pub const DEBOUNCE: Length = Length {
    min_ms: 1,
    max_ms: 30 * 24 * 60 * 60 * 1000,
};
/// How long such a job is put off at most unless something else was asked for.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// Largest payload of one job (command, environment, working directory, standard input and the executor's own
/// object, as JSON), in bytes.
pub const PAYLOAD_BYTES: usize = 1024 * 1024;
/// Deepest nesting of a stored payload, in objects and arrays. Readers of JSON give up at 128, and a printed job has levels
/// around its payload.
pub const PAYLOAD_DEPTH: usize = 100;
/// Most arguments of a command, and most entries of its environment.
pub const PAYLOAD_ITEMS: usize = 4096;
/// Priorities; higher runs first.
pub const PRIORITY: Whole = Whole {
    min: -1_000_000,
    max: 1_000_000,
};
/// Retries that a job may ask for.
pub const RETRIES: Whole = Whole { min: 0, max: 1000 };
/// Bases of the back-off, in seconds.
pub const BACKOFF_BASE: Decimal = Decimal {
    min: 1.0,
    max: 3600.0,
};
/// Longest run of an attempt that a job may ask for: 1 ms to 365 days.
pub const TIMEOUT: Length = Length {
    min_ms: 1,
    max_ms: 365 * 24 * 60 * 60 * 1000,
};
/// Farthest a job may be scheduled ahead, in days (100 years).
pub const SCHEDULE_DAYS: i64 = 36_525;
/// Times in a row that an executor may fail to run a job before the job is dead. A job that ran and failed does not count.
pub const SYSTEM_FAILURES: u32 = 5;
/// Longest error message stored with an attempt, in bytes.
pub const MESSAGE_BYTES: usize = 4096;
/// Longest value of an executor's own setting, in bytes.
pub const SETTING_BYTES: usize = 4096;
/// Worker processes in one node.
pub const WORKERS: Whole = Whole { min: 1, max: 1024 };
/// Jobs that one worker process runs at a time.
pub const CONCURRENCY: Whole = Whole { min: 1, max: 1024 };
/// Most queues that one node can be told to serve.
pub const NODE_QUEUES: usize = 256;
/// Queues that are paused at a time.
pub const PAUSED_QUEUES: usize = 1000;
/// Queues that have settings of their own.
pub const QUEUES_WITH_SETTINGS: usize = 1000;
/// How long a pause of a queue that ends by itself may last: 1 s to 365 days.
pub const PAUSE: Length = Length {
    min_ms: 1000,
    max_ms: 365 * 24 * 60 * 60 * 1000,
};
/// Longest reason of an operator, in bytes.
pub const REASON_BYTES: usize = 1024;
/// Longest message of a job about how far it is, in bytes.
pub const PROGRESS_BYTES: usize = 1024;
/// Longest checkpoint of a job, in bytes: it has room in an environment on every system.
pub const CHECKPOINT_BYTES: usize = 16 * 1024;
/// Longest result of a job, as JSON, in bytes.
pub const RESULT_BYTES: usize = 64 * 1024;
/// Shortest time between two reports of a job about how far it is. One that comes earlier waits.
pub const PROGRESS_PAUSE: Duration = Duration::from_millis(100);
/// Rows that one `list` returns at most.
pub const LIST_ROWS: Whole = Whole {
    min: 1,
    max: 1_000_000,
};
/// Jobs that are sorted for one list by something that no index has.
pub const SORTED_JOBS: u32 = 100_000;
/// Values of one filter of a selector, and filters of one selector.
pub const SELECTOR_VALUES: usize = 100;
/// Longest text that a filter looks for, in bytes.
pub const SELECTOR_VALUE_BYTES: usize = 1024;
/// Longest selector that is one text, in bytes.
pub const SELECTOR_TEXT_BYTES: usize = 64 * 1024;
/// Ranges, groups and jobs that a selector of many jobs may name.
pub const SELECTOR_PICKS: usize = 1000;
/// Jobs that one job may wait for.
pub const PARENTS: usize = 1000;
/// Jobs that may wait for one job. All of them are settled by the transaction that ends it.
pub const DEPENDANTS: usize = 10_000;
/// Jobs of a file in which some wait for others, all of which are stored by one transaction.
pub const GRAPH_JOBS: usize = 100_000;
/// Their payloads together, in bytes.
pub const GRAPH_BYTES: usize = 256 * 1024 * 1024;
/// Jobs that `show --graph` shows.
pub const GRAPH_SHOWN: usize = 1000;
/// Edges between them.
pub const GRAPH_SHOWN_EDGES: usize = 10_000;
/// Most events that are kept, whatever the setting `event_retention` says.
pub const EVENTS_KEPT: i64 = 10_000_000;
/// Newest operations that can be looked up, whatever the setting `op_retention` says.
pub const OPERATIONS_KEPT: i64 = 10_000;
/// Numbers of operations.
pub const OPERATION: Whole = Whole {
    min: 1,
    max: i64::MAX,
};
/// What is kept to undo operations, in bytes: of one, and of all together once a node has tidied up.
pub const UNDO_BYTES: i64 = 1024 * 1024 * 1024;
/// Largest job that is kept when it is purged, with its attempts and what is stored of their output, in bytes.
pub const UNDO_JOB_BYTES: i64 = 16 * 1024 * 1024;
/// Longest description of an operation, in characters.
pub const OPERATION_CHARS: usize = 1000;
/// Names that `stats` tells apart.
pub const STATS_NAMES: Whole = Whole { min: 1, max: 200 };
/// Jobs stored by one transaction of a bulk enqueue.
pub const ENQUEUE_BATCH: usize = 1000;
/// Most schedules of one queue's store.
pub const SCHEDULES: usize = 10_000;
/// Longest expression of a schedule, in characters.
pub const CRON_CHARS: usize = 500;
/// Intervals of `@every`: 1 s to 365 days.
pub const SCHEDULE_INTERVAL: Length = Length {
    min_ms: 1000,
    max_ms: 365 * 24 * 60 * 60 * 1000,
};
/// Longest spread of a schedule's jobs: 1 ms to one day.
pub const SCHEDULE_JITTER: Length = Length {
    min_ms: 1,
    max_ms: 24 * 60 * 60 * 1000,
};
/// How old a missed tick may be that is caught up with: 1 s to 365 days.
pub const MISSED_WITHIN: Length = Length {
    min_ms: 1000,
    max_ms: 365 * 24 * 60 * 60 * 1000,
};
/// Most missed ticks that a schedule catches up with at once, and most skipped ones that get a row each at once; those
/// before share a row.
pub const MISSED_TICKS: usize = 100;
/// Most missed ticks that are counted one by one; of more it is said that there were more.
pub const MISSED_COUNTED: u32 = 10_000;
/// Newest ticks that are kept of a schedule.
pub const TICKS_KEPT: i64 = 1000;
/// Dead runs in a row after which a schedule can pause itself.
pub const PAUSE_AFTER: Whole = Whole { min: 1, max: 1000 };
/// Most ticks that one back-fill makes jobs for.
pub const BACKFILL_TICKS: usize = 1000;
/// Waiting runs of a schedule that queues them; a tick above that is skipped.
pub const QUEUED_RUNS: usize = 100;
/// How late a tick may be made and still be on time, in ms.
pub const TICK_ON_TIME: u64 = 5000;
/// How late the newest tick may be made without counting as missed, in ms.
pub const TICK_LATE: u64 = 60_000;
/// Hooks that were added for all jobs, for those of a queue or of a schedule.
pub const HOOKS: usize = 100;
/// Dead jobs at which a hook can run.
pub const ALERT_DEAD: Whole = Whole {
    min: 1,
    max: 1_000_000,
};
/// After what time such a hook may run again while as many jobs are dead: 1 s to 365 days.
pub const ALERT_AGAIN: Length = Length {
    min_ms: 1000,
    max_ms: 365 * 24 * 60 * 60 * 1000,
};
/// Tokens of the HTTP API, with those that were revoked and are still listed.
pub const TOKENS: usize = 256;
/// Queues, and executors, that a token is limited to.
pub const TOKEN_SCOPE: usize = 32;
/// How long a token may be good for: 1 s to 10 years.
pub const TOKEN_LIFE: Length = Length {
    min_ms: 1000,
    max_ms: 3650 * 24 * 60 * 60 * 1000,
};
/// Answers to requests with an `Idempotency-Key` that are kept, the newest, and for how long.
pub const ANSWERS: i64 = 1_000_000;
/// See [`ANSWERS`].
pub const ANSWERS_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest `Idempotency-Key`, in bytes.
pub const ANSWER_KEY_BYTES: usize = 255;
/// Longest command of a hook, as JSON, in bytes.
pub const HOOK_BYTES: usize = 16 * 1024;
/// Longest fact that a hook is told of the job, in characters.
pub const HOOK_FACT_CHARS: usize = 1000;
/// How many hooks may lead to a job that fires hooks: commands of hooks can enqueue jobs that have hooks.
pub const HOOK_DEPTH: u16 = 8;
/// Most values that a shell is offered to complete a word with.
pub const COMPLETIONS: usize = 200;
/// Longest time that the queue is asked for them.
pub const COMPLETION_TIME: Duration = Duration::from_millis(50);
/// Groups of jobs in one queue's store.
pub const GROUPS: usize = 100_000;
/// Jobs in one group, about: jobs that several transactions store at the same moment may exceed it by their number.
pub const MEMBERS: usize = 1_000_000;
/// Dead members after which a group cancels those that have not begun.
pub const MAX_FAILS: Whole = Whole { min: 1, max: 10_000 };
/// Labels of one job.
pub const LABELS: usize = 16;
/// Longest key of a label, in bytes.
pub const LABEL_KEY_BYTES: usize = 64;
/// Longest value of a label, in bytes.
pub const LABEL_VALUE_BYTES: usize = 256;
/// Longest comment of a job, in bytes.
pub const COMMENT_BYTES: usize = 1024;
/// Limits that one job may name.
pub const JOB_LIMITS: usize = 8;
/// Longest name of a limit with its key, in bytes.
pub const LIMIT_KEY_BYTES: usize = 200;
/// Limits in one queue.
pub const LIMITS: usize = 1000;
/// Jobs of a key that a limit lets run at a time; 0 lets none start.
pub const LIMIT_RUNNING: Whole = Whole { min: 0, max: 10_000 };
/// Starts in each period of a rate.
pub const RATE_COUNT: Whole = Whole {
    min: 1,
    max: 1_000_000,
};
/// The period of a rate: 1 ms to 31 days.
pub const RATE_PERIOD: Length = Length {
    min_ms: 1,
    max_ms: 31 * 24 * 60 * 60 * 1000,
};
/// Starts that a rate allows at once.
pub const RATE_BURST: Whole = Whole {
    min: 1,
    max: 1_000_000,
};
/// Exit statuses that can mean "busy".
pub const BUSY_STATUS: Whole = Whole { min: 1, max: 255 };
/// How long a busy key may wait: 1 ms to 1 day.
pub const BUSY_WAIT: Length = Length {
    min_ms: 1,
    max_ms: 24 * 60 * 60 * 1000,
};
/// Attempts in a row that may end as busy without counting; the next one counts as failed.
pub const BUSY_ROUNDS: u32 = 100;
/// Queues that can have limits of their own.
pub const LIMITED_QUEUES: usize = 1000;
