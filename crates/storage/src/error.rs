//! What can go wrong with a store, sorted by what the user can do about it.

use std::io;
use std::path::PathBuf;

use queuectl_core::limits::{DEPENDANTS, HOOKS, LIMITS, SCHEDULES, TOKENS};
use queuectl_core::{LimitError, Refused, State, Timestamp};

pub use crate::problem::Problem;

/// What is wrong with a location; it never quotes what may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadServer {
    /// libpq cannot read it, or would read it otherwise than it is meant.
    Url,
    /// The port is no number.
    Port,
    /// The name of the schema.
    Schema,
    /// There is no place on this machine for what belongs to it.
    Home,
}

/// An error of the store. Messages do not repeat the store's location; the caller knows it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There would be more of something than there may be.
    #[error("there can be at most {most} {what}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// The location is not one this version can open.
    #[error("'{0}' is not a queue location; give a file path, sqlite:PATH or postgres://USER@HOST/DATABASE")]
    BadLocation(String),
    /// Not a location on PostgreSQL.
    #[error("{}", bad_server(*.0))]
    BadServer(BadServer),
    /// The library for PostgreSQL is missing, or cannot be loaded.
    #[error("queuectl cannot load its library for PostgreSQL: {0}; install it with `cargo xtask install`")]
    NoPostgres(String),
    /// libpq or the server does not take a parameter of the location.
    #[error("the location on PostgreSQL cannot be used: {0}")]
    BadParameter(String),
    /// The database's encoding cannot hold every text.
    #[error(
        "the database's encoding is {0}, which cannot hold every text; a queue needs a database with ENCODING 'UTF8'"
    )]
    Encoding(String),
    /// There is nothing at the location and nothing was to be created.
    #[error("there is no queue here yet; `queuectl init` creates one")]
    Missing,
    /// The file is empty, and there was a queue.
    #[error(
        "the file is empty, but a queue was here: {} is still there; restore a backup, or remove that folder to begin with an empty queue", .0.display()
    )]
    Emptied(PathBuf),
    /// The file is not the one that was opened any more.
    #[error(
        "{what} was {how} while it was in use, and what was stored since then went with it; look what is there now, then start again"
    )]
    Replaced {
        /// The file, or its log.
        what: &'static str,
        /// Removed or replaced.
        how: &'static str,
    },
    /// SQLite does not take such a path.
    #[error("the path of a queue's file has up to {most} bytes; choose a shorter one")]
    LongPath {
        /// The most.
        most: usize,
    },
    /// A new file was to be made where there is something.
    #[error("{} already exists; choose another name", .0.display())]
    Exists(PathBuf),
    /// A command that was to make this file was interrupted.
    #[error("this file is incomplete; remove it and repeat the command that was creating it")]
    Unfinished,
    /// A file or folder of the store could not be used.
    #[error("cannot {what} {}: {source}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Not a database at all.
    #[error("this is not an SQLite database; choose another file with --db, this one was left untouched")]
    NotADatabase,
    /// A database, but not one of queuectl.
    #[error(
        "this database belongs to another program; choose another file with --db, this one was left untouched"
    )]
    Foreign,
    /// Written by a newer queuectl.
    #[error(
        "this queue has schema version {found}, and this queuectl knows versions up to {known}; install a newer queuectl"
    )]
    NewerSchema {
        /// The version found.
        found: i32,
        /// The newest version known.
        known: i32,
    },
    /// Written by an older queuectl, and on a server that other machines use too.
    #[error(
        "this queue has schema version {found}, and this queuectl needs version {known}; stop the nodes, then run `queuectl db:migrate`"
    )]
    OlderSchema {
        /// The version found.
        found: i32,
        /// The version needed.
        known: i32,
    },
    /// What was asked for is done with a file.
    #[error("this queue is not a file but a schema of a PostgreSQL database")]
    NoFile,
    /// The store to copy to has something in it.
    #[error("the queue to copy to is not empty; choose a new file, or a schema that does not exist yet")]
    NotEmpty,
    /// A copy is not like the original.
    #[error("the copy differed from the original and was removed; `queuectl db:check` looks for damage")]
    CopyDiffers,
    /// The linked SQLite is too old to be safe.
    #[error("the linked SQLite is {found}; queuectl needs 3.51.3 or newer, earlier ones can corrupt a WAL")]
    SqliteTooOld {
        /// The version found.
        found: &'static str,
    },
    /// The schema could not be brought up to date.
    #[error("the schema could not be brought up to date: {0}")]
    Migration(String),
    /// The database could not do it.
    #[error("{} ({detail})", problem.advice())]
    Database {
        /// The sort of problem.
        problem: Problem,
        /// The database's own words.
        detail: String,
    },
    /// The server went away while it was to commit, and it could not be found out whether it did.
    #[error(
        "the database server went away before it said whether this was stored; look with `queuectl list` before you repeat it ({detail})"
    )]
    MaybeStored {
        /// The database's own words.
        detail: String,
    },
    /// No such job.
    #[error("there is no job '{0}'; `queuectl list` shows the jobs there are")]
    NoSuchJob(String),
    /// Not while nodes run.
    #[error(
        "a node is running on this queue; stop it first (`queuectl worker:stop`), its jobs would wait for too long"
    )]
    NodesLive,
    /// No such schedule.
    #[error("there is no schedule '{0}'; `queuectl schedule:list` shows the schedules there are")]
    NoSuchSchedule(String),
    /// The name is in use.
    #[error(
        "there is already a schedule '{0}'; change it with `queuectl schedule:edit {0}`, or choose another name"
    )]
    ScheduleTaken(String),
    /// No such hook.
    #[error("there is no hook '{0}'; `queuectl hook:list` shows the hooks there are")]
    NoSuchHook(String),
    /// The name is in use.
    #[error(
        "there is already a hook '{0}'; remove it with `queuectl hook:remove {0}`, or choose another name (--name)"
    )]
    HookTaken(String),
    /// Another transaction was quicker.
    #[error("another request with the same Idempotency-Key is being answered; ask again in a moment")]
    AnswerTaken,
    /// Over [`HOOKS`].
    #[error("a queue's store has at most {HOOKS} hooks; remove some with `queuectl hook:remove`")]
    TooManyHooks,
    /// No such token.
    #[error("there is no token '{0}'; `queuectl token:list` shows the tokens there are")]
    NoSuchToken(String),
    /// The name is in use.
    #[error(
        "there is already a token '{0}'; revoke it with `queuectl token:revoke {0}`, or choose another name"
    )]
    TokenTaken(String),
    /// Over [`TOKENS`].
    #[error("a queue's store has at most {TOKENS} tokens; revoke some with `queuectl token:revoke`")]
    TooManyTokens,
    /// A part of a schedule is wrong.
    #[error("schedule '{name}': {problem}")]
    BadSchedule {
        /// The schedule.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Over [`SCHEDULES`].
    #[error("a queue's store has at most {SCHEDULES} schedules; remove some with `queuectl schedule:remove`")]
    TooManySchedules,
    /// A tick with a result that this version does not know.
    #[error(
        "the tick of schedule '{schedule}' at {at} was written by another version; this one cannot read it"
    )]
    UnreadableTick {
        /// The schedule.
        schedule: String,
        /// The tick's time.
        at: Timestamp,
    },
    /// No such group.
    #[error("there is no group '{0}'; `queuectl group:list` shows the groups there are")]
    NoSuchGroup(String),
    /// The name is in use.
    #[error(
        "there is already a group '{0}'; choose another name, or remove it with `queuectl group:remove {0}`"
    )]
    GroupTaken(String),
    /// It takes no further members.
    #[error(
        "group '{group}' is closed and takes no further jobs; choose another name, or remove it with `queuectl group:remove {group}`"
    )]
    GroupClosed {
        /// The group.
        group: String,
        /// Which of the jobs handed over named it, from 0.
        index: usize,
    },
    /// Too many of its members are dead: it takes no further ones.
    #[error(
        "group '{group}' takes no further jobs, because too many of its jobs are dead; `queuectl group:retry {group}` runs them again"
    )]
    GroupStopped {
        /// The group.
        group: String,
        /// Which of the jobs handed over named it, from 0.
        index: usize,
    },
    /// A group with members that have not ended.
    #[error(
        "group '{group}' has jobs that have not ended ({open}); wait for them, or cancel them with `queuectl group:cancel {group}`"
    )]
    GroupBusy {
        /// The group.
        group: String,
        /// How many.
        open: u64,
    },
    /// A callback that cannot be stored.
    #[error("the callback of group '{group}': {problem}")]
    BadCallback {
        /// The group.
        group: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No such node.
    #[error("there is no node {0}; `queuectl worker:list` shows the nodes there are")]
    NoSuchNode(i64),
    /// The id is in use.
    #[error("there is already a job with the id '{name}'; ids are unique, choose another or leave it out")]
    NameTaken {
        /// The id.
        name: String,
        /// Which of the jobs handed over had it, from 0.
        index: usize,
    },
    /// A job is to wait for one that there is not.
    #[error("there is no job '{parent}' to wait for; {}", about_parent(parent))]
    NoSuchParent {
        /// The job, as it was named.
        parent: String,
        /// Which of the jobs handed over is to wait for it, from 0.
        index: usize,
    },
    /// Jobs that wait for each other.
    #[error("jobs must not wait for each other: {}", path.join(" -> "))]
    Cycle {
        /// Their ids; the last is the first again.
        path: Vec<String>,
    },
    /// More jobs than may wait for one.
    #[error("too many jobs wait for job '{parent}'; at most {DEPENDANTS} can")]
    TooManyDependants {
        /// The job, as it was named.
        parent: String,
    },
    /// The functions that store a job in the caller's transaction cannot do it.
    #[error(
        "a job with \"{0}\" cannot be stored within another transaction; store it with `queuectl enqueue`"
    )]
    NotWithin(&'static str),
    /// The key is in use, and the job was not to be stored then.
    #[error(
        "the unique key '{key}' is taken by job '{holder}', which is {state}; nothing was stored (--on-conflict return takes that job, replace takes its place)"
    )]
    KeyTaken {
        /// The key.
        key: String,
        /// The job that has it, by the id that users see.
        holder: String,
        /// Its state.
        state: State,
        /// Which of the jobs handed over was to have it, from 0.
        index: usize,
    },
    /// The job cannot run again because its key is in use.
    #[error(
        "job '{job}' cannot run again while job '{holder}', which is {state}, has its unique key '{key}'; wait for that one, or cancel it (`queuectl cancel {holder}`)"
    )]
    KeyHeld {
        /// The job.
        job: String,
        /// Its key.
        key: String,
        /// The job that has it, by the id that users see.
        holder: String,
        /// Its state.
        state: State,
    },
    /// A job names a limit that there is not.
    #[error("there is no limit '{name}'; `queuectl limit:set {name} --running N` makes it")]
    NoSuchLimit {
        /// The limit.
        name: String,
        /// Which of the jobs handed over named it, from 0.
        index: usize,
    },
    /// A job names a limit that counts by key, without a key.
    #[error("limit '{name}' counts by key; name it with one, as in {name}:42")]
    LimitKey {
        /// The limit.
        name: String,
        /// Which of the jobs handed over named it, from 0.
        index: usize,
    },
    /// A limit that cannot be as it was to be set.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A burst without a rate.
    #[error("queue {queue} has no rate that a burst could belong to; set rate=COUNT/TIME, too")]
    QueueBurst {
        /// The queue.
        queue: String,
    },
    /// Over [`LIMITS`].
    #[error(
        "there are {LIMITS} limits already, and no more are allowed; remove one with `queuectl limit:remove`"
    )]
    TooManyLimits,
    /// No such operation.
    #[error("there is no operation {0}; `queuectl op:list` shows those that can be looked up")]
    NoSuchOperation(i64),
    /// An operation cannot go on, or not be undone.
    #[error("operation {id} {problem}")]
    Operation {
        /// The operation.
        id: i64,
        /// Why.
        problem: String,
    },
    /// The job's state does not allow it.
    #[error("job '{job}' {refused}")]
    Refused {
        /// The job.
        job: String,
        /// Its state and the event.
        refused: Refused,
    },
    /// The job is named, and a filter leaves it out.
    #[error("job '{job}' {why}; it was left alone")]
    LeftAlone {
        /// The job.
        job: String,
        /// What it is that the filter does not want.
        why: String,
    },
    /// The job cannot be what an edit would make of it.
    #[error("job '{job}' was not changed: {why}")]
    NotEdited {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// The job waits for something that a start does not pass over.
    #[error("job '{job}' was not started: {why}")]
    NotStarted {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// Jobs of this executor have no processes that a signal could be sent to.
    #[error(
        "job '{job}' was sent no signal: executor {executor} runs jobs without a process; `queuectl cancel {job}` stops it"
    )]
    NoProcesses {
        /// The job.
        job: String,
        /// Its executor.
        executor: String,
    },
    /// A running job cannot be suspended.
    #[error("job '{job}' is not suspended: {why}")]
    NotSuspended {
        /// The job.
        job: String,
        /// Why.
        why: String,
    },
    /// A process reports about a job in whose newest attempt it is not.
    #[error("{what} of job '{job}' was not stored: {why}")]
    StaleReport {
        /// What it reports.
        what: &'static str,
        /// The job.
        job: String,
        /// Why.
        why: &'static str,
    },
    /// A row holds a value that this version cannot read.
    #[error("job {job} has a {what} that this version cannot read; was it written by another version?")]
    Unreadable {
        /// The job's number.
        job: i64,
        /// What could not be read.
        what: &'static str,
    },
}

