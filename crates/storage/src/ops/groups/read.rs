//! Reading groups and their members.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use queuectl_core::{GroupName, JobId, State, Timestamp};

use super::{GroupUse, find};
use crate::backend::Db;
use crate::outcome::{GroupRow, progress};
use crate::schema::job_groups;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// Which groups to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroupFilter {
    /// Only those that are not complete.
    pub unfinished: bool,
    /// Most groups to return.
    pub limit: u32,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: JobId,
    /// The id the user chose, if any; none also if the job was removed.
    pub name: Option<String>,
    /// Its queue; none if the job was removed.
    pub queue: Option<String>,
    /// Its state; of a job that was removed, the one in which it ended.
    pub state: Option<State>,
    /// When that state began, as far as the job is there.
    pub since: Option<Timestamp>,
}

#[derive(QueryableByName)]
struct MemberRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<Words>,
    #[diesel(sql_type = Nullable<Text>)]
    queue: Option<Words>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    state: Option<i16>,
    #[diesel(sql_type = Nullable<BigInt>)]
    since: Option<i64>,
}

/// Members with their jobs, with which of them.
macro_rules! members {
    ($which:literal) => {
        concat!(
            "SELECT job_id AS id, jobs.name AS name, jobs.queue AS queue, coalesce(jobs.state, outcome) AS state, \
             coalesce(jobs.finished_at, jobs.started_at, jobs.created_at) AS since \
             FROM group_members LEFT JOIN jobs ON jobs.id = job_id WHERE group_id = ?1 AND ",
            $which,
            " AND job_id > ?2 ORDER BY job_id LIMIT ?3"
        )
    };
}

const FAILED: &str = members!("outcome >= 6");
const OPEN: &str = members!("outcome IS NULL");
const COMPLETED: &str = members!("outcome = 5");

impl Store {
    /// The newest groups, with the newest first. Reads a row for each member of each.
    ///
    /// # Errors
    /// [`StoreError::Database`]; [`StoreError::BadCallback`].
    pub fn groups(&mut self, filter: &GroupFilter) -> Result<Vec<GroupUse>, StoreError> {
        self.conn()?.snapshot(|db| {
            let mut query = job_groups::table
                .order(job_groups::id.desc())
                .limit(i64::from(filter.limit))
                .select(GroupRow::as_select())
                .into_boxed();
            if filter.unfinished {
                query = query.filter(job_groups::completed_at.is_null());
            }
            let rows: Vec<GroupRow> = query.load(db)?;
            rows.into_iter().map(|row| with_progress(db, row)).collect()
        })
    }

    /// A group and how far it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`].
    pub fn group(&mut self, name: &GroupName) -> Result<GroupUse, StoreError> {
        self.conn()?.snapshot(|db| group_use(db, name.as_str()))
    }

    /// The first members of a group: those that are dead or cancelled, then those that have not ended, then the others,
    /// each by their numbers.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`].
    pub fn members(&mut self, name: &GroupName, most: u32) -> Result<Vec<Member>, StoreError> {
        self.conn()?.snapshot(|db| {
            let row = find(db, name.as_str())?;
            let mut found = Vec::new();
            for sql in [FAILED, OPEN, COMPLETED] {
                let left = i64::from(most) - found.len() as i64;
                if left > 0 {
                    found.extend(some_members(db, sql, row.id, i64::MIN, left)?);
                }
            }
            Ok(found)
        })
    }

    /// Members of a group that have not ended, by their numbers from that one on.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`].
    pub fn open_members(
        &mut self,
        name: &GroupName,
        after: JobId,
        most: u32,
    ) -> Result<Vec<Member>, StoreError> {
        let db = self.conn()?;
        let row = find(db, name.as_str())?;
        some_members(db, OPEN, row.id, after.0, i64::from(most))
    }
}

/// A group and how far it is, in the caller's transaction.
pub fn group_use(db: &mut Db, name: &str) -> Result<GroupUse, StoreError> {
    let row = find(db, name)?;
    with_progress(db, row)
}

fn with_progress(db: &mut Db, row: GroupRow) -> Result<GroupUse, StoreError> {
    let progress = progress(db, row.id)?;
    let group = row.into_group()?;
    Ok(GroupUse { group, progress })
}

fn some_members(
    db: &mut Db,
    sql: &str,
    group: i64,
    after: i64,
    most: i64,
) -> Result<Vec<Member>, StoreError> {
    let rows: Vec<MemberRow> = diesel::sql_query(db.dialect().words(sql))
        .bind::<BigInt, _>(group)
        .bind::<BigInt, _>(after)
        .bind::<BigInt, _>(most)
        .load(db)?;
    let member = |row: MemberRow| Member {
        id: JobId(row.id),
        name: row.name.map(|name| name.text),
        queue: row.queue.map(|queue| queue.text),
        state: row.state.and_then(State::from_code),
        since: row.since.map(Timestamp),
    };
    Ok(rows.into_iter().map(member).collect())
}
