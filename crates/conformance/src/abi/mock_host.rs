//! A host that runs nothing: it takes notes of what a plugin asks for and of the rules that the plugin breaks.
//!
//! What becomes of a run, and whether a broken rule matters, is decided by the cases. Contexts are numbers and point at
//! nothing, so a plugin that makes one up is found out instead of crashing the kit.

use std::collections::{HashMap, VecDeque};
use std::ffi::c_void;
use std::mem::offset_of;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use queuectl_plugin_api::abi::{
    Growing, HANDLE_BYTES, MINOR, QC_HOST_ADOPTS, QC_HOST_BUSY, QC_HOST_FINAL, QC_HOST_RECORDS,
    QC_HOST_RETRY_AFTER, QC_HOST_SPAWN_LIMITS, QC_INVALID, QC_OK, qc_error, qc_host_v1, qc_outcome_v1,
    qc_spawn_v1, qc_status, qc_str,
};

/// Which host a plugin is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// One that knows ABI 1.0 only.
    Older,
    /// This queuectl.
    Present,
    /// One that knows more than there is yet.
    Newer,
}

/// What a plugin asked for, in the order in which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// A process for the run.
    Spawn,
    /// The end of the run, with that outcome.
    Finished(u32),
}

/// A rule that the plugin broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breach {
    /// A second report for a run.
    Again,
    /// Output for a run that is over.
    LateOutput,
    /// A report for a run that was never started.
    UnknownRun,
    /// A call for an instance that is destroyed.
    AfterDestroy,
    /// A call of a function that a host of that age does not have.
    Beyond,
    /// A struct without a size that could be right.
    Unreadable,
}

#[derive(Default)]
struct Run {
    spawned: bool,
    over: bool,
}

#[derive(Default)]
struct Notes {
    runs: HashMap<u64, Run>,
    events: VecDeque<(u64, Event)>,
    breaches: Vec<(Breach, String)>,
    destroyed: bool,
}

/// The host of one instance.
#[derive(Default)]
pub(super) struct MockHost {
    number: usize,
    notes: Mutex<Notes>,
    changed: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Notes are never left half taken.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call with a context that no instance was given.
static STRAY: Mutex<Option<String>> = Mutex::new(None);

/// What the plugin called with a context that it was never given, if it did.
pub(super) fn stray() -> Option<String> {
    lock(&STRAY).clone()
}

/// Every host that there is; its number less one is its place.
static HOSTS: Mutex<Vec<Arc<MockHost>>> = Mutex::new(Vec::new());

fn host(number: usize) -> Option<Arc<MockHost>> {
    lock(&HOSTS).get(number.checked_sub(1)?).cloned()
}

impl MockHost {
    /// A host that no instance has yet.
    pub(super) fn new() -> Arc<MockHost> {
        let mut hosts = lock(&HOSTS);
        let mock_host = Arc::new(MockHost {
            number: hosts.len() + 1,
            ..MockHost::default()
        });
        hosts.push(Arc::clone(&mock_host));
        mock_host
    }

    /// What the plugin has to pass back.
    pub(super) fn context(&self) -> *mut c_void {
        std::ptr::without_provenance_mut(self.number)
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        lock(&self.notes)
    }

    fn breach(&self, breach: Breach, text: String) {
        self.notes().breaches.push((breach, text));
        self.changed.notify_all();
    }

    /// A run begins.
    pub(super) fn begin(&self, run: u64) {
        self.notes().runs.insert(run, Run::default());
    }

    /// The host ended the run by itself, or its start failed.
    pub(super) fn end(&self, run: u64) {
        if let Some(run) = self.notes().runs.get_mut(&run) {
            run.over = true;
        }
    }

    /// Whether the end of the run was reported, or its process ended for the host.
    pub(super) fn is_over(&self, run: u64) -> bool {
        self.notes().runs.get(&run).is_some_and(|run| run.over)
    }

    /// The instance is destroyed.
    pub(super) fn destroyed(&self) {
        self.notes().destroyed = true;
    }

