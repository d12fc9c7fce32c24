//! What a shell can complete: ids of jobs, names of queues, schedules and groups, numbers of nodes.
//!
//! It reads the store and leaves no trace: no file is made, no schema is brought up to date, and no lock is waited for. Each
//! question reads a bounded number of index entries, however large the store is. It has no clock: the caller gives up
//! when it has waited long enough.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};
use queuectl_core::State;
use queuectl_core::limits::COMPLETIONS;

use crate::backend::{Backend, Db, OpenMode};
use crate::ops::dead::{self, DeadFilter, DeadJob};
use crate::postgres::PostgresBackend;
use crate::sqlite::open::open_to_read;
use crate::types::text::Words;
use crate::{Location, StoreError};

/// Something that has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suggest {
    /// Jobs in one of these states; in any if there are none.
    Jobs(&'static [State]),
    /// Queues with jobs, or that were paused.
    Queues,
    /// Schedules.
    Schedules,
    /// Groups.
    Groups,
    /// Hooks that were added.
    Hooks,
    /// Tokens of the HTTP API.
    Tokens,
    /// Keys of labels; behind a key and a colon, its values.
    Labels,
    /// Nodes.
    Nodes,
}

/// A name, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// What can be typed.
    pub value: String,
    /// A short description; may be empty.
    pub about: String,
}

/// Rows that are read at most for each answer: those of other states are left out of it.
const ROWS: i64 = 1000;

/// Returns names that begin like that, at most `most`. Jobs with the newest first.
///
/// # Errors
/// The store is not there, is of another version, or cannot be read right now.
pub fn suggest(
    location: &Location,
    what: Suggest,
    begin: &str,
    most: usize,
) -> Result<Vec<Suggestion>, StoreError> {
    let mut found = match location {
        Location::Sqlite(path) => look(&mut Db::from(open_to_read(path)?), what, begin)?,
        Location::Postgres(place) => {
            let mut backend = PostgresBackend::open(place, OpenMode::MustExist)?;
            look(backend.conn()?, what, begin)?
        }
    };
    found.truncate(most);
    Ok(found)
}

/// Returns the jobs that died last, at most `most`, for what can be said of them together.
///
/// # Errors
/// As for [`suggest`].
pub fn newest_dead(location: &Location, most: u32) -> Result<Vec<DeadJob>, StoreError> {
    let page = match location {
        Location::Sqlite(path) => dead::page(
            &mut Db::from(open_to_read(path)?),
            &DeadFilter::default(),
            None,
            most,
        )?,
        Location::Postgres(place) => {
            let mut backend = PostgresBackend::open(place, OpenMode::MustExist)?;
            dead::page(backend.conn()?, &DeadFilter::default(), None, most)?
        }
    };
    Ok(page.jobs)
}

fn look(conn: &mut Db, what: Suggest, begin: &str) -> Result<Vec<Suggestion>, StoreError> {
    match what {
        Suggest::Jobs(states) => jobs(conn, states, begin),
        Suggest::Queues => {
            let mut names = names(conn, "SELECT DISTINCT queue AS name FROM counts", "queue", begin)?;
            names.extend(self::names(conn, "SELECT name FROM queues", "name", begin)?);
            names.sort();
            names.dedup();
            Ok(names.into_iter().map(plain).collect())
        }
        Suggest::Schedules => {
            let names = names(conn, "SELECT name FROM schedules", "name", begin)?;
            Ok(names.into_iter().map(plain).collect())
        }
        Suggest::Groups => {
            let names = names(conn, "SELECT name FROM job_groups", "name", begin)?;
            Ok(names.into_iter().map(plain).collect())
        }
        Suggest::Hooks => {
            let names = names(conn, "SELECT name FROM hooks", "name", begin)?;
            Ok(names.into_iter().map(plain).collect())
        }
        Suggest::Tokens => {
            let names = names(conn, "SELECT name FROM tokens", "name", begin)?;
            Ok(names.into_iter().map(plain).collect())
        }
        Suggest::Labels => labels(conn, begin),
        Suggest::Nodes => nodes(conn, begin),
    }
}

fn plain(value: String) -> Suggestion {
    let about = String::new();
    Suggestion { value, about }
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text, deserialize_as = Words)]
    name: String,
}

/// Names of a table with an index that begins with them.
fn names(conn: &mut Db, select: &str, column: &str, begin: &str) -> Result<Vec<String>, StoreError> {
    let sql = format!("{select} WHERE {column} >= ?1 ORDER BY 1 LIMIT ?2");
    let rows: Vec<Name> = diesel::sql_query(conn.dialect().words(&sql))
        .bind::<Text, _>(begin)
        .bind::<BigInt, _>(ROWS)
        .load(conn)?;
    let names = rows.into_iter().map(|row| row.name);
    Ok(names.take_while(|name| name.starts_with(begin)).collect())
}

