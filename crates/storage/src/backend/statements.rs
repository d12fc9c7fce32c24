//! How statements are declared that are written out by hand, and those of them that both databases share.
//!
//! Diesel's query builder does not cache `UPDATE` statements, and a partial index is only used when its condition
//! stands in the statement literally. Diesel prepares each of these once per connection, binds and reads the values.

use diesel::sql_types::{BigInt, Double, Integer, Nullable, SmallInt, Text};

use super::connection::{AnySql, Db};
use crate::columns::given;

macro_rules! claimed_columns {
    ($($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        /// What a claim yields per job, on either database: number, attempts, fence, system failures, payload, checksum, the
        /// jobs that it waited for, its groups, and what is given with a job.
        pub type ClaimedColumns = (BigInt, Integer, BigInt, Integer, Text, Nullable<Integer>, Nullable<Text>, Nullable<Text>, $($sql,)*);
    };
}
given!(claimed_columns);

/// Where the parameters stand in a statement. Diesel walks a statement several times for each use, so this is done once,
/// by the compiler, which also refuses a statement with more or fewer of them than fields.
pub(crate) const fn marks<const N: usize>(sql: &str) -> [usize; N] {
    let (mut marks, mut found, mut at) = ([0; N], 0, 0);
    while at < sql.len() {
        if sql.as_bytes()[at] == b'?' {
            marks[found] = at;
            found += 1;
        }
        at += 1;
    }
    assert!(found == N, "as many parameters as fields");
    marks
}

/// Declares statements of a backend: their parameters in the order of the `?` in their text, and the columns they
/// yield.
macro_rules! statements {
    ($backend:ty, $connection:ty;
     $($(#[$doc:meta])* $name:ident { $($field:ident: $rust:ty as $sql:ty),* $(,)? } -> $columns:ty { $text:expr })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, diesel::query_builder::QueryId)]
            pub struct $name {
                $(pub $field: $rust,)*
            }

            impl $name {
                pub const SQL: &str = $crate::states::sql!($text);
            }

            impl diesel::query_builder::Query for $name {
                type SqlType = $columns;
            }

            impl diesel::RunQueryDsl<$connection> for $name {}

            impl diesel::query_builder::QueryFragment<$backend> for $name {
                fn walk_ast<'b>(
                    &'b self,
                    mut out: diesel::query_builder::AstPass<'_, 'b, $backend>,
                ) -> diesel::QueryResult<()> {
                    const FIELDS: &[&str] = &[$(stringify!($field)),*];
                    const MARKS: [usize; FIELDS.len()] = $crate::backend::statements::marks(<$name>::SQL);
                    let (mut from, mut ends) = (0, MARKS.into_iter());
                    let mut text = || {
                        let end = ends.next().unwrap_or(Self::SQL.len());
                        &Self::SQL[std::mem::replace(&mut from, end + 1)..end]
                    };
                    out.push_sql(text());
                    $(
                        out.push_bind_param::<$sql, _>(&self.$field)?;
                        out.push_sql(text());
                    )*
                    Ok(())
                }
            }
        )*

        /// Name and text of every statement.
        pub fn all() -> Vec<(&'static str, &'static str)> {
            vec![$((stringify!($name), $name::SQL)),*]
        }
    };
}
pub(crate) use statements;

/// The condition for edges whose parent has not ended, or not as it has to.
macro_rules! not_met {
    () => {
        "(outcome IS NULL OR (condition = 1 AND outcome <> {completed}) OR (condition = 2 AND outcome = {completed}))"
    };
}
pub(crate) use not_met;

/// The signals that users want sent to running jobs of a node.
macro_rules! signals_for {
    () => {
        "SELECT signals.id, signals.job_id, signals.fence, signals.signal FROM signals JOIN jobs ON jobs.id = signals.job_id \
         AND jobs.fence = signals.fence WHERE jobs.node_id = ? ORDER BY signals.id LIMIT 1000"
    };
}
pub(crate) use signals_for;

statements! { AnySql, Db;
    /// Applies a decision to a job that is not running, if it still stands where the decision saw it.
    Change {
        state: i16 as SmallInt,
        attempts: i32 as Integer,
        system_failures: i32 as Integer,
        due_at: Option<i64> as Nullable<BigInt>,
        finished_at: Option<i64> as Nullable<BigInt>,
        updated_at: i64 as BigInt,
        waits: i32 as Integer,
        resume_at: Option<i64> as Nullable<BigInt>,
        id: i64 as BigInt,
        from: i16 as SmallInt,
        fence: i64 as BigInt,
    } -> () {
        "UPDATE jobs SET state = ?, attempts = ?, system_failures = ?, due_at = ?, finished_at = ?, updated_at = ?, \
         waits = ?, resume_at = ?, unmet = NULL, cancel_requested = FALSE WHERE id = ? AND state = ? AND fence = ?"
    }

    /// Changes what blocks a job that stays blocked.
    SetWaits { waits: i32 as Integer, updated_at: i64 as BigInt, id: i64 as BigInt } -> () {
        "UPDATE jobs SET waits = ?, updated_at = ? WHERE id = ? AND state = {blocked}"
    }

    /// Completes a new job that is blocked.
    StartBlocked {
        waits: i32 as Integer,
        gates: i32 as Integer,
        resume_at: Option<i64> as Nullable<BigInt>,
        id: i64 as BigInt,
    } -> () {
        "UPDATE jobs SET waits = ?, gates = gates | ?, resume_at = ? WHERE id = ? AND state = {blocked}"
    }

    /// Gives a job further gates. Yields its state; a transaction that is ending it looks at the gates again.
    MarkParent { gates: i32 as Integer, id: i64 as BigInt } -> (SmallInt,) {
        "UPDATE jobs SET gates = gates | ? WHERE id = ? RETURNING state"
    }

    /// The parents of a job that did not end as they have to, unless it runs all the same.
    Unmet { child: i64 as BigInt } -> (BigInt,) {
        concat!("SELECT parent FROM edges WHERE child = ? AND unmet <> 3 AND outcome IS NOT NULL AND ", not_met!(), " ORDER BY parent")
    }

    /// Waits again for a parent that was retried.
    Reopen { child: i64 as BigInt, parent: i64 as BigInt } -> () {
        "UPDATE edges SET outcome = NULL WHERE child = ? AND parent = ?"
    }

    /// Goes on without a parent that did not end as it had to.
    Waive { child: i64 as BigInt, parent: i64 as BigInt } -> () {
        "UPDATE edges SET condition = 3 WHERE child = ? AND parent = ?"
    }

    /// How many jobs wait for another, or waited.
    CountDependants { parent: i64 as BigInt } -> (BigInt,) {
        "SELECT count(*) FROM edges WHERE parent = ?"
    }

    /// Removes the edges to a job.
    ForgetEdges { child: i64 as BigInt } -> () {
        "DELETE FROM edges WHERE child = ?"
    }

    /// Has a new job, which is blocked, wait for the one that it follows.
    StartAsSuccessor { waits: i32 as Integer, resume_at: Option<i64> as Nullable<BigInt>, id: i64 as BigInt } -> () {
        "UPDATE jobs SET waits = waits | ?, resume_at = ? WHERE id = ? AND state = {blocked}"
    }

    /// Gives gates to a job that is running.
    AddGates { gates: i32 as Integer, id: i64 as BigInt, fence: i64 as BigInt } -> () {
        "UPDATE jobs SET gates = gates | ? WHERE id = ? AND state = {processing} AND fence = ?"
    }

    /// Running jobs of a node that the user wants cancelled.
    CancelRequested { node_id: i64 as BigInt } -> (BigInt, BigInt) {
        "SELECT id, fence FROM jobs WHERE node_id = ? AND cancel_requested = TRUE"
    }

    /// The signals that users want sent to running jobs of a node.
    SignalsFor { node_id: i64 as BigInt } -> (BigInt, BigInt, BigInt, Text) {
        signals_for!()
    }

    /// Asks for a signal. Yields the number of the request.
    AskSignal {
        job_id: i64 as BigInt,
        fence: i64 as BigInt,
        signal: String as Text,
        asked_at: i64 as BigInt,
    } -> (BigInt,) {
        "INSERT INTO signals (job_id, fence, signal, asked_at) VALUES (?, ?, ?, ?) RETURNING id"
    }

    /// The running job that a request for a signal is for, if the request is there; none if its attempt has ended.
    AskedFor { id: i64 as BigInt } -> (Nullable<BigInt>,) {
        "SELECT jobs.id FROM signals LEFT JOIN jobs ON jobs.id = signals.job_id AND jobs.fence = signals.fence \
         AND jobs.node_id IS NOT NULL WHERE signals.id = ?"
    }

    /// How many of them wait.
    CountSignals {} -> (BigInt,) {
        "SELECT count(*) FROM signals"
    }

    /// Takes a request for a signal.
    TakeSignal { id: i64 as BigInt } -> () {
        "DELETE FROM signals WHERE id = ?"
    }

    /// Removes requests for attempts that have ended.
    ForgetSignals {} -> () {
        "DELETE FROM signals WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = signals.job_id AND jobs.fence = signals.fence \
         AND jobs.node_id IS NOT NULL)"
    }

    /// Whether an attempt runs.
    IsRunning { job_id: i64 as BigInt, fence: i64 as BigInt } -> (BigInt,) {
        "SELECT id FROM jobs WHERE id = ? AND fence = ? AND node_id IS NOT NULL"
    }

    /// What is known of the suspension of a job that runs.
    SuspensionOf { job_id: i64 as BigInt } -> (Nullable<BigInt>, Nullable<Text>) {
        "SELECT since, refused FROM suspensions JOIN jobs ON jobs.id = suspensions.job_id AND jobs.fence = suspensions.fence \
         AND jobs.node_id IS NOT NULL WHERE suspensions.job_id = ?"
    }

    /// Says that an attempt is suspended, or why it could not be.
    StoreSuspension {
        job_id: i64 as BigInt,
        fence: i64 as BigInt,
        since: Option<i64> as Nullable<BigInt>,
        refused: Option<String> as Nullable<Text>,
    } -> () {
        "INSERT INTO suspensions (job_id, fence, since, refused) VALUES (?, ?, ?, ?) ON CONFLICT (job_id) DO UPDATE SET \
         fence = excluded.fence, since = excluded.since, refused = excluded.refused"
    }

    /// Says that an attempt is not suspended.
    DropSuspension { job_id: i64 as BigInt, fence: i64 as BigInt } -> () {
        "DELETE FROM suspensions WHERE job_id = ? AND fence = ?"
    }

    /// Forgets why a job could not be suspended.
    DropRefusal { job_id: i64 as BigInt } -> () {
        "DELETE FROM suspensions WHERE job_id = ? AND since IS NULL"
    }

    /// Removes what is known of attempts that have ended.
    ForgetSuspensions {} -> () {
        "DELETE FROM suspensions WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = suspensions.job_id AND \
         jobs.fence = suspensions.fence AND jobs.node_id IS NOT NULL)"
    }

    /// How many rows there are about suspended jobs.
    CountSuspensions {} -> (BigInt,) {
        "SELECT count(*) FROM suspensions"
    }

    /// Says that a job which is ready was started by hand, for its next attempt.
    AskStart { operator: Option<String> as Nullable<Text>, id: i64 as BigInt } -> () {
        "INSERT INTO starts (job_id, fence, changed_at, operator, claimed) SELECT id, fence + 1, updated_at, ?, FALSE FROM jobs \
         WHERE id = ? ON CONFLICT (job_id) DO UPDATE SET fence = excluded.fence, changed_at = excluded.changed_at, \
         operator = excluded.operator, claimed = FALSE"
    }

    /// How many rows there are about jobs that were started by hand.
    CountStarts {} -> (BigInt,) {
        "SELECT count(*) FROM starts"
    }

    /// How many of them wait to be claimed. One whose job was changed since counts no more.
    CountWaitingStarts {} -> (BigInt,) {
        "SELECT count(*) FROM starts JOIN jobs ON jobs.id = starts.job_id AND jobs.state = {pending} \
         AND jobs.fence + 1 = starts.fence AND jobs.updated_at = changed_at WHERE NOT claimed"
    }

    /// Who started a job that is ready by hand, if that still counts.
    StartedBy { id: i64 as BigInt } -> (Nullable<Text>,) {
        "SELECT operator FROM starts JOIN jobs ON jobs.id = starts.job_id AND jobs.state = {pending} \
         AND jobs.fence + 1 = starts.fence AND jobs.updated_at = changed_at WHERE starts.job_id = ? AND NOT claimed"
    }

    /// Removes what says of attempts that have ended that they were started by hand, and what counts no more.
    ForgetStarts {} -> () {
        "DELETE FROM starts WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = starts.job_id AND \
         (jobs.fence = starts.fence AND jobs.node_id IS NOT NULL OR NOT claimed AND jobs.state = {pending} \
         AND jobs.fence + 1 = starts.fence AND jobs.updated_at = changed_at))"
    }

    /// When the next tick of a schedule comes.
    NextTick {} -> (BigInt,) {
        "SELECT next_due FROM schedules WHERE next_due IS NOT NULL AND paused_at IS NULL ORDER BY next_due LIMIT 1"
    }

    /// Writes an event, if events are recorded.
    Note { at: i64 as BigInt, job_id: i64 as BigInt, kind: String as Text, detail: String as Text } -> () {
        "INSERT INTO events (at, job_id, kind, detail) SELECT ?, ?, ?, ? WHERE EXISTS (\
         SELECT 1 FROM settings WHERE key = 'event_retention' AND value <> '0 s')"
    }

    /// Writes an event that is not of a job, if events are recorded.
    NoteOther { at: i64 as BigInt, kind: String as Text, detail: String as Text } -> () {
        "INSERT INTO events (at, kind, detail) SELECT ?, ?, ? WHERE EXISTS (\
         SELECT 1 FROM settings WHERE key = 'event_retention' AND value <> '0 s')"
    }

    /// Removes those of the oldest `step` events that are from before a time or up to a number.
    PurgeEvents { step: i64 as BigInt, before: i64 as BigInt, last: i64 as BigInt } -> () {
        "DELETE FROM events WHERE id IN (SELECT id FROM (SELECT id, at FROM events ORDER BY id LIMIT ? + 0) AS oldest \
         WHERE at < ? OR id <= ?)"
    }

    /// Sets a setting.
    StoreSetting { key: String as Text, value: String as Text } -> () {
        "INSERT INTO settings (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    }

    /// Pauses a queue, or changes its pause. One that is in force goes on since when it began.
    StorePause {
        name: String as Text,
        at: i64 as BigInt,
        until: i64 as BigInt,
        by: String as Text,
        reason: Option<String> as Nullable<Text>,
    } -> () {
        "INSERT INTO queues (name, paused_at, paused_until, paused_by, pause_reason) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (name) DO UPDATE SET paused_at = CASE WHEN queues.paused_until > excluded.paused_at \
         THEN queues.paused_at ELSE excluded.paused_at END, paused_until = excluded.paused_until, \
         paused_by = excluded.paused_by, pause_reason = excluded.pause_reason"
    }
}
