//! What PostgreSQL does in its own way in a transaction, beside which others write.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::{Gates, JobId, JobRef, NodeId, State, Timestamp, ValidJob};

use super::open::number;
use super::statements::{
    AddCounts, FoldCounts, FoldCountsOf, InsertPayloads, IsClaimable, LockGroup, LockGroupToEnd,
    LockGroupToJoin, LockJob, LockNamedJob, LockSchedule, RemoveJobs, ReplacePayload, UnbegunMembers,
};
use super::{enqueue, insert_keyed, lease};
use crate::StoreError;
use crate::backend::{Begin, Dialect, GroupNeed, Ledger};
use crate::counts::Deltas;
use crate::types::jobs::NewJob;

/// Writes differences of counts. Several nodes would wait for each other at a row, so one is added each time; what was
/// added counts together, and now and then it is folded into one.
pub fn add_counts(conn: &mut PgConnection, deltas: Deltas) -> Result<(), StoreError> {
    let mut rows = AddCounts {
        queue: Vec::new(),
        state: Vec::new(),
        jobs: Vec::new(),
    };
    for (queue, state, jobs) in deltas.changes() {
        rows.queue.push(queue);
        rows.state.push(state);
        rows.jobs.push(jobs);
    }
    if !rows.queue.is_empty() {
        rows.execute(conn)?;
    }
    Ok(())
}

