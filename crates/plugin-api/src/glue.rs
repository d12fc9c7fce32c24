//! The plugin's side of the boundary: C functions that catch panics and call an [`Executor`].
//!
//! [`export_executor!`](crate::export_executor) instantiates these for one type; nothing else should call them. They
//! trust the host's pointers as far as the header promises and check what can be checked.

use std::any::Any;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::abi::{
    Growing, MINOR, QC_INVALID, QC_OK, QC_STOP_KILL, QC_SYSTEM_FAILURE, QC_UNHANDLED, qc_error, qc_exit_v1,
    qc_host_v1, qc_plugin_v1, qc_run_v1, qc_status, qc_str, slice,
};
use crate::run::{FORGOTTEN, Tracker};
use crate::{
    Error, Executor, Exit, Handled, Host, Level, Outcome, Request, Run, RunHandle, Settings, StartError,
    StopMode,
};

/// What an instance pointer points to.
struct Instance<T> {
    executor: T,
    host: Host,
    /// What `stats` filled in last.
    stats: Mutex<String>,
}

/// The vtable for `T`.
pub const fn vtable<T: Executor>(describe: unsafe extern "C" fn(*mut qc_str)) -> qc_plugin_v1 {
    qc_plugin_v1 {
        size: size_of::<qc_plugin_v1>() as u32,
        minor: MINOR,
        describe: Some(describe),
        create: Some(create::<T>),
        destroy: Some(destroy::<T>),
        start: Some(start::<T>),
        exited: Some(exited::<T>),
        stop: Some(stop::<T>),
        features: 0,
        fingerprint: Some(fingerprint::<T>),
        validate: Some(validate::<T>),
        signal: Some(signal::<T>),
        reattach: if T::KEEPS { Some(reattach::<T>) } else { None },
        recorded: if T::KEEPS { Some(recorded::<T>) } else { None },
        reap: if T::KEEPS { Some(reap::<T>) } else { None },
        stats: Some(stats::<T>),
        shutdown: Some(shutdown::<T>),
        discard: if T::KEEPS { Some(discard::<T>) } else { None },
    }
}

/// Fills in the description of `T`, made once and kept in `text`.
///
/// # Safety
/// `out` is NULL or may be written.
pub unsafe fn describe<T: Executor>(text: &'static OnceLock<String>, out: *mut qc_str) {
    let text = text.get_or_init(|| serde_json::to_string(&T::DESCRIPTION).unwrap_or_default());
    if !out.is_null() {
        // SAFETY: not NULL, and the caller vouches for the rest.
        unsafe { *out = qc_str::new(text.as_bytes()) }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str));
    format!("the executor plugin panicked: {}", text.unwrap_or("no message"))
}

/// Writes `text` into the host's buffer, cut at a character boundary.
///
/// # Safety
/// `error` is NULL or points to a buffer as the header describes it.
unsafe fn write_error(error: *mut qc_error, text: &str) {
    // SAFETY: the caller vouches for the struct behind the pointer.
    let Some(error) = (unsafe { error.as_mut() }) else {
        return;
    };
    if error.ptr.is_null() {
        return;
    }
    let len = text.floor_char_boundary(error.cap);
    // SAFETY: the buffer has room for `cap` bytes, `len` is no more than that, and it is not part of `text`.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), error.ptr, len) }
    error.len = len;
}

/// Reads text that the host passed.
///
/// # Safety
/// As for [`qc_str::bytes`].
unsafe fn text(value: qc_str) -> String {
    // SAFETY: the caller vouches for the bytes.
    String::from_utf8_lossy(unsafe { value.bytes() }.unwrap_or_default()).into_owned()
}

unsafe extern "C" fn create<T: Executor>(
    vtable: *const qc_host_v1,
    ctx: *mut c_void,
    settings: qc_str,
    out: *mut *mut c_void,
    error: *mut qc_error,
) -> qc_status {
    let made = catch_unwind(AssertUnwindSafe(|| {
        if vtable.is_null() || out.is_null() {
            return Err("the host passed NULL".to_owned());
        }
        // SAFETY: the header promises that both stay valid until `destroy`.
        let host = unsafe { Host::new(vtable, ctx) };
        // SAFETY: the settings are valid for this call.
        let settings = Settings::from_json(&unsafe { text(settings) }).map_err(|error| error.to_string())?;
        let executor = T::create(host.clone(), &settings).map_err(|error| error.to_string())?;
        let stats = Mutex::default();
        Ok(Box::new(Instance {
            executor,
            host,
            stats,
        }))
    }))
    .unwrap_or_else(|panic| Err(panic_text(&*panic)));
    match made {
        Ok(instance) => {
            // SAFETY: checked not to be NULL above, and the host lets us write there.
            unsafe { *out = Box::into_raw(instance).cast() }
            QC_OK
        }
        Err(message) => {
            // SAFETY: the buffer is the host's, as the header describes it.
            unsafe { write_error(error, &message) }
            QC_SYSTEM_FAILURE
        }
    }
}

