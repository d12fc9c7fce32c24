//! Stores that go when the test ends, and what to put into them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use queuectl_core::transition::{Standing, transition};
use queuectl_core::{
    Attempt, Event, IndexWriter, JobId, JobSpec, NodeId, Outcome, OutcomeKind, Output, OutputMark,
    OutputStream, State, Timestamp, ValidJob,
};
use queuectl_storage::{Claimed, Location, MaybeBusy, NewNode, OpenMode, Queues, Record, Store};

/// A store in a folder of its own, or in a schema of its own.
pub struct TempStore {
    /// The store.
    pub store: Store,
    /// Where it is.
    pub location: Location,
    _folder: Option<tempfile::TempDir>,
}

/// Schemas of one process are told apart by a number.
static SCHEMAS: AtomicUsize = AtomicUsize::new(0);

/// A location on the PostgreSQL server that tests may use, in a schema of its own. None if there is no
/// server.
pub fn fresh_postgres() -> Option<String> {
    let server = std::env::var("QUEUECTL_TEST_POSTGRES").ok()?;
    let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
    let nanos = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.subsec_nanos());
    let separator = if server.contains('?') { '&' } else { '?' };
    let process = std::process::id();
    Some(format!(
        "{server}{separator}schema=test_{process}_{nanos}_{number}"
    ))
}

impl TempStore {
    /// A new, empty store on SQLite.
    pub fn sqlite() -> TempStore {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let location = Location::Sqlite(folder.path().join("queue.db"));
        let store = Store::open(&location, OpenMode::Create).expect("a new store");
        TempStore {
            store,
            location,
            _folder: Some(folder),
        }
    }

    /// A new, empty store on PostgreSQL. None if there is no server for tests; the caller says that it skips.
    pub fn postgres() -> Option<TempStore> {
        let location: Location = fresh_postgres()?.parse().expect("a location for tests");
        let mut store = Store::open(&location, OpenMode::Create).expect("a new store");
        // On a busy machine any claim takes long; those after it would pass over a job that comes back.
        store.set_long_claims(Duration::from_secs(3600), Duration::ZERO);
        Some(TempStore {
            store,
            location,
            _folder: None,
        })
    }

    /// The file of a store on SQLite.
    pub fn path(&self) -> &Path {
        self.location.file().expect("a file")
    }

    /// Another connection to the same store.
    pub fn another(&self) -> Store {
        Store::open(&self.location, OpenMode::MustExist).expect("a second connection")
    }
}

impl Drop for TempStore {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.location.state_dir());
        if let Location::Postgres(location) = &self.location {
            let _ = queuectl_storage::drop_schema(location);
        }
    }
}

/// A job that runs `line` in a shell.
pub fn job(line: &str) -> ValidJob {
    valid(JobSpec::line(line))
}

/// A job as it is described, checked.
pub fn valid(spec: JobSpec) -> ValidJob {
    spec.validate(Timestamp(0)).expect("a valid job")
}

/// An index of an output, of which the second byte is from standard error.
pub fn some_index() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = IndexWriter::begin(Timestamp(1), &mut bytes);
    for (offset, stream) in [
        (0, OutputStream::Stdout),
        (1, OutputStream::Stderr),
        (2, OutputStream::Stdout),
    ] {
        let at_ms = 1000 * offset;
        writer.add(
            OutputMark {
                offset,
                stream,
                at_ms,
            },
            &mut bytes,
        );
    }
    bytes
}

/// The record of a claimed job to which `event` happened, with an attempt of that kind.
pub fn record(claimed: &Claimed, node: NodeId, event: Event, kind: OutcomeKind, at: Timestamp) -> Record {
    let standing = Standing {
        state: State::Processing,
        attempts: claimed.attempt,
        system_failures: claimed.system_failures,
    };
    let attempt = Attempt {
        job: JobId(claimed.id),
        fence: claimed.fence,
        attempt: claimed.attempt,
        number: 0,
        node,
        worker: 1,
        started_at: at,
        finished_at: at,
        outcome: Outcome::new(
            kind,
            if kind == OutcomeKind::Succeeded {
                ""
            } else {
                "it broke"
            },
        ),
        output: Output {
            head: b"out\xff".to_vec(),
            tail: Vec::new(),
            total_bytes: 4,
            index: some_index(),
        },
    };
    Record {
        job: JobId(claimed.id),
        fence: claimed.fence,
        node,
        change: transition(standing, event).expect("an event for a running job"),
        attempt: Some(attempt),
        busy: MaybeBusy::No,
        is_limited: claimed.limits.is_some(),
    }
}

/// A node as one would enter that serves every queue with one worker process.
pub fn new_node(cookie: impl Into<String>) -> NewNode {
    NewNode {
        cookie: cookie.into(),
        host: "test".into(),
        pid: 1,
        version: "0".into(),
        workers: 1,
        concurrency: 1,
        queues: Queues::All,
    }
}
