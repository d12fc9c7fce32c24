//! Dead letters of other stores, or of this one from before a purge: stored as dead jobs, each once.
//!
//! The label [`IMPORTED_FROM`] says where a job comes from. While a job has it, the same dead letter is not stored again.
//! Nothing follows from their death, which was elsewhere: no hooks, no dependants, no groups. How they are
//! written in a file is not known here.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;
use queuectl_core::{Attempt, DeathId, IMPORTED_FROM, JobId, State, Timestamp, ValidJob};

use super::events::note;
use super::operations::Log;
use super::unique::holder_of;
use crate::backend::{Db, insert_rows, on_any};
use crate::checksum::{AttemptContent, JobContent};
use crate::columns::{Value, given};
use crate::counts::Deltas;
use crate::rows::{AttemptRow, JobRow, OutputRow};
use crate::schema::{attempts, job_labels, jobs, outputs};
use crate::state_dir::Lane;
use crate::types::jobs::{content, first_gates};
use crate::types::operation::MassDone;
use crate::types::text::{Words, storable};
use crate::{Store, StoreError, hooks, labels, limits, outcome};

/// A dead letter that is to be stored.
#[derive(Debug, Clone)]
pub struct ImportedLetter {
    /// The job, with the label [`IMPORTED_FROM`]. It has no group and no parents.
    pub job: ValidJob,
    /// Which death it is.
    pub death: DeathId,
    /// Attempts that counted.
    pub attempts: u32,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When its last attempt was claimed.
    pub started_at: Option<Timestamp>,
    /// When it died.
    pub died_at: Timestamp,
    /// Its last attempt, if it had one. Its job, claim and node are not looked at.
    pub last_attempt: Option<Attempt>,
}

/// What became of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is stored.
    Stored {
        /// Under this number.
        id: JobId,
        /// Another job has the id that its user chose, so it has only a number.
        name_taken: bool,
        /// Another job that has not ended has its unique key.
        key_taken: bool,
    },
    /// This job is the same dead letter, or was.
    Already(JobId),
}

/// The claim under which an imported job died. It was never claimed here, and its attempt needs one.
const CLAIM: i64 = 1;

impl Store {
    /// Returns the number of this store, by which others know its dead letters.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn own_number(&mut self) -> Result<String, StoreError> {
        self.backend.own_number()
    }

    /// Stores dead letters in one transaction, all or none, but those that are there already. What became of each, in their
    /// order.
    ///
    /// # Errors
    /// [`StoreError::NoSuchLimit`] and [`StoreError::LimitKey`] say which is to blame.
    pub fn import_dead(
        &mut self,
        letters: &[ImportedLetter],
        now: Timestamp,
    ) -> Result<Vec<Imported>, StoreError> {
        let own = self.backend.own_number()?;
        let log = Log::of(self.operation.as_ref());
        let (imported, operation) = self.write_again_in(Lane::Busy, |conn| {
            // Of two that import the same, the second sees what the first has stored. Imports are rare, and ticks can wait.
            conn.dialect().lock_schedules()?;
            let known = known(conn, &own, letters)?;
            let mut numbers = conn.dialect().reserve_numbers(letters.len())?.into_iter();
            let mut imported = Vec::with_capacity(letters.len());
            let (mut new, mut seen) = (Vec::new(), known);
            for (index, letter) in letters.iter().enumerate() {
                if let Some(id) = seen.get(&letter.death) {
                    imported.push(Imported::Already(JobId(*id)));
                    continue;
                }
                let id = numbers.next().unwrap_or_default();
                seen.insert(letter.death.clone(), id);
                new.push(New { id, index, letter });
                imported.push(Imported::Already(JobId(id)));
            }
            if new.is_empty() {
                return Ok((imported, None));
            }
            let entry = log.enter(conn, now)?;
            let stored = store(conn, &new, now)?;
            for (new, stored) in new.iter().zip(stored) {
                imported[new.index] = stored;
            }
            let done = MassDone {
                changed: new.len() as u64,
                ..MassDone::default()
            };
            let operation = entry.id();
            entry.store(conn, &done, None)?;
            Ok((imported, operation))
        })?;
        self.has_entered(operation);
        Ok(imported)
    }
}

