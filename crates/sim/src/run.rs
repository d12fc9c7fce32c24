//! One run: a plan, on a store of its own, and what the checker says of it.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use queuectl_core::settings::Key;
use queuectl_storage::sim::{self as store_sim, Guard, InMemory};
use queuectl_storage::{Location, OpenMode, Store};
use queuectl_testkit::TempStore;
use queuectl_testkit::history::Violation;

use crate::cluster::Cluster;
use crate::plan::Plan;

/// Most rounds until everything must have ended; a round is a second, if nothing happens.
const DRAIN: usize = 900;

/// Where the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file in memory.
    Sqlite,
    /// A schema of the server for tests.
    Postgres,
}

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Steps that were done.
    pub steps: u64,
    /// Broken promises.
    pub violations: Vec<Violation>,
    /// The simulation itself broke off, or the store's own books were wrong.
    pub broken: Option<String>,
}

impl Report {
    /// Whether anything was found.
    pub fn failed(&self) -> bool {
        self.broken.is_some() || !self.violations.is_empty()
    }
}

/// Runs a plan, with a guard of the queue switched off or none. None if there is no server for the backend.
pub fn run(plan: &Plan, backend: Backend, off: Option<Guard>) -> Option<Report> {
    let store = RunStore::fresh(backend, plan.mechanisms.any())?;
    let mut report = Report::default();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        store_sim::disable(off);
        let mut client = Store::open(&store.location, OpenMode::MustExist).expect("the store opens");
        switch_off(&mut client, off);
        let mut cluster = Cluster::new(store.location.clone(), client, plan);
        for action in &plan.actions {
            report.steps += u64::from(cluster.act(*action));
        }
        cluster.heal();
        report.steps += cluster.drain(DRAIN);
        report.violations = cluster.check(true);
        if !cluster.store_is_sound() {
            report.broken = Some("the store's own check finds faults".to_owned());
        }
    }));
    store_sim::disable(None);
    // A run that broke off leaves its faults behind, and the next one makes its store before it starts.
    store_sim::set_disk_full(false);
    store_sim::plan_fault(None);
    if let Err(panic) = caught {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        report.broken = Some(text.unwrap_or_else(|| "it panicked".to_owned()));
    }
    drop(store);
    if off.is_some() || report.failed() {
        RunStore::spoiled();
    }
    Some(report)
}

/// Switches off what is in the store itself.
fn switch_off(store: &mut Store, off: Option<Guard>) {
    let done = match off {
        Some(Guard::Keys) => store_sim::share_keys(store),
        Some(Guard::Ledger) => store_sim::forget_operators(store),
        _ => return,
    };
    done.expect("the store changes");
}

/// A store for one run.
struct RunStore {
    location: Location,
    _server: Option<TempStore>,
}

thread_local! {
    /// Without the ledger of events, and with it.
    static TEMPLATES: RefCell<[Option<Template>; 2]> = const { RefCell::new([None, None]) };
}

/// A store in memory that each run finds empty.
struct Template {
    memory: InMemory,
    file: PathBuf,
    // Goes last.
    _folder: tempfile::TempDir,
}

impl RunStore {
    fn fresh(backend: Backend, ledger: bool) -> Option<RunStore> {
        if backend == Backend::Postgres {
            let mut store = TempStore::postgres()?;
            configure(&mut store.store, ledger);
            store_sim::own_server_clock(&mut store.store).expect("the server gets a clock of ours");
            return Some(RunStore {
                location: store.location.clone(),
                _server: Some(store),
            });
        }
        TEMPLATES.with_borrow_mut(|templates| {
            let template = templates[usize::from(ledger)].get_or_insert_with(|| Template::make(ledger));
            let _ = std::fs::remove_dir_all(template.file.with_extension("db.d"));
            template.memory.begin().expect("the store is emptied");
            Some(RunStore {
                location: Location::Sqlite(template.file.clone()),
                _server: None,
            })
        })
    }

    /// Has the next run not find what a run may have left in the schema, or in a connection.
    fn spoiled() {
        TEMPLATES.with_borrow_mut(|templates| *templates = [None, None]);
    }
}

impl Template {
    fn make(ledger: bool) -> Template {
        // In memory where that is to be had: what a disk does is not what is tried here.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() {
            tempfile::tempdir_in(memory)
        } else {
            tempfile::tempdir()
        }
        .expect("a temporary folder");
        let file = folder.path().join("queue.db");
        let mut store =
            Store::open(&Location::Sqlite(file.clone()), OpenMode::Create).expect("an empty store");
        configure(&mut store, ledger);
        store_sim::empty_log(&mut store).expect("the empty store is one file");
        drop(store);
        // The file stays for what looks at it from outside.
        let memory = InMemory::copy(&file).expect("the store is read into memory");
        Template {
            memory,
            file,
            _folder: folder,
        }
    }
}

/// Chooses settings: a lease that is soon over, and nothing is removed, for the checker wants to see it. The ledger of events
/// is kept where the plan uses what only the ledger can tell.
fn configure(store: &mut Store, ledger: bool) {
    for (name, value) in [
        ("event_retention", if ledger { "1000d" } else { "0" }),
        ("lease", "6s"),
        ("retention", "none"),
        ("shutdown_grace", "3s"),
        ("backoff_base", "1"),
    ] {
        let key = Key::find(name).expect("a setting");
        store
            .set_setting(key, value)
            .expect("the store is writable")
            .expect("a value");
    }
}