impl Dialect for PgConnection {
    fn begin(&self, begin: Begin) -> &'static str {
        match begin {
            Begin::Snapshot => "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Begin::Write => "BEGIN",
        }
    }

    /// PostgreSQL knows no `INDEXED BY`, and its parameters are `$1`.
    fn words(&self, sql: &str) -> String {
        let sql = sql.replace("NOT INDEXED", "").replace('?', "$");
        let mut parts = sql.split("INDEXED BY ");
        let mut text = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            text.push_str(part.split_once(' ').map_or("", |(_, rest)| rest));
        }
        text
    }

    /// A changed row needs a new entry in every index, so this is beside the payload, which does not change.
    fn jobs_by_queue(&self) -> &'static str {
        "(SELECT queue, job_id AS id FROM payloads) AS jobs"
    }

    /// In this collation, letters from A to Z alone have two cases.
    fn contains(&self) -> [&'static str; 3] {
        ["(strpos(lower((", ") COLLATE \"C\"), ", ") > 0)"]
    }

    fn by_bytes(&self) -> &'static str {
        " COLLATE \"C\""
    }

    fn is_claimable(&mut self, job: JobId, moment: Timestamp) -> Result<bool, StoreError> {
        let (moment, id) = (moment.0, job.0);
        let found: Option<(i64,)> = IsClaimable { moment, id }.get_result(self).optional()?;
        Ok(found.is_some())
    }

    fn lock_job(&mut self, job: &JobRef) -> Result<(), StoreError> {
        match job {
            JobRef::Number(id) => LockJob { id: id.0 }.execute(self)?,
            JobRef::Name(name) => {
                let name = name.to_string();
                LockNamedJob { name }.execute(self)?
            }
        };
        Ok(())
    }

    fn lock_node(&mut self, node: NodeId) -> Result<bool, StoreError> {
        lease::settle(self, node)
    }

    fn lock_jobs(&mut self) -> Result<(), StoreError> {
        Ok(self.batch_execute("SET LOCAL statement_timeout = 0; LOCK TABLE jobs IN SHARE MODE")?)
    }

    /// Only who wants the same jobs waits for this, so it is one statement for all of them.
    fn remove_jobs(
        &mut self,
        ids: Vec<i64>,
        state: State,
        deltas: &mut Deltas,
    ) -> Result<Vec<(i64, Gates)>, StoreError> {
        let statement = RemoveJobs {
            id: ids,
            state: state.code(),
        };
        let gone = statement.load::<(i64, String, i32)>(self)?;
        gone.iter()
            .for_each(|(_, queue, _)| deltas.came(queue, state, -1));
        let gone = gone.into_iter();
        Ok(gone.map(|(id, _, gates)| (id, Gates::from_code(gates))).collect())
    }

    fn add_counts(&mut self, deltas: Deltas) -> Result<(), StoreError> {
        add_counts(self, deltas)
    }

    fn fold_counts(&mut self, queues: Option<Vec<String>>) -> Result<(), StoreError> {
        match queues {
            Some(queues) => FoldCountsOf { queues }.execute(self)?,
            None => FoldCounts {}.execute(self)?,
        };
        Ok(())
    }

    fn lift_time_limits(&mut self) -> Result<(), StoreError> {
        let sql = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";
        Ok(self.batch_execute(sql)?)
    }

    fn set_ledger(&mut self, is_on: bool) -> Result<(), StoreError> {
        Ok(self.batch_execute(&format!("SELECT set_ledger({is_on})"))?)
    }

    /// Transactions end in any order. Those before which none is open any more have all ended, so their events are all there
    /// are, and all others will come after them.
    fn ledger(&self) -> Ledger {
        Ledger {
            transaction: "e.xid",
            after: "(e.xid, e.id) > (?1, ?2) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT",
            is_behind: "EXISTS (SELECT 1 FROM events WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())::TEXT::BIGINT)",
            order: ["e.xid, e.id", "e.xid DESC, e.id DESC"],
        }
    }

    fn insert_all(&mut self, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        Ok(enqueue::insert_all(self, jobs, now)?.0)
    }

    fn reserve_numbers(&mut self, count: usize) -> Result<Vec<i64>, StoreError> {
        insert_keyed::reserve_numbers(self, count)
    }

    fn insert_new(
        &mut self,
        jobs: &[NewJob<'_>],
        now: Timestamp,
        deltas: &mut Deltas,
    ) -> Result<Vec<bool>, StoreError> {
        insert_keyed::insert_new(self, jobs, now, deltas)
    }

    fn lock_group(&mut self, id: i64, need: GroupNeed) -> Result<(), StoreError> {
        match need {
            GroupNeed::Join => LockGroupToJoin { id }.execute(self)?,
            GroupNeed::End => LockGroupToEnd { id }.execute(self)?,
            GroupNeed::All => LockGroup { id }.execute(self)?,
        };
        Ok(())
    }

    fn unbegun_members(&mut self, group: i64, most: i64) -> Result<Vec<i64>, StoreError> {
        let found: Vec<(i64,)> = UnbegunMembers { group, most }.load(self)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// A payload's row has its job's queue, too.
    fn insert_payloads(&mut self, jobs: Vec<i64>, payloads: Vec<String>) -> Result<(), StoreError> {
        let rows = InsertPayloads {
            job_id: jobs,
            payload: payloads,
        };
        rows.execute(self)?;
        Ok(())
    }

    fn replace_payload(&mut self, job: i64, queue: &str, payload: &str) -> Result<(), StoreError> {
        let (queue, payload) = (queue.to_owned(), payload.to_owned());
        ReplacePayload {
            queue,
            payload,
            job_id: job,
        }
        .execute(self)?;
        Ok(())
    }

    fn lock_schedule(&mut self, name: &str) -> Result<(), StoreError> {
        let name = name.to_owned();
        LockSchedule { name }.execute(self)?;
        Ok(())
    }

    /// Readers go on; ticks come one node after the other, which lets the key of a tick refuse none of them.
    /// In a mode that does not keep out those that end runs and say so in the schedule's row.
    fn lock_schedules(&mut self) -> Result<(), StoreError> {
        Ok(self.batch_execute("LOCK TABLE schedules IN SHARE UPDATE EXCLUSIVE MODE")?)
    }

    fn last_number(&mut self, table: &str) -> Result<i64, StoreError> {
        number(
            self,
            &format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_id_seq"),
        )
    }

    fn go_on_from(&mut self, table: &str, last: i64) -> Result<(), StoreError> {
        if last > 0 {
            number(self, &format!("SELECT setval('{table}_id_seq', {last})"))?;
        }
        Ok(())
    }
}
