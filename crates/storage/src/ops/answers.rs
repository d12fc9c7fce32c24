//! Storing the jobs of a request that has a key of its own: what was answered is stored with them, so that the same request, sent
//! again because its answer was lost, stores nothing and is answered the same.
//!
//! Answers are kept for a day, and no more than a million; those that are over go when others are stored, and when nodes tidy up.
//! `db:copy` leaves them.

use std::ops::Range;

use diesel::prelude::*;
use queuectl_core::limits::{ANSWERS, ANSWERS_FOR};
use queuectl_core::{Timestamp, ValidJob};

use crate::backend::{Db, insert_rows};
use crate::schema::answers;
use crate::types::placed::Placed;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// Answers that are removed by the transaction that stores others, at most; more than it can store.
const STEP: i64 = 2000;

/// What a request is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Whose keys these are: each has its own.
    pub scope: String,
    /// The key.
    pub key: String,
    /// Which part of a request that is stored in several.
    pub part: i32,
    /// The SHA-256 of what was sent.
    pub hash: [u8; 32],
}

impl RequestKey {
    /// Whether it is the same part of a request with the same key, whatever was sent.
    pub fn is_same(&self, other: &RequestKey) -> bool {
        (&self.scope, &self.key, self.part) == (&other.scope, &other.key, other.part)
    }
}

/// A request whose jobs are stored.
pub struct Keyed {
    /// What it is known by.
    pub key: RequestKey,
    /// Which of the jobs are its own.
    pub jobs: Range<usize>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The SHA-256 of what had been sent.
    pub hash: Vec<u8>,
    /// The answer.
    pub text: String,
}

#[derive(Debug, Insertable)]
#[diesel(table_name = answers)]
struct Row {
    scope: String,
    key: String,
    part: i32,
    hash: Vec<u8>,
    answer: String,
    stored_at: i64,
}

impl Store {
    /// Returns what was answered to a request with that key.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn answered(&mut self, key: &RequestKey, now: Timestamp) -> Result<Option<Answered>, StoreError> {
        let row: Option<(Vec<u8>, Words)> = answers::table
            .filter(answers::key.eq(&key.key))
            .filter(answers::scope.eq(&key.scope))
            .filter(answers::part.eq(key.part))
            .filter(answers::stored_at.ge(oldest(now)))
            .select((answers::hash, answers::answer))
            .first(self.conn()?)
            .optional()?;
        Ok(row.map(|(hash, answer)| Answered {
            hash,
            text: answer.text,
        }))
    }

    /// Does as [`Store::place`], and stores in the same transaction what is answered to these requests.
    ///
    /// # Errors
    /// As [`Store::place`], and [`StoreError::AnswerTaken`]: a request with one of the keys was stored meanwhile.
    pub fn place_answered(
        &mut self,
        jobs: &[ValidJob],
        keyed: &[Keyed],
        answer: &dyn Fn(&[ValidJob], &[Placed]) -> String,
        now: Timestamp,
    ) -> Result<Vec<Placed>, StoreError> {
        self.place_with(jobs, now, &mut |conn, placed| {
            let rows = keyed.iter().map(|Keyed { key, jobs: own }| Row {
                scope: key.scope.clone(),
                key: key.key.clone(),
                part: key.part,
                hash: key.hash.to_vec(),
                answer: answer(&jobs[own.clone()], &placed[own.clone()]),
                stored_at: now.0,
            });
            store(conn, &rows.collect::<Vec<_>>(), now)
        })
    }
}

impl Store {
    /// Removes a step's worth of answers that are over. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge_answers(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        // A read takes no lock, and mostly there is nothing to remove.
        match those_over(self.conn()?, now)? {
            None => Ok(false),
            Some(_) => self.write_busily(|conn| tidy(conn, now)).map(|()| true),
        }
    }
}

/// From when on answers count.
fn oldest(now: Timestamp) -> i64 {
    let time = i64::try_from(ANSWERS_FOR.as_millis()).unwrap_or(i64::MAX);
    now.0.saturating_sub(time)
}

fn store(conn: &mut Db, rows: &[Row], now: Timestamp) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    for keys in keys.chunks(500) {
        let stale = answers::table.filter(answers::key.eq_any(keys).and(answers::stored_at.lt(oldest(now))));
        diesel::delete(stale).execute(conn)?;
        let known: Vec<(Words, Words, i32)> = answers::table
            .filter(answers::key.eq_any(keys))
            .select((answers::scope, answers::key, answers::part))
            .load(conn)?;
        let is_known = |row: &Row| {
            let same = |(scope, key, part): &(Words, Words, i32)| {
                scope.text == row.scope && key.text == row.key && *part == row.part
            };
            known.iter().any(same)
        };
        if rows.iter().any(is_known) {
            return Err(StoreError::AnswerTaken);
        }
    }
    // On a server, another transaction may be quicker.
    insert(conn, rows).map_err(|error| match error.is_taken() {
        true => StoreError::AnswerTaken,
        false => error,
    })?;
    tidy(conn, now)
}

fn insert(conn: &mut Db, rows: &[Row]) -> Result<(), StoreError> {
    insert_rows!(conn, answers::table, rows);
    Ok(())
}

/// Which answers are over.
struct Over {
    /// Those up to this number.
    up_to: i64,
    /// Those before this time.
    before: i64,
}

impl Over {
    fn has(&self, (id, at): (i64, i64)) -> bool {
        id <= self.up_to || at < self.before
    }
}

/// Says which answers are over, if the oldest is.
fn those_over(conn: &mut Db, now: Timestamp) -> Result<Option<Over>, StoreError> {
    let newest: Option<i64> = answers::table
        .order(answers::id.desc())
        .select(answers::id)
        .first(conn)
        .optional()?;
    let first: Option<(i64, i64)> = answers::table
        .order(answers::id)
        .select((answers::id, answers::stored_at))
        .first(conn)
        .optional()?;
    let over = Over {
        up_to: newest.unwrap_or_default() - ANSWERS,
        before: oldest(now),
    };
    Ok(first.is_some_and(|first| over.has(first)).then_some(over))
}

/// Removes some of those that are over, the oldest.
fn tidy(conn: &mut Db, now: Timestamp) -> Result<(), StoreError> {
    let Some(over) = those_over(conn, now)? else {
        return Ok(());
    };
    let oldest_rows: Vec<(i64, i64)> = answers::table
        .order(answers::id)
        .limit(STEP)
        .select((answers::id, answers::stored_at))
        .load(conn)?;
    let over = oldest_rows.iter().take_while(|row| over.has(**row));
    if let Some((last, _)) = over.last() {
        diesel::delete(answers::table.filter(answers::id.le(last))).execute(conn)?;
    }
    Ok(())
}
