//! The statements that run for every job, as SQLite likes them. They say `LIMIT ? + 0` because for a bare `LIMIT ?`
//! SQLite looks at the value while planning, and prepares the statement again for each value. What changes many rows says
//! `OR FAIL`, because SQLite otherwise copies every page first, to be able to take back the statement alone; if one fails,
//! the whole transaction is rolled back.

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

/// The names of the queues that are not claimed from together with all others: those paused, and those with limits.
macro_rules! apart {
    () => {
        "(SELECT name FROM queues WHERE paused_until > ? UNION ALL SELECT name FROM queue_limits)"
    };
}

/// The condition of a claim, but for which queues it is from; with those that it leaves out.
macro_rules! claimable {
    ($without:expr) => {
        concat!("state = {pending} AND queue NOT IN ", $without)
    };
}

/// What a claim yields of jobs, and of which.
macro_rules! next {
    ($($which:expr),+) => {
        concat!(
            "SELECT jobs.id, attempts + 1, fence + 1, system_failures, coalesce((SELECT payload FROM payloads WHERE job_id = jobs.id \
             AND octet_length(payload) <= 1048576), ''), sum, CASE WHEN gates & 4 THEN (SELECT group_concat(parent) FROM edges \
             WHERE child = jobs.id) END, CASE WHEN gates & 8 THEN (SELECT group_concat(job_groups.name) FROM group_members \
             JOIN job_groups ON job_groups.id = group_id WHERE job_id = jobs.id) END",
            given!(names),
            " FROM ",
            $($which),+
        )
    };
}

