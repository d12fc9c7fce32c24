//! Reading which jobs a job waits for, and which wait for it.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use queuectl_core::limits::DEPENDANTS;
use queuectl_core::{Condition, JobId, State};

use crate::backend::Db;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// A job that another waits for, or that waits for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relative {
    /// Its number.
    pub id: JobId,
    /// The id the user chose, if any; none also if the job was removed.
    pub name: Option<String>,
    /// Its state; of a parent that was removed, the one in which it ended.
    pub state: Option<State>,
    /// How the parent has to end.
    pub condition: Condition,
    /// Whether it ended so; none while it has not ended.
    pub is_met: Option<bool>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<Words>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    state: Option<i16>,
    #[diesel(sql_type = SmallInt)]
    condition: i16,
    #[diesel(sql_type = Nullable<SmallInt>)]
    outcome: Option<i16>,
}

const PARENTS_OF: &str = "SELECT edges.parent AS id, jobs.name AS name, coalesce(jobs.state, edges.outcome) AS state, \
                          edges.condition AS condition, edges.outcome AS outcome FROM edges \
                          LEFT JOIN jobs ON jobs.id = edges.parent WHERE edges.child = ?1 ORDER BY edges.parent LIMIT ?2";

const DEPENDANTS_OF: &str = "SELECT edges.child AS id, jobs.name AS name, jobs.state AS state, \
                             edges.condition AS condition, edges.outcome AS outcome FROM edges \
                             LEFT JOIN jobs ON jobs.id = edges.child WHERE edges.parent = ?1 ORDER BY edges.child LIMIT ?2";

impl Store {
    /// The jobs that a job waits for, or waited, by their numbers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn parents(&mut self, job: JobId) -> Result<Vec<Relative>, StoreError> {
        parents_of(self.conn()?, job)
    }

    /// The jobs that wait for a job, or waited, by their numbers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn dependants(&mut self, job: JobId) -> Result<Vec<Relative>, StoreError> {
        relatives(self.conn()?, DEPENDANTS_OF, job)
    }
}

/// The jobs that a job waits for, or waited, in the caller's transaction.
pub fn parents_of(conn: &mut Db, job: JobId) -> Result<Vec<Relative>, StoreError> {
    relatives(conn, PARENTS_OF, job)
}

fn relatives(conn: &mut Db, sql: &str, job: JobId) -> Result<Vec<Relative>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(conn.dialect().words(sql))
        .bind::<BigInt, _>(job.0)
        .bind::<BigInt, _>(DEPENDANTS as i64)
        .load(conn)?;
    let relative = |row: Row| {
        // Any other number was written by another program.
        let condition = Condition::from_code(row.condition).unwrap_or(Condition::Ok);
        let ended = row.outcome.and_then(State::from_code);
        Relative {
            id: JobId(row.id),
            name: row.name.map(|name| name.text),
            state: row.state.and_then(State::from_code),
            condition,
            is_met: ended.map(|ended| condition.is_met_by(ended)),
        }
    };
    Ok(rows.into_iter().map(relative).collect())
}
