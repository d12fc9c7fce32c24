//! The statements that run for every job, as PostgreSQL likes them: each for many jobs at once, whose columns come as
//! arrays.

use diesel::pg::{Pg, PgConnection};
use diesel::sql_types::{Array, BigInt, Binary, Bool, Integer, Nullable, SmallInt, Text};

use crate::backend::statements::{ClaimedColumns, signals_for, statements};
use crate::columns::{given, names};

/// The names of the queues that are paused at a moment.
macro_rules! paused {
    () => {
        "(ARRAY (SELECT name FROM queues WHERE paused_until > ?))"
    };
}

/// The names of the queues that are not claimed from together with all others: those paused, and those with limits.
macro_rules! apart {
    () => {
        "(ARRAY (SELECT name FROM queues WHERE paused_until > ? UNION ALL SELECT name FROM queue_limits))"
    };
}

/// The names of the queues that are not claimed from by their names: those paused, and those with limits, unless the claim
/// knows of its limit.
macro_rules! closed {
    () => {
        "(ARRAY (SELECT name FROM queues WHERE paused_until > ? UNION ALL \
         SELECT name FROM queue_limits WHERE NOT ?::BOOLEAN))"
    };
}

/// The condition of a claim, but for which queues it is from; with those that it leaves out.
macro_rules! claimable {
    ($without:expr) => {
        concat!("state = {pending} AND queue <> ALL ", $without)
    };
}

/// The text of a claim, with which jobs.
macro_rules! claim {
    ($without:expr, $which:literal) => {
        concat!(
            "WITH held AS MATERIALIZED (SELECT id FROM nodes WHERE id = ? AND NOT taken_over FOR KEY SHARE), \
             claimed AS (\
             UPDATE jobs SET state = {processing}, attempts = attempts + 1, fence = fence + 1, node_id = ?, started_at = ?, \
             updated_at = ? WHERE jobs.ctid = ANY (ARRAY (\
             SELECT ctid FROM jobs WHERE ",
            claimable!($without),
            " AND ",
            $which,
            " AND EXISTS (SELECT 1 FROM held) ORDER BY priority DESC, id LIMIT ? \
             FOR UPDATE SKIP LOCKED)) AND jobs.state = {pending} \
             RETURNING jobs.id, attempts, fence, system_failures, coalesce((SELECT payload FROM payloads \
             WHERE job_id = jobs.id AND octet_length(payload) <= 1048576), '') AS payload, sum, CASE WHEN gates & 4 <> 0 THEN \
             (SELECT string_agg(parent::TEXT, ',' ORDER BY parent) FROM edges WHERE child = jobs.id) END AS parents, \
             CASE WHEN gates & 8 <> 0 THEN (SELECT string_agg(job_groups.name, ',' ORDER BY job_groups.name) \
             FROM group_members JOIN job_groups ON job_groups.id = group_id WHERE job_id = jobs.id) END AS groups",
            given!(names),
            "), \
             counted AS (INSERT INTO counts (queue, state, jobs) \
             SELECT queue, {pending}, -count(*) FROM claimed GROUP BY queue) \
             SELECT * FROM claimed"
        )
    };
}

/// The text that folds counts, with which of them.
macro_rules! fold_counts {
    ($which:literal) => {
        concat!(
            "WITH added AS (DELETE FROM counts WHERE ctid = ANY (ARRAY (SELECT counts.ctid ",
            $which,
            " FOR UPDATE OF counts SKIP LOCKED)) RETURNING queue, state, jobs) \
             INSERT INTO counts (queue, state, jobs) \
             SELECT queue, state, sum(jobs) FROM added GROUP BY queue, state HAVING sum(jobs) <> 0"
        )
    };
}