/// A letter that is not there yet.
struct New<'a> {
    id: i64,
    /// Its place among all.
    index: usize,
    letter: &'a ImportedLetter,
}

/// The jobs that are one of these letters: imported before, or died here and not purged.
fn known(conn: &mut Db, own: &str, letters: &[ImportedLetter]) -> Result<HashMap<DeathId, i64>, StoreError> {
    let sources: Vec<String> = letters.iter().map(|letter| letter.death.to_string()).collect();
    let rows: Vec<(Words, i64)> = job_labels::table
        .filter(job_labels::key.eq(IMPORTED_FROM).and(job_labels::key.ne("")))
        .filter(job_labels::value.eq_any(sources))
        .select((job_labels::value, job_labels::job_id))
        .load(conn)?;
    let read = |(source, id): (Words, i64)| Some((source.text.parse().ok()?, id));
    let mut known: HashMap<DeathId, i64> = rows.into_iter().filter_map(read).collect();
    let here = || letters.iter().filter(|letter| letter.death.store == own);
    let ids: Vec<i64> = here().map(|letter| letter.death.job.0).collect();
    if !ids.is_empty() {
        let rows: Vec<(i64, i64, i64)> = jobs::table
            .filter(jobs::id.eq_any(ids))
            .select((jobs::id, jobs::fence, jobs::created_at))
            .load(conn)?;
        let rows: HashMap<i64, (i64, i64)> = rows
            .into_iter()
            .map(|(id, fence, created_at)| (id, (fence, created_at)))
            .collect();
        for letter in here() {
            let death = &letter.death;
            // A store that was restored, or copied as a file, gives numbers again; such a job is another.
            let is_same = |(fence, created_at): &(i64, i64)| {
                *fence >= death.fence && *created_at == letter.created_at.0
            };
            if rows.get(&death.job.0).is_some_and(is_same) {
                known.insert(death.clone(), death.job.0);
            }
        }
    }
    Ok(known)
}