/// Keys of labels or values of a key: one question for each, because many jobs have the same.
fn labels(conn: &mut Db, begin: &str) -> Result<Vec<Suggestion>, StoreError> {
    let (of, column, from) = match begin.split_once(':') {
        Some((key, value)) => (Some(key), "value", value),
        None => (None, "key", begin),
    };
    let key = if of.is_some() { "key = ?2" } else { "?2 = ?2" };
    let mut found = Vec::new();
    let (mut after, mut compare) = (from.to_owned(), ">=");
    while found.len() < COMPLETIONS {
        let sql = format!(
            "SELECT {column} AS name FROM job_labels INDEXED BY labels_value WHERE key <> '' AND {key} \
             AND {column} {compare} ?1 ORDER BY {column} LIMIT 1"
        );
        let next: Option<Name> = diesel::sql_query(conn.dialect().words(&sql))
            .bind::<Text, _>(&after)
            .bind::<Text, _>(of.unwrap_or_default())
            .get_result(conn)
            .optional()?;
        let Some(next) = next.filter(|next| next.name.starts_with(from)) else {
            break;
        };
        found.push(plain(match of {
            Some(key) => format!("{key}:{}", next.name),
            None => next.name.clone(),
        }));
        (after, compare) = (next.name, ">");
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct JobRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    /// Empty if the job has only a number.
    #[diesel(sql_type = Text, deserialize_as = Words)]
    name: String,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    queue: String,
    #[diesel(sql_type = SmallInt)]
    state: i16,
}

const JOB: &str = "SELECT id, coalesce(name, '') AS name, queue, state FROM jobs";

/// Jobs by the id that users see: the name, else the number.
fn jobs(conn: &mut Db, states: &[State], begin: &str) -> Result<Vec<Suggestion>, StoreError> {
    let mut rows: Vec<JobRow> = Vec::new();
    if !begin.is_empty() {
        let sql = format!("{JOB} WHERE name IS NOT NULL AND name >= ?1 ORDER BY jobs.name LIMIT ?2");
        let named: Vec<JobRow> = diesel::sql_query(conn.dialect().words(&sql))
            .bind::<Text, _>(begin)
            .bind::<BigInt, _>(ROWS)
            .load(conn)?;
        let begins = |row: &JobRow| row.name.starts_with(begin);
        rows.extend(named.into_iter().take_while(begins));
    }
    let sql = format!("{JOB} WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3");
    let sql = conn.dialect().words(&sql);
    for (first, last) in ranges(begin) {
        let missing = ROWS - rows.len() as i64;
        if missing <= 0 {
            break;
        }
        let numbered: Vec<JobRow> = diesel::sql_query(&sql)
            .bind::<BigInt, _>(first)
            .bind::<BigInt, _>(last)
            .bind::<BigInt, _>(missing)
            .load(conn)?;
        // With a beginning, a number is meant also where the job has a name.
        rows.extend(numbered.into_iter().map(|row| match begin {
            "" => row,
            _ => JobRow {
                name: String::new(),
                ..row
            },
        }));
    }
    let fits = |row: &JobRow| states.is_empty() || states.iter().any(|state| state.code() == row.state);
    let fitting = rows.into_iter().filter(fits);
    Ok(fitting
        .map(|row| Suggestion {
            about: match State::from_code(row.state) {
                Some(state) => format!("{state}, {}", row.queue),
                None => row.queue,
            },
            value: match row.name {
                name if name.is_empty() => row.id.to_string(),
                name => name,
            },
        })
        .collect())
}

/// The ranges of numbers whose digits begin like that, the largest numbers first.
fn ranges(begin: &str) -> Vec<(i64, i64)> {
    if begin.is_empty() {
        return vec![(1, i64::MAX)];
    }
    let is_number = begin.bytes().all(|byte| byte.is_ascii_digit()) && !begin.starts_with('0');
    let Some(first) = begin.parse::<i64>().ok().filter(|_| is_number) else {
        return Vec::new();
    };
    let mut ranges = vec![(first, first)];
    let (mut from, mut to) = (first, first);
    while let (Some(next_from), Some(next_to)) = (
        from.checked_mul(10),
        to.checked_mul(10).and_then(|to| to.checked_add(9)),
    ) {
        (from, to) = (next_from, next_to);
        ranges.push((from, to));
    }
    ranges.reverse();
    ranges
}

#[derive(QueryableByName)]
struct NodeRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    host: String,
    #[diesel(sql_type = BigInt)]
    pid: i64,
}

fn nodes(conn: &mut Db, begin: &str) -> Result<Vec<Suggestion>, StoreError> {
    let sql = conn
        .dialect()
        .words("SELECT id, host, pid FROM nodes ORDER BY id DESC LIMIT ?1");
    let rows: Vec<NodeRow> = diesel::sql_query(sql).bind::<BigInt, _>(ROWS).load(conn)?;
    let nodes = rows.into_iter().map(|row| Suggestion {
        value: row.id.to_string(),
        about: format!("{}, process {}", row.host, row.pid),
    });
    Ok(nodes.filter(|node| node.value.starts_with(begin)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_begin_alike_are_in_few_ranges() {
        assert_eq!(ranges(""), [(1, i64::MAX)]);
        assert_eq!(&ranges("12")[15..], [(1200, 1299), (120, 129), (12, 12)]);
        for none in ["0", "01", "a", "-1", "1a", "99999999999999999999"] {
            assert_eq!(ranges(none), [], "{none}");
        }
        let inside = ranges("9").iter().all(|(from, to)| from <= to && *from >= 9);
        assert!(inside && ranges("9").len() == 18, "{:?}", ranges("9"));
    }
}