statements! { Pg, PgConnection;
    /// Reserves numbers for jobs; beside each the number of the transaction.
    NextNumbers { count: i64 as BigInt } -> (BigInt, BigInt) {
        "SELECT nextval('jobs_id_seq'::regclass), own.number \
         FROM (SELECT pg_current_xact_id()::TEXT::BIGINT AS number OFFSET 0) AS own, generate_series(1, ?)"
    }

    /// The number of the transaction.
    OwnNumber {} -> (BigInt,) {
        "SELECT pg_current_xact_id()::TEXT::BIGINT"
    }

    /// What became of a transaction.
    Fate { transaction: String as Text } -> (Nullable<Text>,) {
        "SELECT pg_xact_status(?::xid8)"
    }

    /// A job, if it is the one that is meant and no other with its number.
    SameJob { id: i64 as BigInt, created_at: i64 as BigInt, sum: i32 as Integer } -> (BigInt,) {
        "SELECT id FROM jobs WHERE id = ? AND created_at = ? AND sum = ?"
    }

    /// Whether the node may claim: it exists and was not taken over, and cannot be until the transaction ends.
    HoldNode { node_id: i64 as BigInt } -> (Bool,) {
        "SELECT taken_over FROM nodes WHERE id = ? FOR KEY SHARE"
    }

    /// Whether the node is there and not taken over, once no cycle of it is under way, on any connection.
    SettleNode { node_id: i64 as BigInt } -> (Bool,) {
        "SELECT taken_over FROM nodes WHERE id = ? FOR UPDATE"
    }

    /// What is asked of a node: the server's time, how urgently it is to stop, the settings, and the jobs to cancel with
    /// their fencing tokens.
    Asks { node_id: i64 as BigInt, runs_on: i64 as BigInt } -> (
        BigInt,
        Nullable<SmallInt>,
        Nullable<BigInt>,
        Array<Text>,
        Array<Text>,
        Array<BigInt>,
        Array<BigInt>,
        Bool,
    ) {
        "SELECT now_ms(), (SELECT stop_requested FROM nodes WHERE id = ?), \
         (SELECT next_due FROM schedules WHERE next_due IS NOT NULL AND paused_at IS NULL ORDER BY next_due LIMIT 1), \
         settings.keys, settings.texts, \
         coalesce(cancel.ids, '{}'), coalesce(cancel.fences, '{}'), EXISTS (SELECT 1 FROM signals) FROM \
         (SELECT coalesce(array_agg(key ORDER BY key), '{}') AS keys, \
         coalesce(array_agg(value ORDER BY key), '{}') AS texts FROM settings) AS settings, \
         (SELECT array_agg(id ORDER BY id) AS ids, array_agg(fence ORDER BY id) AS fences \
         FROM jobs WHERE node_id = ? AND cancel_requested = TRUE) AS cancel"
    }

    /// When the next waiting job is due or a key of a limit is to be looked at, the stored pauses with their ends, whether a
    /// queue has a limit, whether jobs were started by hand, and whether the queue `default` and all others have a job ready, paused or not. With `TRUE` for one, its jobs are not touched.
    Outlook { default: bool as Bool, others: bool as Bool } -> (
        Nullable<BigInt>,
        Array<Text>,
        Array<BigInt>,
        Bool,
        Bool,
        Bool,
        Bool,
    ) {
        "SELECT least((SELECT due_at FROM jobs WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1), \
         (SELECT wake_at FROM limit_keys WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1)), \
         ARRAY (SELECT name FROM queues WHERE paused_until IS NOT NULL ORDER BY name), \
         ARRAY (SELECT paused_until FROM queues WHERE paused_until IS NOT NULL ORDER BY name), \
         EXISTS (SELECT 1 FROM queue_limits), EXISTS (SELECT 1 FROM starts WHERE NOT claimed), \
         ? OR coalesce((SELECT TRUE FROM jobs WHERE state = {pending} AND queue = 'default' \
         ORDER BY priority DESC, id LIMIT 1), FALSE), \
         ? OR coalesce((SELECT TRUE FROM jobs WHERE state = {pending} AND (queue = 'default') IS FALSE \
         ORDER BY priority DESC, id LIMIT 1), FALSE)"
    }

    /// The same of these queues: those that have a job ready. One is passed on without a look.
    OutlookOf { queues: Vec<String> as Array<Text>, known: String as Text } -> (
        Nullable<BigInt>,
        Array<Text>,
        Array<BigInt>,
        Bool,
        Bool,
        Array<Text>,
    ) {
        "SELECT least((SELECT due_at FROM jobs WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1), \
         (SELECT wake_at FROM limit_keys WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1)), \
         ARRAY (SELECT name FROM queues WHERE paused_until IS NOT NULL ORDER BY name), \
         ARRAY (SELECT paused_until FROM queues WHERE paused_until IS NOT NULL ORDER BY name), \
         EXISTS (SELECT 1 FROM queue_limits), EXISTS (SELECT 1 FROM starts WHERE NOT claimed), \
         ARRAY (SELECT served.queue FROM unnest(?) AS served (queue) WHERE served.queue = ? OR (\
         SELECT TRUE FROM jobs WHERE state = {pending} AND jobs.queue = served.queue ORDER BY priority DESC, id LIMIT 1))"
    }

    /// How many jobs the queues have ready that are paused or have limits.
    PausedBacklog { moment: i64 as BigInt } -> (BigInt,) {
        concat!(
            "SELECT coalesce(sum(jobs), 0)::BIGINT FROM counts WHERE state = {pending} AND queue = ANY ",
            apart!()
        )
    }

    /// Whether a claim would take a job, if it comes to it.
    IsClaimable { moment: i64 as BigInt, id: i64 as BigInt } -> (BigInt,) {
        concat!("SELECT id FROM jobs WHERE ", claimable!(paused!()), " AND id = ?")
    }

    /// Whether a queue other than `default` that is not paused and has no limit has a job ready. Steps over the others.
    UnpausedReady { moment: i64 as BigInt } -> (Bool,) {
        concat!(
            "SELECT coalesce((SELECT TRUE FROM jobs WHERE state = {pending} AND (queue = 'default') IS FALSE AND queue <> ALL ",
            apart!(),
            " ORDER BY priority DESC, id LIMIT 1), FALSE)"
        )
    }

    /// The queues but `default`, those paused and those with limits that have a job ready, those first whose next job comes first. It hops from
    /// queue to queue, so that it does not matter how many jobs a paused one has.
    UnpausedQueues { moment: i64 as BigInt, limit: i64 as BigInt } -> (Text,) {
        concat!(
            "WITH RECURSIVE hop (queue) AS (\
             (SELECT queue FROM jobs WHERE state = {pending} ORDER BY queue LIMIT 1) \
             UNION ALL \
             SELECT (SELECT jobs.queue FROM jobs WHERE state = {pending} AND jobs.queue > hop.queue \
             ORDER BY jobs.queue LIMIT 1) FROM hop WHERE hop.queue IS NOT NULL) \
             SELECT hop.queue FROM hop CROSS JOIN LATERAL (SELECT priority, id FROM jobs \
             WHERE state = {pending} AND jobs.queue = hop.queue ORDER BY priority DESC, id LIMIT 1) AS head \
             WHERE hop.queue <> 'default' AND hop.queue <> ALL ",
            apart!(),
            " ORDER BY head.priority DESC, head.id LIMIT ?"
        )
    }

    /// How many of the next jobs the queue `default` would hand out, and all others together that are not paused and have no
    /// limit, which have no name here. All limits are the same number.
    Shares {
        limit: i64 as BigInt,
        moment: i64 as BigInt,
        others: i64 as BigInt,
        most: i64 as BigInt,
    } -> (Text, BigInt) {
        concat!(
            "SELECT source, count(*) FROM (\
             (SELECT 'default' AS source, priority, id FROM jobs WHERE state = {pending} AND queue = 'default' \
             ORDER BY priority DESC, id LIMIT ?) \
             UNION ALL \
             (SELECT '', priority, id FROM jobs WHERE state = {pending} AND (queue = 'default') IS FALSE AND queue <> ALL ",
            apart!(),
            " ORDER BY priority DESC, id LIMIT ?) \
             ORDER BY priority DESC, id LIMIT ?) AS head GROUP BY source"
        )
    }

    /// The same of several queues.
    SharesOf { queues: Vec<String> as Array<Text>, limit: i64 as BigInt, most: i64 as BigInt } -> (Text, BigInt) {
        "SELECT queue, count(*) FROM (\
         SELECT served.queue FROM unnest(?) AS served (queue) CROSS JOIN LATERAL (\
         SELECT priority, id FROM jobs WHERE state = {pending} AND jobs.queue = served.queue \
         ORDER BY priority DESC, id LIMIT ?) AS job ORDER BY job.priority DESC, job.id LIMIT ?) AS head GROUP BY queue"
    }

    /// The same of all others together and of several queues, each at most as many as it has room for.
    SharesWithin {
        moment: i64 as BigInt,
        others: i64 as BigInt,
        queues: Vec<String> as Array<Text>,
        room: Vec<i64> as Array<BigInt>,
        most: i64 as BigInt,
    } -> (Text, BigInt) {
        concat!(
            "SELECT source, count(*) FROM (\
             (SELECT '' AS source, priority, id FROM jobs WHERE state = {pending} AND (queue = 'default') IS FALSE \
             AND queue <> ALL ",
            apart!(),
            " ORDER BY priority DESC, id LIMIT ?) \
             UNION ALL \
             (SELECT served.queue, job.priority, job.id FROM unnest(?, ?) AS served (queue, room) CROSS JOIN LATERAL (\
             SELECT priority, id FROM jobs WHERE state = {pending} AND jobs.queue = served.queue \
             ORDER BY priority DESC, id LIMIT served.room) AS job) \
             ORDER BY priority DESC, id LIMIT ?) AS head GROUP BY source"
        )
    }

    /// The limits of queues: name, running jobs; count, period and burst of a rate.
    QueueLimits {} -> (
        Text,
        (Nullable<Integer>, Nullable<Integer>, Nullable<BigInt>, Nullable<Integer>),
    ) {
        "SELECT name, running, rate_count, rate_period_ms, burst FROM queue_limits"
    }

    /// Those of these queues that have a job ready.
    ReadyOf { queues: Vec<String> as Array<Text> } -> (Text,) {
        "SELECT served.queue FROM unnest(?) AS served (queue) WHERE (\
         SELECT TRUE FROM jobs WHERE state = {pending} AND jobs.queue = served.queue ORDER BY priority DESC, id LIMIT 1)"
    }

    /// Claims the next jobs of a queue and counts them: the event `claim` of `transition`, for many at once. What another
    /// node is claiming at this moment is passed over, and so are paused queues, and those with a limit that the
    /// claim does not know of: both hold for every claim that begins after their commit. The rows are found again by where they are, which nothing can change
    /// while they are locked, and which is quicker than by their numbers. A node that was taken over claims nothing: its row
    /// is locked, and if it was changed before that it is looked at again.
    Claim {
        holds: i64 as BigInt,
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        moment: i64 as BigInt,
        capped: bool as Bool,
        queue: String as Text,
        least: i32 as Integer,
        most: i32 as Integer,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!(closed!(), "queue = ? AND priority >= ? AND priority <= ?")
    }

    /// The same for jobs of one priority, behind one of them.
    ClaimBehind {
        holds: i64 as BigInt,
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        moment: i64 as BigInt,
        capped: bool as Bool,
        queue: String as Text,
        priority: i32 as Integer,
        id: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!(closed!(), "queue = ? AND priority = ? AND id > ?")
    }

    /// Claims from all queues but `default`.
    ClaimOthers {
        holds: i64 as BigInt,
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        moment: i64 as BigInt,
        least: i32 as Integer,
        most: i32 as Integer,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!(apart!(), "(queue = 'default') IS FALSE AND priority >= ? AND priority <= ?")
    }

    /// The same for jobs of one priority, behind one of them.
    ClaimOthersBehind {
        holds: i64 as BigInt,
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        moment: i64 as BigInt,
        priority: i32 as Integer,
        id: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!(apart!(), "(queue = 'default') IS FALSE AND priority = ? AND id > ?")
    }

    /// Claims jobs that were started by hand, whatever pauses and limits say.
    ClaimStarted {
        holds: i64 as BigInt,
        node_id: i64 as BigInt,
        started_at: i64 as BigInt,
        updated_at: i64 as BigInt,
        jobs: Vec<i64> as Array<BigInt>,
        limit: i64 as BigInt,
    } -> ClaimedColumns {
        claim!("('{}'::TEXT[])", "id = ANY (?)")
    }

    /// Makes due jobs ready: the event `due` of `transition`, for many at once. Yields their queues, and the fences by
    /// which scheduled jobs, never claimed, are told from failed ones.
    Promote { updated_at: i64 as BigInt, now: i64 as BigInt, limit: i64 as BigInt } -> (Text, BigInt) {
        "UPDATE jobs SET state = {pending}, due_at = NULL, updated_at = ? WHERE id IN (\
         SELECT id FROM jobs WHERE due_at <= ? ORDER BY due_at LIMIT ? FOR UPDATE SKIP LOCKED) \
         RETURNING queue, fence"
    }

    /// When the next waiting job is due, or a key of a limit is to be looked at.
    NextDue {} -> (Nullable<BigInt>,) {
        "SELECT least((SELECT due_at FROM jobs WHERE due_at IS NOT NULL ORDER BY due_at LIMIT 1), \
         (SELECT wake_at FROM limit_keys WHERE wake_at IS NOT NULL ORDER BY wake_at LIMIT 1))"
    }

    /// Applies decisions to running jobs, where the fencing token still holds, the job has none of the gates `without`, no hook
    /// of all jobs is for one of `events`, there is none of its queue and, with `cancel_at_most` false, no user asked to cancel it. They are found by their numbers, not among all jobs of their
    /// node, which the `+ 0` sees to. Yields the tokens of those that it was applied to, and their queues.
    Release {
        id: Vec<i64> as Array<BigInt>,
        fence: Vec<i64> as Array<BigInt>,
        node_id: Vec<i64> as Array<BigInt>,
        state: Vec<i16> as Array<SmallInt>,
        attempts: Vec<i32> as Array<Integer>,
        system_failures: Vec<i32> as Array<Integer>,
        due_at: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        finished_at: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        cancel_at_most: Vec<bool> as Array<Bool>,
        events: Vec<i16> as Array<SmallInt>,
        updated_at: i64 as BigInt,
        without: i32 as Integer,
    } -> (BigInt, BigInt, Text) {
        "UPDATE jobs SET state = ended.state, attempts = ended.attempts, system_failures = ended.system_failures, \
         due_at = ended.due_at, finished_at = ended.finished_at, cancel_requested = FALSE, updated_at = ended.now, \
         node_id = NULL FROM (SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS new (id, fence, node_id, state, \
         attempts, system_failures, due_at, finished_at, cancel_at_most, events), (SELECT ?::BIGINT AS now) AS at) AS ended \
         WHERE jobs.id = ended.id AND jobs.state = {processing} AND jobs.fence = ended.fence AND jobs.node_id + 0 = ended.node_id \
         AND jobs.cancel_requested <= ended.cancel_at_most AND jobs.gates & ? = 0 \
         AND ended.events & (SELECT coalesce(bit_or(events), 0) FROM hooks WHERE queue IS NULL) = 0 \
         AND (ended.events = 0 OR jobs.queue <> ALL (ARRAY (SELECT queue FROM hooks WHERE queue IS NOT NULL))) RETURNING jobs.id, jobs.fence, jobs.queue"
    }

    /// The gates of running jobs and the limits that they name, of those whose fencing token still holds; among the gates that of
    /// hooks if there are hooks of all jobs or of a queue's. No other transaction gives them more until this one
    /// has ended. Jobs without gates are locked first: where no hook concerns them, they have been by now.
    GatedOf {
        id: Vec<i64> as Array<BigInt>,
        fence: Vec<i64> as Array<BigInt>,
        node_id: Vec<i64> as Array<BigInt>,
    } -> (BigInt, BigInt, Integer, Nullable<Text>) {
        "SELECT jobs.id, jobs.fence, jobs.gates | CASE WHEN EXISTS (SELECT 1 FROM hooks) THEN 16 ELSE 0 END, \
         jobs.limits FROM unnest(?, ?, ?) AS ended (id, fence, node_id) \
         JOIN jobs ON jobs.id = ended.id WHERE jobs.state = {processing} AND jobs.fence = ended.fence \
         AND jobs.node_id + 0 = ended.node_id ORDER BY jobs.gates <> 0, jobs.id FOR UPDATE OF jobs"
    }

    /// Keeps ended attempts.
    InsertAttempts {
        job_id: Vec<i64> as Array<BigInt>,
        fence: Vec<i64> as Array<BigInt>,
        attempt: Vec<i32> as Array<Integer>,
        node_id: Vec<i64> as Array<BigInt>,
        worker: Vec<i32> as Array<Integer>,
        outcome: Vec<i16> as Array<SmallInt>,
        exit_code: Vec<Option<i32>> as Array<Nullable<Integer>>,
        signal: Vec<Option<i32>> as Array<Nullable<Integer>>,
        message: Vec<String> as Array<Text>,
        started_at: Vec<i64> as Array<BigInt>,
        finished_at: Vec<i64> as Array<BigInt>,
        output_bytes: Vec<i64> as Array<BigInt>,
        sum: Vec<i32> as Array<Integer>,
    } -> () {
        "INSERT INTO attempts (job_id, fence, attempt, node_id, worker, outcome, exit_code, signal, message, \
         started_at, finished_at, output_bytes, sum) SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    }

    /// Keeps what attempts printed.
    InsertOutputs {
        job_id: Vec<i64> as Array<BigInt>,
        fence: Vec<i64> as Array<BigInt>,
        head: Vec<Vec<u8>> as Array<Binary>,
        tail: Vec<Vec<u8>> as Array<Binary>,
        marks: Vec<Option<Vec<u8>>> as Array<Nullable<Binary>>,
    } -> () {
        "INSERT INTO outputs (job_id, fence, head, tail, marks) SELECT * FROM unnest(?, ?, ?, ?, ?)"
    }

    /// Stores the payloads of jobs that are there.
    InsertPayloads { job_id: Vec<i64> as Array<BigInt>, payload: Vec<String> as Array<Text> } -> () {
        "INSERT INTO payloads (job_id, queue, payload) SELECT jobs.id, jobs.queue, new.payload \
         FROM unnest(?, ?) AS new (job_id, payload) JOIN jobs ON jobs.id = new.job_id"
    }

    /// The signals that users want sent to running jobs of a node.
    SignalsFor { node_id: i64 as BigInt } -> (BigInt, BigInt, BigInt, Text) {
        signals_for!()
    }

    /// Stores what a job runs from now on, and its queue.
    ReplacePayload { queue: String as Text, payload: String as Text, job_id: i64 as BigInt } -> () {
        "UPDATE payloads SET queue = ?, payload = ? WHERE job_id = ?"
    }

    /// Has others wait until this transaction has changed the job.
    LockJob { id: i64 as BigInt } -> () {
        "SELECT id FROM jobs WHERE id = ? FOR UPDATE"
    }

    /// Keeps a group from being closed or removed.
    LockGroupToJoin { id: i64 as BigInt } -> () {
        "SELECT 1 FROM job_groups WHERE id = ? FOR KEY SHARE"
    }

    /// Has others wait who end members of a group.
    LockGroupToEnd { id: i64 as BigInt } -> () {
        "SELECT 1 FROM job_groups WHERE id = ? FOR NO KEY UPDATE"
    }

    /// Has others wait who add members to a group or end them.
    LockGroup { id: i64 as BigInt } -> () {
        "SELECT 1 FROM job_groups WHERE id = ? FOR UPDATE"
    }

    /// Members of a group that wait, were never claimed, and are not being changed.
    UnbegunMembers { group: i64 as BigInt, most: i64 as BigInt } -> (BigInt,) {
        "SELECT job_id FROM group_members JOIN jobs ON jobs.id = job_id WHERE group_id = ? AND outcome IS NULL \
         AND fence = 0 AND state IN ({blocked}, {pending}, {scheduled}) ORDER BY job_id LIMIT ? FOR UPDATE OF jobs SKIP LOCKED"
    }

    /// Has others wait who let runs of this schedule go on.
    LockSchedule { name: String as Text } -> (Text,) {
        "SELECT name FROM schedules WHERE name = ? FOR UPDATE"
    }

    /// The same by the id that the user chose.
    LockNamedJob { name: String as Text } -> () {
        "SELECT id FROM jobs WHERE name = ? FOR UPDATE"
    }

    /// Removes jobs that are in that state, with all that belongs to them.
    RemoveJobs { id: Vec<i64> as Array<BigInt>, state: i16 as SmallInt } -> (BigInt, Text, Integer) {
        "WITH gone AS (DELETE FROM jobs USING unnest(?) AS ended (id) WHERE jobs.id = ended.id AND jobs.state = ? \
         RETURNING jobs.id, jobs.queue, jobs.gates), \
         no_outputs AS (DELETE FROM outputs USING gone WHERE outputs.job_id = gone.id), \
         no_attempts AS (DELETE FROM attempts USING gone WHERE attempts.job_id = gone.id), \
         no_reports AS (DELETE FROM reports USING gone WHERE reports.job_id = gone.id), \
         no_payloads AS (DELETE FROM payloads USING gone WHERE payloads.job_id = gone.id) \
         SELECT id, queue, gates FROM gone"
    }

    /// Adds to the numbers of jobs that queues have in states.
    AddCounts {
        queue: Vec<String> as Array<Text>,
        state: Vec<i16> as Array<SmallInt>,
        jobs: Vec<i64> as Array<BigInt>,
    } -> () {
        "INSERT INTO counts (queue, state, jobs) SELECT * FROM unnest(?, ?, ?)"
    }

    /// Makes one row for each queue and state of what was added, and none where that is nothing.
    FoldCounts {} -> () {
        fold_counts!("FROM counts JOIN (SELECT queue, state FROM counts GROUP BY queue, state \
                      HAVING count(*) > 1 OR sum(jobs) = 0) AS several USING (queue, state)")
    }

    /// The same of some queues.
    FoldCountsOf { queues: Vec<String> as Array<Text> } -> () {
        fold_counts!("FROM counts WHERE queue = ANY (?)")
    }

    /// Enters a node, with its lease.
    EnterNode {
        cookie: String as Text,
        host: String as Text,
        pid: i64 as BigInt,
        version: String as Text,
        workers: i32 as Integer,
        concurrency: i32 as Integer,
        queues: String as Text,
        lease_ms: i64 as BigInt,
    } -> (BigInt,) {
        "INSERT INTO nodes (cookie, host, pid, version, workers, concurrency, queues, lease_ms, started_at, \
         heartbeat_at, lease_until, stop_requested) SELECT ?, ?, ?, ?, ?, ?, ?, lease.ms, at.now, at.now, \
         at.now + lease.ms, 0 FROM (SELECT ?::BIGINT AS ms) AS lease, (SELECT now_ms() AS now) AS at RETURNING id"
    }

    /// Renews a node's lease, unless another has taken the node over.
    Renew { lease_ms: i64 as BigInt, node_id: i64 as BigInt } -> () {
        "UPDATE nodes SET heartbeat_at = at.now, lease_ms = at.lease, lease_until = at.now + at.lease \
         FROM (SELECT now_ms() AS now, ?::BIGINT AS lease) AS at WHERE id = ? AND NOT taken_over"
    }

    /// The same for as long as before.
    RenewAsBefore { node_id: i64 as BigInt } -> () {
        "UPDATE nodes SET heartbeat_at = at.now, lease_until = at.now + lease_ms \
         FROM (SELECT now_ms() AS now) AS at WHERE id = ? AND NOT taken_over"
    }

    /// Takes over a node whose lease has expired, or which is known to be dead; the new owner has one lease to rescue its
    /// jobs. Skips a node in the middle of a cycle.
    TakeOver { node_id: i64 as BigInt, known_dead: bool as Bool } -> () {
        "UPDATE nodes SET taken_over = TRUE, lease_until = at.now + nodes.lease_ms \
         FROM (SELECT now_ms() AS now) AS at, \
         (SELECT id FROM nodes WHERE id = ? FOR UPDATE SKIP LOCKED) AS free \
         WHERE nodes.id = free.id AND (lease_until <= at.now OR (?::BOOLEAN AND NOT taken_over))"
    }

    /// A node's mark, and whether its lease holds.
    MarkAndLease { node_id: i64 as BigInt } -> (Text, Bool) {
        "SELECT cookie, NOT taken_over AND lease_until > now_ms() FROM nodes WHERE id = ?"
    }

    /// The nodes whose leases hold, by one look at the clock.
    LeasesHeld {} -> (BigInt,) {
        "SELECT id FROM nodes, (SELECT now_ms() AS now OFFSET 0) AS at WHERE NOT taken_over AND lease_until > at.now"
    }

    /// The transactions of others that write jobs, as claims do. A claim has this lock before it looks at what is stored.
    Claiming {} -> (Text,) {
        "SELECT virtualtransaction FROM pg_locks WHERE locktype = 'relation' AND relation = 'jobs'::REGCLASS \
         AND mode = 'RowExclusiveLock' AND granted AND pid <> pg_backend_pid() \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    }

    /// Wakes the nodes.
    Notify { word: String as Text } -> () {
        "SELECT pg_notify(channel, ?) FROM store"
    }

    /// The channel on which nodes are woken.
    Channel {} -> (Text,) {
        "SELECT channel FROM store"
    }
}