/// A row of `jobs` with what is given with a job, from its content, and with the others.
macro_rules! job_row {
    ($content:ident { $($others:tt)* }
     $($(#[$doc:meta])* $name:ident: $type:ty, $sql:ty, ($($read:meta)?), $since:literal, $core:tt;)*) => {
        JobRow {
            $($name: <$type as Value>::own($content.$name),)*
            $($others)*
        }
    };
}

fn store(conn: &mut Db, new: &[New<'_>], now: Timestamp) -> Result<Vec<Imported>, StoreError> {
    let own: Vec<ValidJob> = new.iter().map(|new| new.letter.job.clone()).collect();
    on_any!(conn, conn => limits::check(conn, &own)).map_err(|error| blame(error, new))?;
    let mut taken = taken_names(conn, new)?;
    let (mut rows, mut stored, mut payloads) = (Vec::new(), Vec::new(), Vec::new());
    let (mut tried, mut printed) = (Vec::new(), Vec::new());
    let mut deltas = Deltas::default();
    for New { id, letter, .. } in new {
        let job = &letter.job;
        let mut content: JobContent<'_> = content(job);
        let name_taken = content.name.is_some_and(|name| !taken.insert(name.to_owned()));
        if name_taken {
            content.name = None;
        }
        let last = letter.last_attempt.as_ref();
        let row = given!(job_row, content, {
            id: *id,
            state: State::Dead.code(),
            attempts: i32::try_from(letter.attempts).unwrap_or(i32::MAX),
            fence: last.map_or(0, |_| CLAIM),
            system_failures: 0,
            due_at: None,
            node_id: None,
            cancel_requested: false,
            // The ledger says when it came here.
            created_at: now.0,
            updated_at: now.0,
            started_at: letter.started_at.map(|at| at.0),
            finished_at: Some(letter.died_at.0),
            sum: Some(content.sum()),
            gates: first_gates(job).code(),
            waits: 0,
            resume_at: None,
            follows: None,
            unmet: None,
            enqueued_by: None,
            hook: None,
            hook_depth: 0,
        });
        stored.push(Imported::Stored {
            id: JobId(*id),
            name_taken,
            key_taken: holder_of(conn, &row)?.is_some(),
        });
        deltas.came(&row.queue, State::Dead, 1);
        rows.push(row);
        payloads.push(job.stored_payload().to_owned());
        if let Some(last) = last {
            let (attempt, output) = attempt_rows(*id, last);
            tried.push(attempt);
            printed.extend(output);
        }
    }
    insert_rows!(conn, jobs::table, rows);
    conn.dialect()
        .insert_payloads(new.iter().map(|new| new.id).collect(), payloads)?;
    insert_rows!(conn, attempts::table, tried);
    insert_rows!(conn, outputs::table, printed);
    let numbered = || new.iter().map(|new| (JobId(new.id), &new.letter.job));
    hooks::insert_of_jobs(conn, numbered())?;
    labels::insert_of_jobs(conn, numbered())?;
    for New { id, letter, .. } in new {
        diesel::update(jobs::table.find(id))
            .set(jobs::created_at.eq(letter.created_at.0))
            .execute(conn)?;
        let detail = serde_json::json!({ "from": letter.death.to_string() });
        note(conn, JobId(*id), "imported", detail.to_string(), now)?;
    }
    outcome::finish(conn, deltas, now)?;
    Ok(stored)
}

/// Says of an error which of all letters is to blame.
fn blame(error: StoreError, new: &[New<'_>]) -> StoreError {
    let of_all = |index: usize| new.get(index).map_or(index, |new| new.index);
    match error {
        StoreError::NoSuchLimit { name, index } => {
            let index = of_all(index);
            StoreError::NoSuchLimit { name, index }
        }
        StoreError::LimitKey { name, index } => {
            let index = of_all(index);
            StoreError::LimitKey { name, index }
        }
        error => error,
    }
}

/// The ids that users chose, of those of the letters, which other jobs have.
fn taken_names(conn: &mut Db, new: &[New<'_>]) -> Result<HashSet<String>, StoreError> {
    let names = new.iter().filter_map(|new| new.letter.job.id.as_ref());
    let names: Vec<&str> = names.map(|name| name.as_str()).collect();
    if names.is_empty() {
        return Ok(HashSet::new());
    }
    let taken: Vec<Words> = jobs::table
        .filter(jobs::name.eq_any(names))
        .select(jobs::name.assume_not_null())
        .load(conn)?;
    Ok(taken.into_iter().map(|name| name.text).collect())
}

/// The rows of an attempt, and of what it printed.
fn attempt_rows(job: i64, last: &Attempt) -> (AttemptRow, Option<OutputRow>) {
    let last = Attempt {
        job: JobId(job),
        fence: CLAIM,
        ..last.clone()
    };
    let message = storable(&last.outcome.message);
    let of = AttemptContent::new(&last, &message);
    let row = AttemptRow {
        job_id: of.job_id,
        fence: of.fence,
        attempt: of.attempt,
        node_id: of.node_id,
        worker: of.worker,
        outcome: of.outcome,
        exit_code: of.exit_code,
        signal: of.signal,
        message: of.message.to_owned(),
        started_at: of.started_at,
        finished_at: of.finished_at,
        output_bytes: of.output_bytes,
        sum: Some(of.sum()),
    };
    let has_output = !(last.output.head.is_empty() && last.output.tail.is_empty());
    let output = has_output.then(|| OutputRow {
        job_id: job,
        fence: CLAIM,
        head: last.output.head.clone(),
        tail: last.output.tail.clone(),
        marks: None,
    });
    (row, output)
}