unsafe extern "C" fn destroy<T: Executor>(instance: *mut c_void) {
    if instance.is_null() {
        return;
    }
    // SAFETY: the pointer came from `create::<T>`, and the host calls this once, after all other calls.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<T>>()) };
    // A panic while dropping cannot be reported to anyone.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
}

/// Makes the plugin's view of a run.
///
/// # Safety
/// `run` is NULL or as the header describes it.
unsafe fn read_run(run: *const qc_run_v1, host: &Host, tracker: Tracker) -> Result<Run, StartError> {
    // SAFETY: the caller vouches for it.
    let Some(run) = (unsafe { qc_run_v1::read(run) }) else {
        return Err(StartError::System(
            "the host passed no run that this plugin understands".to_owned(),
        ));
    };
    // SAFETY: the request is valid for this call.
    let request = unsafe { run.request.bytes() }.unwrap_or_default();
    let request = read_request(request).map_err(StartError::Invalid)?;
    let handle = RunHandle::new(host.clone(), run.run);
    let mut made = Run::new(handle, tracker, request);
    // SAFETY: the texts are valid for this call.
    (made.job_id, made.queue, made.mark) = unsafe { (text(run.job_id), text(run.queue), text(run.mark)) };
    made.job_number = run.job_number;
    made.attempt = run.attempt;
    made.fence = run.fence;
    made.timeout_ms = run.timeout_ms;
    Ok(made)
}

fn read_request(bytes: &[u8]) -> Result<Request, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("the job's payload cannot be read: {error}"))
}

/// Begins a run by `begin`, which is the executor's `start` or `reattach`.
///
/// # Safety
/// All pointers are as the header describes them.
unsafe fn begin_run<T: Executor>(
    instance: *mut c_void,
    run: *const qc_run_v1,
    error: *mut qc_error,
    begin: impl FnOnce(&T, Run) -> Result<(), StartError>,
) -> qc_status {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed while runs are started.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    // SAFETY: `run` is as the header describes it.
    let id = unsafe { qc_run_v1::read(run) }.map(|run| run.run);
    let tracker = Tracker::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `run` is as the header describes it.
        let run = unsafe { read_run(run, &instance.host, tracker.clone()) }?;
        begin(&instance.executor, run)
    }))
    .unwrap_or_else(|panic| Err(StartError::System(panic_text(&*panic))));
    let result = match result {
        Ok(()) if tracker.started() => Err(StartError::System(FORGOTTEN.to_owned())),
        other => other,
    };
    let Err(problem) = result else { return QC_OK };
    tracker.start_failed();
    if let (StartError::Final(text), Some(id)) = (&problem, id) {
        RunHandle::new(instance.host.clone(), id).finish(Outcome::failed_for_good(text));
        return QC_OK;
    }
    // SAFETY: the buffer is the host's, as the header describes it.
    unsafe { write_error(error, &problem.to_string()) }
    match problem {
        StartError::Invalid(_) | StartError::Final(_) => QC_INVALID,
        StartError::System(_) => QC_SYSTEM_FAILURE,
    }
}

unsafe extern "C" fn start<T: Executor>(
    instance: *mut c_void,
    run: *const qc_run_v1,
    error: *mut qc_error,
) -> qc_status {
    // SAFETY: the host passes everything as the header describes it.
    unsafe { begin_run(instance, run, error, T::start) }
}

unsafe extern "C" fn reattach<T: Executor>(
    instance: *mut c_void,
    run: *const qc_run_v1,
    handle: qc_str,
    error: *mut qc_error,
) -> qc_status {
    // SAFETY: the handle is valid for this call.
    let handle = unsafe { handle.bytes() }.unwrap_or_default();
    // SAFETY: the host passes everything as the header describes it.
    unsafe {
        begin_run(instance, run, error, |executor: &T, run| {
            executor.reattach(run, handle)
        })
    }
}

/// Calls `f`; a panic ends the run as a system failure.
fn handled<T>(instance: &Instance<T>, run: u64, f: impl FnOnce(&T, RunHandle) -> Handled) -> qc_status {
    let handle = RunHandle::new(instance.host.clone(), run);
    match catch_unwind(AssertUnwindSafe(|| f(&instance.executor, handle.clone()))) {
        Ok(Handled::ByPlugin) => QC_OK,
        Ok(Handled::ByHost) => QC_UNHANDLED,
        Err(panic) => {
            let text = panic_text(&*panic);
            instance.host.log(Level::Error, &text);
            handle.finish(Outcome::system_failure(text));
            QC_SYSTEM_FAILURE
        }
    }
}

unsafe extern "C" fn exited<T: Executor>(
    instance: *mut c_void,
    run: u64,
    exit: *const qc_exit_v1,
) -> qc_status {
    // SAFETY: the host passes an exit that states its size and is valid for this call.
    let Some(exit) = (unsafe { qc_exit_v1::read(exit) }) else {
        return QC_UNHANDLED;
    };
    // SAFETY: the pointer came from `create::<T>` and is not destroyed while it has runs.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    handled(instance, run, |executor, handle| {
        // SAFETY: what it points to is valid for this call.
        let exit = unsafe { Exit::from_abi(&exit) };
        executor.exited(handle, exit)
    })
}

