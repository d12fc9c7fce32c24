//! The statements that run for every job, as SQLite likes them. They say `LIMIT ? + 0` because for a bare `LIMIT ?`
//! SQLite looks at the value while planning, and prepares the statement anew whenever one is bound.

use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};

use crate::backend::statements::{ClaimedColumns, statements};
use crate::columns::{given, names};

/// The names of the queues that are paused at a moment.
macro_rules! paused {
    () => {
        "(SELECT name FROM queues WHERE paused_until > ?)"
    };
}

/// The condition of a claim, but for which queues it is from.
macro_rules! claimable {
    () => {
        concat!("state = {pending} AND queue NOT IN ", paused!())
    };
}

/// The text of a claim, with which jobs.
macro_rules! claim {
    ($($which:expr),+) => {
        concat!(
            "UPDATE jobs SET state = {processing}, attempts = attempts + 1, fence = fence + 1, node_id = ?, started_at = ?, \
             updated_at = ? WHERE state = {pending} AND id IN (",
            $($which,)+
            ") RETURNING id, attempts, fence, system_failures, coalesce((SELECT payload FROM payloads WHERE job_id = jobs.id \
             AND octet_length(payload) <= 1048576), ''), sum, CASE WHEN gates & 4 THEN (SELECT group_concat(parent) FROM edges \
             WHERE child = jobs.id) END",
            given!(names)
        )
    };
}