impl StoreError {
    /// Whether the cause lies in the database's surroundings, so that the same call can succeed later.
    pub fn problem(&self) -> Option<Problem> {
        match self {
            StoreError::Database { problem, .. } => Some(*problem),
            _ => None,
        }
    }

    /// Which of the jobs handed over is to blame, from 0, if one is.
    pub fn index(&self) -> Option<usize> {
        match self {
            StoreError::NameTaken { index, .. }
            | StoreError::KeyTaken { index, .. }
            | StoreError::NoSuchParent { index, .. }
            | StoreError::NoSuchLimit { index, .. }
            | StoreError::GroupClosed { index, .. }
            | StoreError::GroupStopped { index, .. }
            | StoreError::LimitKey { index, .. } => Some(*index),
            _ => None,
        }
    }

    /// Whether the database server is away. It may come back.
    pub fn is_outage(&self) -> bool {
        matches!(self.problem(), Some(Problem::Unreachable | Problem::Overloaded))
    }

    /// Whether two transactions waited for each other and the server ended this one.
    pub(crate) fn is_deadlock(&self) -> bool {
        matches!(self, StoreError::Database { detail, .. } if detail.ends_with("SQLSTATE 40P01"))
    }

    /// Whether a unique index refused it: another transaction was quicker.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, StoreError::Database { detail, .. } if detail.ends_with("SQLSTATE 23505"))
    }

    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> StoreError {
        let path = path.into();
        move |source| StoreError::File { what, path, source }
    }
}

fn bad_server(bad: BadServer) -> &'static str {
    match bad {
        BadServer::Url => {
            "this is not a location on PostgreSQL; give postgres://USER@HOST:PORT/DATABASE, with parameters as libpq has them (special characters as %XX)"
        }
        BadServer::Port => "the port of the location on PostgreSQL is not a number from 1 to 65535",
        BadServer::Home => {
            "the user's data folder is not known, because there is no home folder; set XDG_DATA_HOME"
        }
        BadServer::Schema => {
            "the schema of the location is not usable; a name has up to 48 characters of a-z, 0-9 and _, begins with no digit, and is neither public nor pg_..."
        }
    }
}

/// A server's message may have several lines.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What to do about a job that there is not. A word behind a colon may be meant as how it has to end.
fn about_parent(parent: &str) -> String {
    let list = "`queuectl list` shows the jobs there are";
    match parent.rsplit_once(':') {
        Some((job, word)) if !job.is_empty() && !word.is_empty() => {
            format!("{list}. If '{word}' is how job '{job}' has to end: that is ok, failed or any")
        }
        _ => list.to_owned(),
    }
}