unsafe extern "C" fn stop<T: Executor>(instance: *mut c_void, run: u64, mode: u32) -> qc_status {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed while it has runs.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    let mode = if mode == QC_STOP_KILL {
        StopMode::Kill
    } else {
        StopMode::Graceful
    };
    handled(instance, run, |executor, handle| executor.stop(handle, mode))
}

unsafe extern "C" fn signal<T: Executor>(instance: *mut c_void, run: u64, signal: i32) -> qc_status {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed while it has runs.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    handled(instance, run, |executor, handle| executor.signal(handle, signal))
}

/// Calls `f`; an error and a panic are the given status, with their text.
///
/// # Safety
/// `error` is NULL or points to a buffer as the header describes it.
unsafe fn answered(error: *mut qc_error, bad: qc_status, f: impl FnOnce() -> Result<(), Error>) -> qc_status {
    let (status, text) = match catch_unwind(AssertUnwindSafe(f)) {
        Ok(Ok(())) => return QC_OK,
        Ok(Err(problem)) => (bad, problem.to_string()),
        Err(panic) => (QC_SYSTEM_FAILURE, panic_text(&*panic)),
    };
    // SAFETY: the caller vouches for the buffer.
    unsafe { write_error(error, &text) }
    status
}

unsafe extern "C" fn fingerprint<T: Executor>(instance: *mut c_void, error: *mut qc_error) -> qc_status {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    // SAFETY: the buffer is the host's, as the header describes it.
    unsafe { answered(error, QC_SYSTEM_FAILURE, || instance.executor.fingerprint()) }
}

unsafe extern "C" fn validate<T: Executor>(
    instance: *mut c_void,
    request: qc_str,
    error: *mut qc_error,
) -> qc_status {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    // SAFETY: the request is valid for this call.
    let request = unsafe { request.bytes() }.unwrap_or_default();
    let check = || {
        let request = read_request(request).map_err(Error::new)?;
        instance.executor.validate(&request)
    };
    // SAFETY: the buffer is the host's, as the header describes it.
    unsafe { answered(error, QC_INVALID, check) }
}

/// Calls `f`, which has no way to fail; a panic goes to the log.
fn quiet<T>(instance: &Instance<T>, f: impl FnOnce(&T)) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(&instance.executor))) {
        instance.host.log(Level::Error, &panic_text(&*panic));
    }
}

unsafe extern "C" fn recorded<T: Executor>(instance: *mut c_void, run: u64) {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    quiet(instance, |executor| {
        executor.recorded(RunHandle::new(instance.host.clone(), run))
    });
}

unsafe extern "C" fn discard<T: Executor>(instance: *mut c_void, handle: qc_str) {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    // SAFETY: the handle is valid for this call.
    let handle = unsafe { handle.bytes() }.unwrap_or_default();
    quiet(instance, |executor| executor.discard(handle));
}

unsafe extern "C" fn reap<T: Executor>(
    instance: *mut c_void,
    store: qc_str,
    alive: *const qc_str,
    alive_len: usize,
) {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    // SAFETY: the texts and their array are valid for this call.
    let (store, alive) = unsafe {
        let alive = slice(alive, alive_len).unwrap_or_default();
        (
            text(store),
            alive.iter().map(|mark| text(*mark)).collect::<Vec<_>>(),
        )
    };
    quiet(instance, |executor| executor.reap(&store, &alive));
}

unsafe extern "C" fn stats<T: Executor>(instance: *mut c_void, out: *mut qc_str) {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    let mut kept = instance.stats.lock().unwrap_or_else(PoisonError::into_inner);
    quiet(instance, |executor| {
        *kept = serde_json::to_string(&executor.stats()).unwrap_or_default();
    });
    if !out.is_null() {
        // SAFETY: not NULL, and the host lets us write there. The text stays until the next call.
        unsafe { *out = qc_str::new(kept.as_bytes()) }
    }
}

unsafe extern "C" fn shutdown<T: Executor>(instance: *mut c_void) {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed during this call.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    quiet(instance, T::shutdown);
}

/// Exports an [`Executor`](crate::Executor) as this library's plugin. Once per `cdylib`.
#[macro_export]
macro_rules! export_executor {
    ($type:ty) => {
        const _: () = {
            static TEXT: ::std::sync::OnceLock<::std::string::String> = ::std::sync::OnceLock::new();

            unsafe extern "C" fn describe(out: *mut $crate::abi::qc_str) {
                // SAFETY: the host passes a place that may be written, as the header says.
                unsafe { $crate::glue::describe::<$type>(&TEXT, out) }
            }

            static VTABLE: $crate::abi::qc_plugin_v1 = $crate::glue::vtable::<$type>(describe);

            #[unsafe(no_mangle)]
            extern "C" fn queuectl_plugin_magic() -> u64 {
                $crate::abi::MAGIC
            }

            #[unsafe(no_mangle)]
            extern "C" fn queuectl_plugin_v1(_host_minor: u32) -> *const $crate::abi::qc_plugin_v1 {
                &VTABLE
            }
        };
    };
}