statements! { Sqlite, SqliteConnection;
    /// The number of the job stored last. RETURNING would have SQLite collect it in a table of its own, each time.
    LastNumber {} -> (BigInt,) {
        "SELECT last_insert_rowid()"
    }

    /// The priorities and numbers of the jobs a queue would hand out next.
    ReadyHead { queue: String as Text, limit: i64 as BigInt } -> (Integer, BigInt) {
        "SELECT priority, id FROM jobs WHERE state = {pending} AND queue = ? ORDER BY priority DESC, id LIMIT ? + 0"
    }

    /// The same of all queues but `default`.
    OthersReadyHead { limit: i64 as BigInt } -> (Integer, BigInt) {
        "SELECT priority, id FROM jobs INDEXED BY others_ready WHERE state = {pending} AND (queue = 'default') IS FALSE \
         ORDER BY priority DESC, id LIMIT ? + 0"
    }

    /// Claims the next jobs of a queue: the event `claim` of `transition`, for many at once.
    Claim {
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        queue: String as Text,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!("SELECT id FROM jobs WHERE state = {pending} AND queue = ? ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// The same of all queues but `default`.
    ClaimOthers {
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!("SELECT id FROM jobs INDEXED BY others_ready WHERE state = {pending} AND (queue = 'default') IS FALSE \
                ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// The pauses that are stored, and when they end.
    StoredPauses {} -> (Text, BigInt) {
        "SELECT name, paused_until FROM queues WHERE paused_until IS NOT NULL"
    }

    /// How many jobs the paused queues have ready.
    PausedBacklog { moment: i64 as BigInt } -> (BigInt,) {
        concat!("SELECT coalesce(sum(jobs), 0) FROM counts WHERE state = {pending} AND queue IN ", paused!())
    }

    /// The jobs that all queues but `default` and those paused would hand out next.
    UnpausedReadyHead { moment: i64 as BigInt, limit: i64 as BigInt } -> (Integer, BigInt) {
        concat!("SELECT priority, id FROM jobs INDEXED BY others_ready WHERE (queue = 'default') IS FALSE AND ",
                 claimable!(), " ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// Whether a claim would take a job, if it comes to it.
    IsClaimable { moment: i64 as BigInt, id: i64 as BigInt } -> (BigInt,) {
        concat!("SELECT id FROM jobs WHERE ", claimable!(), " AND id = ?")
    }

    /// Claims the next jobs of all queues but `default` and those paused, whose jobs it steps over.
    ClaimUnpaused {
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        moment: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!("SELECT id FROM jobs INDEXED BY others_ready WHERE (queue = 'default') IS FALSE AND ",
                claimable!(), " ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// The queues but `default` and those paused that have a job ready, those first whose next job comes first. It hops from
    /// queue to queue, so that it does not matter how many jobs a paused one has.
    UnpausedQueues { moment: i64 as BigInt, limit: i64 as BigInt } -> (Text,) {
        concat!(
            "WITH RECURSIVE hop (queue) AS (\
             SELECT (SELECT queue FROM jobs WHERE state = {pending} ORDER BY queue LIMIT 1) \
             UNION ALL \
             SELECT (SELECT jobs.queue FROM jobs WHERE state = {pending} AND jobs.queue > hop.queue \
             ORDER BY jobs.queue LIMIT 1) FROM hop WHERE hop.queue IS NOT NULL) \
             SELECT queue FROM hop WHERE queue <> 'default' AND queue NOT IN ",
            paused!(),
            " ORDER BY (SELECT priority FROM jobs WHERE state = {pending} AND jobs.queue = hop.queue \
             ORDER BY priority DESC, id LIMIT 1) DESC, \
             (SELECT id FROM jobs WHERE state = {pending} AND jobs.queue = hop.queue \
             ORDER BY priority DESC, id LIMIT 1) LIMIT ? + 0"
        )
    }

    /// Makes due jobs ready: the event `due` of `transition`, for many at once. Yields their queues, and the fences by
    /// which scheduled jobs, never claimed, are told from failed ones.
    Promote { updated_at: i64 as BigInt, now: i64 as BigInt, limit: i64 as BigInt } -> (Text, BigInt) {
        "UPDATE jobs SET state = {pending}, due_at = NULL, updated_at = ? WHERE id IN (\
         SELECT id FROM jobs WHERE due_at <= ? ORDER BY due_at LIMIT ? + 0) \
         RETURNING queue, fence"
    }

    /// Adds to the number of jobs that a queue has in a state.
    AddToCount { queue: String as Text, state: i16 as SmallInt, jobs: i64 as BigInt } -> () {
        "INSERT INTO counts (queue, state, jobs) VALUES (?, ?, ?) \
         ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + excluded.jobs"
    }

    /// Forgets the counts of a queue that has no jobs. The queue is given twice.
    ForgetEmpty { queue: String as Text, same: String as Text } -> () {
        "DELETE FROM counts WHERE queue = ? AND (SELECT jobs FROM counts WHERE queue = ? AND state = {all}) = 0"
    }

    /// The queue of a job, and its gates.
    QueueOf { id: i64 as BigInt } -> (Text, Integer) {
        "SELECT queue, gates FROM jobs WHERE id = ?"
    }

    /// Removes a job with all that belongs to it.
    RemoveJob { id: i64 as BigInt } -> () {
        "DELETE FROM jobs WHERE id = ?"
    }

    /// When the next waiting job is due, and when the next key of a limit is to be looked at.
    NextDue {} -> (Nullable<BigInt>, Nullable<BigInt>) {
        "SELECT (SELECT due_at FROM jobs WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1), \
         (SELECT wake_at FROM limit_keys WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1)"
    }

    /// Applies a decision to a running job, if the fencing token still holds, it has none of the gates `without` and, with
    /// `cancel_at_most` 0, no user asked to cancel it.
    Release {
        state: i16 as SmallInt,
        attempts: i32 as Integer,
        system_failures: i32 as Integer,
        due_at: Option<i64> as Nullable<BigInt>,
        finished_at: Option<i64> as Nullable<BigInt>,
        cancel_requested: bool as Bool,
        updated_at: i64 as BigInt,
        id: i64 as BigInt,
        fence: i64 as BigInt,
        node_id: i64 as BigInt,
        cancel_at_most: bool as Bool,
        without: i32 as Integer,
    } -> () {
        "UPDATE jobs SET state = ?, attempts = ?, system_failures = ?, due_at = ?, finished_at = ?, \
         cancel_requested = ?, updated_at = ?, node_id = NULL WHERE id = ? AND state = {processing} AND fence = ? AND node_id = ? \
         AND cancel_requested <= ? AND gates & ? = 0"
    }

    /// The gates of a running job, if the fencing token still holds.
    GatesOf { id: i64 as BigInt, fence: i64 as BigInt, node_id: i64 as BigInt } -> (Integer,) {
        "SELECT gates FROM jobs WHERE id = ? AND state = {processing} AND fence = ? AND node_id = ?"
    }
}
