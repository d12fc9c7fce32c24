//! The plugin's side of the boundary: C functions that catch panics and call an [`Executor`].
//!
//! [`export_executor!`](crate::export_executor) instantiates these for one type; nothing else should call them. They
//! trust the host's pointers as far as the header promises and check what can be checked.

use std::any::Any;
use std::ffi::c_void;
use std::mem::offset_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::abi::{
    MINOR, QC_INVALID, QC_OK, QC_STOP_KILL, QC_SYSTEM_FAILURE, QC_UNHANDLED, qc_error, qc_exit_v1,
    qc_host_v1, qc_plugin_v1, qc_run_v1, qc_status, qc_str,
};
use crate::run::{FORGOTTEN, Request, Tracker};
use crate::{Executor, Exit, Handled, Host, Level, Outcome, Run, RunHandle, StartError, StopMode};

/// What an instance pointer points to.
struct Instance<T> {
    executor: T,
    host: Host,
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
        let settings = unsafe { text(settings) };
        let executor = T::create(host.clone(), &settings).map_err(|error| error.to_string())?;
        Ok(Box::new(Instance { executor, host }))
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
    // A panic while dropping has nobody left to be told.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(instance)));
}

/// Makes the plugin's view of a run.
///
/// # Safety
/// `run` is NULL or as the header describes it.
unsafe fn read_run(run: *const qc_run_v1, host: &Host, tracker: Tracker) -> Result<Run, StartError> {
    // SAFETY: the caller vouches for it.
    let known = !run.is_null() && unsafe { (*run).size } as usize >= size_of::<qc_run_v1>();
    if !known {
        return Err(StartError::System(
            "the host passed no run that this plugin understands".to_owned(),
        ));
    }
    // SAFETY: the size was checked, and the host keeps the struct valid for this call.
    let run = unsafe { &*run };
    // SAFETY: the request is valid for this call.
    let request = unsafe { run.request.bytes() }.unwrap_or_default();
    let request: Request = serde_json::from_slice(request)
        .map_err(|error| StartError::Invalid(format!("the job's payload cannot be read: {error}")))?;
    let handle = RunHandle::new(host.clone(), run.run);
    let mut made = Run::new(handle, tracker, request);
    // SAFETY: both texts are valid for this call.
    (made.job_id, made.queue) = unsafe { (text(run.job_id), text(run.queue)) };
    made.job_number = run.job_number;
    made.attempt = run.attempt;
    made.fence = run.fence;
    made.timeout_ms = run.timeout_ms;
    Ok(made)
}

unsafe extern "C" fn start<T: Executor>(
    instance: *mut c_void,
    run: *const qc_run_v1,
    error: *mut qc_error,
) -> qc_status {
    // SAFETY: the pointer came from `create::<T>` and is not destroyed while runs are started.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    let tracker = Tracker::new();
    let result = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `run` is as the header describes it.
        let run = unsafe { read_run(run, &instance.host, tracker.clone()) }?;
        instance.executor.start(run)
    }))
    .unwrap_or_else(|panic| Err(StartError::System(panic_text(&*panic))));
    let result = match result {
        Ok(()) if tracker.started() => Err(StartError::System(FORGOTTEN.to_owned())),
        other => other,
    };
    let Err(problem) = result else { return QC_OK };
    tracker.start_failed();
    // SAFETY: the buffer is the host's, as the header describes it.
    unsafe { write_error(error, &problem.to_string()) }
    match problem {
        StartError::Invalid(_) => QC_INVALID,
        StartError::System(_) => QC_SYSTEM_FAILURE,
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
    let needed = offset_of!(qc_exit_v1, message) + size_of::<qc_str>();
    // SAFETY: the host passes an exit that states its size and is valid for this call.
    if exit.is_null() || unsafe { (*exit).size as usize } < needed {
        return QC_UNHANDLED;
    }
    // SAFETY: the pointer came from `create::<T>` and is not destroyed while it has runs.
    let instance = unsafe { &*instance.cast::<Instance<T>>() };
    handled(instance, run, |executor, handle| {
        // SAFETY: checked above.
        let exit = unsafe { Exit::from_abi(&*exit) };
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