    /// The next thing that the plugin asks for, if it comes in time.
    pub(super) fn next(&self, deadline: Instant) -> Option<(u64, Event)> {
        let mut notes = self.notes();
        loop {
            if let Some(event) = notes.events.pop_front() {
                return Some(event);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            let waited = self.changed.wait_timeout(notes, left);
            notes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The first breach of that kind, if there is one or it comes within `quiet`.
    pub(super) fn breach_within(&self, breach: Breach, quiet: Duration) -> Option<String> {
        let found = |notes: &Notes| {
            let mut breaches = notes.breaches.iter();
            breaches
                .find(|(kind, _)| *kind == breach)
                .map(|(_, text)| text.clone())
        };
        let waiting = |notes: &mut Notes| found(notes).is_none();
        let waited = self.changed.wait_timeout_while(self.notes(), quiet, waiting);
        found(&waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    /// Takes note of a call for a run. Says whether the run is there and not over.
    fn called(&self, run: u64, what: &str, then: impl FnOnce(&mut Notes)) -> bool {
        let mut notes = self.notes();
        let state = notes.runs.get(&run).map(|run| run.over);
        let late = if what == "output" {
            Breach::LateOutput
        } else {
            Breach::Again
        };
        let breach = match state {
            _ if notes.destroyed => Some((
                Breach::AfterDestroy,
                format!("it called {what} after destroy had returned"),
            )),
            None => Some((
                Breach::UnknownRun,
                format!("it called {what} for the run {run}, which does not exist"),
            )),
            Some(true) => Some((late, format!("it called {what} for a run that was over"))),
            Some(false) => None,
        };
        let good = breach.is_none();
        match breach {
            None => then(&mut notes),
            Some(breach) => notes.breaches.push(breach),
        }
        drop(notes);
        self.changed.notify_all();
        good
    }
}

/// A host newer than this header: larger, with things in it that no plugin knows yet.
#[repr(C)]
struct NewerHost {
    known: qc_host_v1,
    unknown: [u64; 8],
}

const PRESENT: qc_host_v1 = qc_host_v1 {
    size: size_of::<qc_host_v1>() as u32,
    minor: MINOR,
    log: Some(log),
    output: Some(output),
    spawn: Some(spawn),
    finished: Some(finished),
    features: QC_HOST_ADOPTS
        | QC_HOST_RECORDS
        | QC_HOST_RETRY_AFTER
        | QC_HOST_SPAWN_LIMITS
        | QC_HOST_FINAL
        | QC_HOST_BUSY,
    event: Some(event),
    save_handle: Some(save_handle),
};

static PRESENT_HOST: qc_host_v1 = PRESENT;

/// Beyond its size there are traps.
static OLDER_HOST: qc_host_v1 = qc_host_v1 {
    size: offset_of!(qc_host_v1, features) as u32,
    minor: 0,
    features: u64::MAX,
    event: Some(event_of_older),
    save_handle: Some(save_handle_of_older),
    ..PRESENT
};

static NEWER_HOST: NewerHost = NewerHost {
    known: qc_host_v1 {
        size: size_of::<NewerHost>() as u32,
        minor: 999,
        features: u64::MAX,
        ..PRESENT
    },
    unknown: [0xAAAA_AAAA_AAAA_AAAA; 8],
};

/// The functions of a host of that age.
pub(super) fn functions(age: Age) -> *const qc_host_v1 {
    match age {
        Age::Older => &raw const OLDER_HOST,
        Age::Present => &raw const PRESENT_HOST,
        Age::Newer => (&raw const NEWER_HOST).cast(),
    }
}

/// The host that a context stands for.
fn of_context(ctx: *mut c_void) -> Option<Arc<MockHost>> {
    let mock_host = host(ctx.addr());
    if mock_host.is_none() {
        *lock(&STRAY) = Some(format!(
            "it called the host with the context {ctx:p}, which it was never given"
        ));
    }
    mock_host
}

unsafe extern "C" fn log(ctx: *mut c_void, _level: u32, _text: qc_str) {
    if let Some(mock_host) = of_context(ctx)
        && mock_host.notes().destroyed
    {
        mock_host.breach(
            Breach::AfterDestroy,
            "it called log after destroy had returned".to_owned(),
        );
    }
}

unsafe extern "C" fn output(ctx: *mut c_void, run: u64, _stream: u32, _bytes: qc_str) {
    if let Some(mock_host) = of_context(ctx) {
        mock_host.called(run, "output", |_| ());
    }
}

unsafe extern "C" fn event(ctx: *mut c_void, _run: u64, _name: qc_str, _detail: qc_str) {
    if let Some(mock_host) = of_context(ctx)
        && mock_host.notes().destroyed
    {
        mock_host.breach(
            Breach::AfterDestroy,
            "it called event after destroy had returned".to_owned(),
        );
    }
}

unsafe extern "C" fn save_handle(ctx: *mut c_void, run: u64, handle: qc_str) -> qc_status {
    // SAFETY: the bytes are as the header has the plugin pass them.
    let (Some(mock_host), Some(bytes)) = (of_context(ctx), unsafe { handle.bytes() }) else {
        return QC_INVALID;
    };
    let runs = mock_host.notes().runs.get(&run).is_some_and(|run| !run.over);
    if runs && bytes.len() <= HANDLE_BYTES {
        QC_OK
    } else {
        QC_INVALID
    }
}

unsafe extern "C" fn spawn(
    ctx: *mut c_void,
    run: u64,
    spawn: *const qc_spawn_v1,
    _error: *mut qc_error,
) -> qc_status {
    let Some(mock_host) = of_context(ctx) else {
        return QC_INVALID;
    };
    // SAFETY: NULL, or a description that states its size.
    match unsafe { qc_spawn_v1::read(spawn) } {
        Some(spawn) if spawn.argv_len > 0 && !spawn.argv.is_null() => {}
        Some(_) => return QC_INVALID,
        None => {
            mock_host.breach(
                Breach::Unreadable,
                "the process description has no size that fits".into(),
            );
            return QC_INVALID;
        }
    }
    let mut first = false;
    mock_host.called(run, "spawn", |notes| {
        if let Some(known) = notes.runs.get_mut(&run) {
            first = !std::mem::replace(&mut known.spawned, true);
        }
        if first {
            notes.events.push_back((run, Event::Spawn));
        }
    });
    if first { QC_OK } else { QC_INVALID }
}

unsafe extern "C" fn finished(ctx: *mut c_void, run: u64, outcome: *const qc_outcome_v1) {
    let Some(mock_host) = of_context(ctx) else { return };
    // SAFETY: NULL, or an outcome that states its size.
    let kind = unsafe { qc_outcome_v1::read(outcome) }.map(|outcome| outcome.kind);
    if kind.is_none() {
        mock_host.breach(
            Breach::Unreadable,
            "the outcome is NULL or has no size that fits".to_owned(),
        );
    }
    mock_host.called(run, "finished", |notes| {
        if let Some(known) = notes.runs.get_mut(&run) {
            known.over = true;
        }
        notes
            .events
            .push_back((run, Event::Finished(kind.unwrap_or_default())));
    });
}

fn beyond(ctx: *mut c_void, what: &str) {
    if let Some(mock_host) = of_context(ctx) {
        mock_host.breach(
            Breach::Beyond,
            format!("it called {what}, which is beyond the size of a 1.0 host"),
        );
    }
}

unsafe extern "C" fn event_of_older(ctx: *mut c_void, _run: u64, _name: qc_str, _detail: qc_str) {
    beyond(ctx, "event");
}

unsafe extern "C" fn save_handle_of_older(ctx: *mut c_void, _run: u64, _handle: qc_str) -> qc_status {
    beyond(ctx, "save_handle");
    QC_INVALID
}
