//! Stores that go when the test ends, and what to put into them.

use queuectl_core::transition::{Standing, transition};
use queuectl_core::{
    Attempt, Command, Event, JobId, NewJob, NodeId, Outcome, OutcomeKind, Output, Payload, State, Timestamp,
};
use queuectl_storage::{Claimed, Location, OpenMode, Record, Store};

/// A store in a folder of its own.
pub struct TempStore {
    /// The store.
    pub store: Store,
    /// Where it is.
    pub location: Location,
    _folder: tempfile::TempDir,
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
            _folder: folder,
        }
    }

    /// Another connection to the same store.
    pub fn another(&self) -> Store {
        Store::open(&self.location, OpenMode::MustExist).expect("a second connection")
    }
}

/// A job that runs `line` in a shell.
pub fn job(line: &str) -> NewJob {
    let payload = Payload {
        command: Some(Command::Line(line.to_owned())),
        ..Payload::default()
    };
    NewJob {
        payload,
        ..NewJob::default()
    }
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
        },
    };
    Record {
        job: JobId(claimed.id),
        fence: claimed.fence,
        node,
        change: transition(standing, event).expect("an event for a running job"),
        attempt: Some(attempt),
    }
}