/// Applies a decision to running jobs. The plus keeps SQLite from looking for them among those of the node.
macro_rules! release {
    ($which:expr) => {
        concat!(
            "UPDATE OR FAIL jobs SET state = ?, attempts = ?, system_failures = ?, due_at = ?, finished_at = ?, cancel_requested = ?, \
             updated_at = ?, node_id = NULL WHERE ",
            $which,
            " AND state = {processing} AND fence = ? AND +node_id = ? AND cancel_requested <= ? AND gates & ? = 0 AND (? OR \
             (SELECT 1 FROM hooks WHERE hooks.events & ? <> 0 AND coalesce(hooks.queue, jobs.queue) = jobs.queue LIMIT 1) IS NULL)"
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

    /// The next jobs of a queue.
    Next { queue: String as Text, limit: i64 as BigInt } -> ClaimedColumns {
        next!("jobs WHERE state = {pending} AND queue = ? ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// The next jobs of all queues but `default`.
    NextOfOthers { limit: i64 as BigInt } -> ClaimedColumns {
        next!("jobs INDEXED BY others_ready WHERE state = {pending} AND (queue = 'default') IS FALSE \
               ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// Those of the jobs started by hand that are ready.
    NextStarted { jobs: String as Text } -> ClaimedColumns {
        next!("json_each(?) AS each CROSS JOIN jobs ON jobs.id = CAST(each.value AS BIGINT) WHERE state = {pending}")
    }

    /// Claims jobs: the event `claim` of `transition`, for many at once.
    Claim {
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        jobs: String as Text,
    } -> () {
        "UPDATE OR FAIL jobs SET state = {processing}, attempts = attempts + 1, fence = fence + 1, node_id = ?, started_at = ?, \
         updated_at = ? WHERE id IN (SELECT CAST(each.value AS BIGINT) FROM json_each(?) AS each) AND state = {pending}"
    }

    /// The pauses that are stored, with their ends, and the queues with limits, with those.
    StoredPauses {} -> (
        Text,
        Nullable<BigInt>,
        (Nullable<Integer>, Nullable<Integer>, Nullable<BigInt>, Nullable<Integer>),
    ) {
        "SELECT name, paused_until, NULL, NULL, NULL, NULL FROM queues WHERE paused_until IS NOT NULL \
         UNION ALL SELECT name, NULL, running, rate_count, rate_period_ms, burst FROM queue_limits"
    }

    /// How many jobs the queues have ready that are paused or have limits.
    PausedBacklog { moment: i64 as BigInt } -> (BigInt,) {
        concat!("SELECT coalesce(sum(jobs), 0) FROM counts WHERE state = {pending} AND queue IN ", apart!())
    }

    /// The jobs that all queues would hand out next but `default`, those paused and those with limits.
    UnpausedReadyHead { moment: i64 as BigInt, limit: i64 as BigInt } -> (Integer, BigInt) {
        concat!("SELECT priority, id FROM jobs INDEXED BY others_ready WHERE (queue = 'default') IS FALSE AND ",
                 claimable!(apart!()), " ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// Whether a claim would take a job, if it comes to it.
    IsClaimable { moment: i64 as BigInt, id: i64 as BigInt } -> (BigInt,) {
        concat!("SELECT id FROM jobs WHERE ", claimable!(paused!()), " AND id = ?")
    }

    /// The next jobs of all queues but `default`, those paused and those with limits, whose jobs it steps over.
    NextUnpaused { moment: i64 as BigInt, limit: i64 as BigInt } -> ClaimedColumns {
        next!("jobs INDEXED BY others_ready WHERE (queue = 'default') IS FALSE AND ",
              claimable!(apart!()), " ORDER BY priority DESC, id LIMIT ? + 0")
    }

    /// The queues but `default`, those paused and those with limits that have a job ready, those first whose next job comes first. It hops from
    /// queue to queue, so that it does not matter how many jobs a paused one has.
    UnpausedQueues { moment: i64 as BigInt, limit: i64 as BigInt } -> (Text,) {
        concat!(
            "WITH RECURSIVE hop (queue) AS (\
             SELECT (SELECT queue FROM jobs WHERE state = {pending} ORDER BY queue LIMIT 1) \
             UNION ALL \
             SELECT (SELECT jobs.queue FROM jobs WHERE state = {pending} AND jobs.queue > hop.queue \
             ORDER BY jobs.queue LIMIT 1) FROM hop WHERE hop.queue IS NOT NULL) \
             SELECT queue FROM hop WHERE queue <> 'default' AND queue NOT IN ",
            apart!(),
            " ORDER BY (SELECT priority FROM jobs WHERE state = {pending} AND jobs.queue = hop.queue \
             ORDER BY priority DESC, id LIMIT 1) DESC, \
             (SELECT id FROM jobs WHERE state = {pending} AND jobs.queue = hop.queue \
             ORDER BY priority DESC, id LIMIT 1) LIMIT ? + 0"
        )
    }

    /// Makes due jobs ready: the event `due` of `transition`, for many at once. Yields their queues, and the fences by
    /// which scheduled jobs, never claimed, are told from failed ones.
    Promote { updated_at: i64 as BigInt, now: i64 as BigInt, limit: i64 as BigInt } -> (Text, BigInt) {
        "UPDATE OR FAIL jobs SET state = {pending}, due_at = NULL, updated_at = ? WHERE id IN (\
         SELECT id FROM jobs WHERE due_at <= ? ORDER BY due_at LIMIT ? + 0) \
         RETURNING queue, fence"
    }

    /// Members of a group that wait and were never claimed.
    UnbegunMembers { group: i64 as BigInt, most: i64 as BigInt } -> (BigInt,) {
        "SELECT job_id FROM group_members CROSS JOIN jobs ON jobs.id = job_id WHERE group_id = ? AND outcome IS NULL \
         AND fence = 0 AND state IN ({blocked}, {pending}, {scheduled}) ORDER BY job_id LIMIT ? + 0"
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

    /// When the next waiting job is due, when the next key of a limit is to be looked at, and how many rows this connection
    /// has written so far.
    NextDue {} -> (Nullable<BigInt>, Nullable<BigInt>, BigInt) {
        "SELECT (SELECT due_at FROM jobs WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1), \
         (SELECT wake_at FROM limit_keys WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1), total_changes()"
    }

    /// How many rows this connection has written so far, and a number that changes with every commit of another.
    Version {} -> (BigInt, BigInt) {
        "SELECT total_changes(), data_version FROM pragma_data_version"
    }

    /// Applies a decision to a running job, if the fencing token still holds, it has none of the gates `without`, no hook of
    /// its queue or of all jobs is for one of `events` and, with `cancel_at_most` 0, no user asked to cancel it.
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
        no_hooks: bool as Bool,
        events: i16 as SmallInt,
    } -> () {
        release!("id = ?")
    }

    /// The same of several jobs, a JSON array. Yields those to which it was applied.
    ReleaseMany {
        state: i16 as SmallInt,
        attempts: i32 as Integer,
        system_failures: i32 as Integer,
        due_at: Option<i64> as Nullable<BigInt>,
        finished_at: Option<i64> as Nullable<BigInt>,
        cancel_requested: bool as Bool,
        updated_at: i64 as BigInt,
        jobs: String as Text,
        fence: i64 as BigInt,
        node_id: i64 as BigInt,
        cancel_at_most: bool as Bool,
        without: i32 as Integer,
        no_hooks: bool as Bool,
        events: i16 as SmallInt,
    } -> (BigInt,) {
        concat!(release!("id IN (SELECT CAST(each.value AS BIGINT) FROM json_each(?) AS each)"), " RETURNING id")
    }

    /// Whether there are hooks of all jobs or of a queue's: without any, [`Release`] need not look for each job.
    HasHooks {} -> (Bool,) {
        "SELECT EXISTS (SELECT 1 FROM hooks)"
    }

    /// The gates of a running job and the limits that it names, if the fencing token still holds; among the gates that of hooks
    /// if there are hooks of all jobs or of a queue's.
    GatesOf { id: i64 as BigInt, fence: i64 as BigInt, node_id: i64 as BigInt } -> (Integer, Nullable<Text>) {
        "SELECT gates | CASE WHEN EXISTS (SELECT 1 FROM hooks) THEN 16 ELSE 0 END, limits FROM jobs \
         WHERE id = ? AND state = {processing} AND fence = ? AND node_id = ?"
    }
}
