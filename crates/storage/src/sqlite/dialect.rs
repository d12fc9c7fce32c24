//! What SQLite does in its own way in a transaction, which is the only one that writes.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Gates, JobId, JobRef, NodeId, State, Timestamp, ValidJob};

use super::inserts::{self, PayloadRow};
use super::statements::{AddToCount, ForgetEmpty, IsClaimable, QueueOf, RemoveJob, UnbegunMembers};
use super::{enqueue, insert_keyed, ledger};
use crate::StoreError;
use crate::backend::{Begin, Dialect, GroupNeed, Ledger};
use crate::counts::Deltas;
use crate::schema::payloads;
use crate::states::sql;
use crate::types::jobs::NewJob;

/// No step of a purge goes on for longer: others want to write, too, and a job's output can be large.
const STEP_MOST: Duration = Duration::from_millis(10);

/// Writes differences of counts. Writers come one after the other, so a row for each queue and state is changed.
pub fn add_counts(conn: &mut SqliteConnection, deltas: Deltas) -> Result<(), StoreError> {
    for (queue, state, jobs) in deltas.changes() {
        AddToCount { queue, state, jobs }.execute(conn)?;
    }
    Ok(())
}

impl Dialect for SqliteConnection {
    fn begin(&self, begin: Begin) -> &'static str {
        match begin {
            Begin::Snapshot => "BEGIN",
            Begin::Write => "BEGIN IMMEDIATE",
        }
    }

    fn words(&self, sql: &str) -> String {
        sql.to_owned()
    }

    fn jobs_by_queue(&self) -> &'static str {
        "jobs INDEXED BY jobs_queue"
    }

    /// `lower` knows the letters from A to Z alone.
    fn contains(&self) -> [&'static str; 3] {
        ["(instr(lower(", "), ", ") > 0)"]
    }

    fn by_bytes(&self) -> &'static str {
        ""
    }

    fn is_claimable(&mut self, job: JobId, moment: Timestamp) -> Result<bool, StoreError> {
        let (moment, id) = (moment.0, job.0);
        let found: Option<(i64,)> = IsClaimable { moment, id }.get_result(self).optional()?;
        Ok(found.is_some())
    }

    fn lock_job(&mut self, _: &JobRef) -> Result<(), StoreError> {
        Ok(())
    }

    fn lock_node(&mut self, _: NodeId) -> Result<bool, StoreError> {
        Ok(true)
    }

    fn lock_jobs(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove_jobs(
        &mut self,
        ids: Vec<i64>,
        state: State,
        deltas: &mut Deltas,
    ) -> Result<Vec<(i64, Gates)>, StoreError> {
        let until = Instant::now() + STEP_MOST;
        let mut removed = Vec::with_capacity(ids.len());
        for id in ids {
            let (queue, gates) = QueueOf { id }.get_result::<(String, i32)>(self)?;
            // The rest goes with it, by the foreign keys.
            RemoveJob { id }.execute(self)?;
            deltas.came(&queue, state, -1);
            removed.push((id, Gates::from_code(gates)));
            if Instant::now() >= until {
                break;
            }
        }
        Ok(removed)
    }

    fn add_counts(&mut self, deltas: Deltas) -> Result<(), StoreError> {
        add_counts(self, deltas)
    }

    fn fold_counts(&mut self, queues: Option<Vec<String>>) -> Result<(), StoreError> {
        let Some(queues) = queues else {
            let all = sql!(
                "DELETE FROM counts WHERE queue IN (SELECT queue FROM counts WHERE state = {all} AND jobs = 0)"
            );
            diesel::sql_query(all).execute(self)?;
            return Ok(());
        };
        for queue in queues {
            let same = queue.clone();
            ForgetEmpty { queue, same }.execute(self)?;
        }
        Ok(())
    }

    fn lift_time_limits(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn set_ledger(&mut self, is_on: bool) -> Result<(), StoreError> {
        Ok(self.batch_execute(if is_on { ledger::ON } else { ledger::OFF })?)
    }

    /// There is one writer, so events are stored in the order of their numbers.
    fn ledger(&self) -> Ledger {
        Ledger {
            transaction: "0",
            after: "?1 = ?1 AND e.id > ?2",
            is_behind: "FALSE",
            order: ["e.id", "e.id DESC"],
        }
    }

    fn insert_all(&mut self, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        enqueue::insert_all(self, jobs, now)
    }

    fn reserve_numbers(&mut self, count: usize) -> Result<Vec<i64>, StoreError> {
        let last = self.last_number("jobs")?;
        Ok((last + 1..).take(count).collect())
    }

    fn insert_new(
        &mut self,
        jobs: &[NewJob<'_>],
        now: Timestamp,
        deltas: &mut Deltas,
    ) -> Result<Vec<bool>, StoreError> {
        insert_keyed::insert_new(self, jobs, now, deltas)
    }

    fn lock_group(&mut self, _: i64, _: GroupNeed) -> Result<(), StoreError> {
        Ok(())
    }

    fn unbegun_members(&mut self, group: i64, most: i64) -> Result<Vec<i64>, StoreError> {
        let found: Vec<(i64,)> = UnbegunMembers { group, most }.load(self)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    fn insert_payloads(&mut self, jobs: Vec<i64>, payloads: Vec<String>) -> Result<(), StoreError> {
        let rows = jobs.into_iter().zip(&payloads);
        let rows: Vec<_> = rows
            .map(|(job_id, payload)| PayloadRow { job_id, payload })
            .collect();
        inserts::insert(self, &rows, |_, _| Ok(())).map_err(|(_, error)| error.into())
    }

    fn replace_payload(&mut self, job: i64, _: &str, payload: &str) -> Result<(), StoreError> {
        let own = diesel::update(payloads::table.find(job));
        own.set(payloads::payload.eq(payload)).execute(self)?;
        Ok(())
    }

    fn lock_schedule(&mut self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    fn lock_schedules(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn last_number(&mut self, table: &str) -> Result<i64, StoreError> {
        let sql = format!("SELECT coalesce(max(seq), 0) AS last FROM sqlite_sequence WHERE name = '{table}'");
        Ok(diesel::sql_query(sql).get_result::<Last>(self)?.last)
    }

    fn go_on_from(&mut self, table: &str, last: i64) -> Result<(), StoreError> {
        Ok(self.batch_execute(&format!(
            "DELETE FROM sqlite_sequence WHERE name = '{table}'; \
             INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {last})"
        ))?)
    }
}

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = BigInt)]
    last: i64,
}
