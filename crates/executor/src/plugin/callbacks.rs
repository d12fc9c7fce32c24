//! The host's functions, as plugins call them: from any thread, at any time.
//!
//! They copy what they are given and pass it to the supervisor; only output is taken in at once. They distrust
//! everything but the pointers that the header makes the plugin's duty.

use std::ffi::c_void;
use std::sync::Arc;
use std::time::Duration;

use queuectl_core::{Advice, Outcome, OutcomeKind, OutputStream};
use queuectl_plugin_api::abi::{
    Growing, MINOR, QC_FAILED, QC_HAS_EXIT_CODE, QC_HAS_RETRY_AFTER, QC_HAS_SIGNAL, QC_HOST_ADOPTS,
    QC_HOST_BUSY, QC_HOST_FINAL, QC_HOST_RECORDS, QC_HOST_RETRY_AFTER, QC_HOST_SPAWN_LIMITS, QC_INVALID,
    QC_IS_BUSY, QC_IS_FINAL, QC_LOG_ERROR, QC_LOG_INFO, QC_LOG_WARN, QC_OK, QC_SPAWN_CLEAN_ENV,
    QC_SPAWN_FILE, QC_SPAWN_MEMORY, QC_SPAWN_NICE, QC_SPAWN_PIDS, QC_SPAWN_RAW_LAST, QC_SPAWN_RLIMITS,
    QC_SPAWN_UMASK, QC_SPAWN_USER, QC_STDERR, QC_SUCCEEDED, qc_error, qc_host_v1, qc_outcome_v1, qc_pair,
    qc_spawn_v1, qc_status, qc_str, slice,
};

use crate::limits::{Limits, Rlimit};
use crate::outcome::clip;
use crate::shared::Shared;
use crate::spawn::SpawnRequest;

/// What the context pointer points to: which plugin calls, and whom to tell.
pub(crate) struct Context {
    plugin: String,
    shared: Arc<Shared>,
}

impl Context {
    pub(crate) fn new(plugin: &str, shared: Arc<Shared>) -> Self {
        Context {
            plugin: plugin.to_owned(),
            shared,
        }
    }
}

/// The vtable that every plugin gets.
pub(crate) static VTABLE: qc_host_v1 = qc_host_v1 {
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

/// The context behind the pointer, or none for NULL.
///
/// # Safety
/// `ctx` is NULL or what the plugin was given in `create`.
unsafe fn context<'a>(ctx: *mut c_void) -> Option<&'a Context> {
    // SAFETY: contexts are never freed, and the caller vouches for the pointer.
    unsafe { ctx.cast::<Context>().as_ref() }
}

/// A copy of text that a plugin passed, for logs and messages.
///
/// # Safety
/// As for [`qc_str::bytes`].
unsafe fn lossy(text: qc_str) -> String {
    // SAFETY: the caller vouches for the bytes.
    String::from_utf8_lossy(unsafe { text.bytes() }.unwrap_or_default()).into_owned()
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, text: qc_str) {
    // SAFETY: both are as the header has the plugin pass them.
    let (Some(context), text) = (unsafe { context(ctx) }, unsafe { lossy(text) }) else {
        return;
    };
    let plugin = context.plugin.as_str();
    match level {
        QC_LOG_ERROR => tracing::error!(plugin, "{text}"),
        QC_LOG_WARN => tracing::warn!(plugin, "{text}"),
        QC_LOG_INFO => tracing::info!(plugin, "{text}"),
        _ => tracing::debug!(plugin, "{text}"),
    }
}

unsafe extern "C" fn output(ctx: *mut c_void, run: u64, stream: u32, bytes: qc_str) {
    // SAFETY: both are as the header has the plugin pass them.
    let (Some(context), Some(bytes)) = (unsafe { context(ctx) }, unsafe { bytes.bytes() }) else {
        return;
    };
    let stream = match stream {
        QC_STDERR => OutputStream::Stderr,
        // Also what a plugin says that knows of no streams.
        _ => OutputStream::Stdout,
    };
    context.shared.output(run, stream, bytes);
}

unsafe extern "C" fn event(ctx: *mut c_void, run: u64, name: qc_str, detail: qc_str) {
    // SAFETY: as the header has the plugin pass them.
    let (Some(context), name, detail) = (unsafe { (context(ctx), lossy(name), lossy(detail)) }) else {
        return;
    };
    if let Some(job) = context.shared.job_of(run) {
        tracing::info!(
            job,
            plugin = context.plugin,
            detail = clip(detail),
            "job {}",
            clip(name)
        );
    }
}

unsafe extern "C" fn save_handle(ctx: *mut c_void, run: u64, handle: qc_str) -> qc_status {
    // SAFETY: as the header has the plugin pass them.
    let (Some(context), Some(bytes)) = (unsafe { (context(ctx), handle.bytes()) }) else {
        return QC_INVALID;
    };
    match context.shared.save_handle(run, bytes) {
        Ok(()) => QC_OK,
        Err(why) => {
            tracing::warn!(
                plugin = context.plugin,
                run,
                "a plugin's handle is not saved: {why}"
            );
            QC_INVALID
        }
    }
}

/// What an outcome has that says "busy".
const BUSY: u32 = QC_IS_BUSY | QC_HAS_RETRY_AFTER;

/// What the message of a final failure says besides.
const FINAL: &str = "final, another attempt could not succeed: ";

unsafe extern "C" fn finished(ctx: *mut c_void, run: u64, outcome: *const qc_outcome_v1) {
    // SAFETY: as the header has the plugin pass it.
    let Some(context) = (unsafe { context(ctx) }) else {
        return;
    };
    // SAFETY: the outcome is NULL or a struct that states its size.
    let (outcome, advice) = match unsafe { qc_outcome_v1::read(outcome) } {
        Some(outcome) => {
            let advice = Advice {
                wait: (outcome.fields & QC_HAS_RETRY_AFTER != 0)
                    .then(|| Duration::from_millis(outcome.retry_after_ms)),
                is_final: outcome.kind == QC_FAILED && outcome.fields & QC_IS_FINAL != 0,
                is_busy: outcome.kind == QC_FAILED && outcome.fields & BUSY == BUSY,
            };
            // SAFETY: what it points to is valid for the call.
            let mut outcome = unsafe { read_outcome(&outcome) };
            if advice.is_final {
                // At its beginning, because a long message is cut at its end.
                outcome.message = clip(format!("{FINAL}{}", outcome.message));
            }
            (outcome, advice)
        }
        None => {
            let text = "the executor reported no readable outcome";
            (Outcome::new(OutcomeKind::SystemFailure, text), Advice::default())
        }
    };
    if let Err(why) = context.shared.finished(run, outcome, advice) {
        tracing::warn!(
            plugin = context.plugin,
            run,
            "a plugin's report is ignored: {why}"
        );
    }
}

/// # Safety
/// The message is absent or valid for the call.
unsafe fn read_outcome(outcome: &qc_outcome_v1) -> Outcome {
    let kind = match outcome.kind {
        QC_SUCCEEDED => OutcomeKind::Succeeded,
        QC_FAILED => OutcomeKind::Failed,
        _ => OutcomeKind::SystemFailure,
    };
    let field = |bit: u32, value: i32| (outcome.fields & bit != 0).then_some(value);
    // SAFETY: the caller vouches for the message.
    let mut message = clip(unsafe { lossy(outcome.message) });
    if kind == OutcomeKind::Succeeded {
        // It would be shown as an error.
        message.clear();
    } else if message.is_empty() {
        message = "the executor gave no reason".to_owned();
    }
    Outcome {
        kind,
        exit_code: field(QC_HAS_EXIT_CODE, outcome.exit_code),
        signal: field(QC_HAS_SIGNAL, outcome.signal),
        message,
    }
}

unsafe extern "C" fn spawn(
    ctx: *mut c_void,
    run: u64,
    spawn: *const qc_spawn_v1,
    error: *mut qc_error,
) -> qc_status {
    // SAFETY: context and description are as the header has the plugin pass them.
    let result = match unsafe { context(ctx) } {
        // SAFETY: as above.
        Some(context) => unsafe { read_spawn(spawn) }.and_then(|request| context.shared.spawn(run, request)),
        None => Err("no host context was passed".to_owned()),
    };
    let Err(why) = result else { return QC_OK };
    // SAFETY: the error buffer is NULL or as the header describes it.
    if let Some(error) = unsafe { error.as_mut() }.filter(|error| !error.ptr.is_null()) {
        let len = why.floor_char_boundary(error.cap);
        // SAFETY: there is room for `cap` bytes, and `len` is no more.
        unsafe { std::ptr::copy_nonoverlapping(why.as_ptr(), error.ptr, len) }
        error.len = len;
    }
    QC_INVALID
}

/// The flags of a process description that make fields of version 1.2 count.
const LIMIT_FLAGS: u32 = QC_SPAWN_CLEAN_ENV
    | QC_SPAWN_UMASK
    | QC_SPAWN_NICE
    | QC_SPAWN_RLIMITS
    | QC_SPAWN_MEMORY
    | QC_SPAWN_PIDS
    | QC_SPAWN_USER
    | QC_SPAWN_FILE;

/// # Safety
/// `spawn` is NULL or a description as the header has it.
unsafe fn read_spawn(spawn: *const qc_spawn_v1) -> Result<SpawnRequest, String> {
    // SAFETY: NULL, or a description that states its size.
    let spawn =
        unsafe { qc_spawn_v1::read(spawn) }.ok_or("the process description is missing or too short")?;
    if spawn.flags & LIMIT_FLAGS != 0 && (spawn.size as usize) < size_of::<qc_spawn_v1>() {
        return Err("the process description is too short for its flags".to_owned());
    }
    if spawn.flags & !(QC_SPAWN_RAW_LAST | LIMIT_FLAGS) != 0 {
        return Err(format!(
            "the process description has unknown flags {:#x}",
            spawn.flags
        ));
    }
    // SAFETY: pointers, lengths and texts are valid for the call, says the header.
    let (argv, env, env_remove) = unsafe {
        let env: &[qc_pair] = slice(spawn.env, spawn.env_len).unwrap_or_default();
        let pairs = env.iter().map(|pair| Ok((text(pair.name)?, text(pair.value)?)));
        (
            texts(spawn.argv, spawn.argv_len)?,
            pairs.collect::<Result<_, String>>()?,
            { texts(spawn.env_remove, spawn.env_remove_len)? },
        )
    };
    // SAFETY: as above.
    let (cwd, stdin) = unsafe { (spawn.cwd.bytes(), spawn.stdin_bytes.bytes()) };
    let env_keep = match flag(&spawn, QC_SPAWN_CLEAN_ENV) {
        // SAFETY: as above.
        Some(()) => Some(unsafe { texts(spawn.env_keep, spawn.env_keep_len) }?),
        None => None,
    };
    let request = SpawnRequest {
        argv,
        raw_last: spawn.flags & QC_SPAWN_RAW_LAST != 0,
        env,
        env_remove,
        // SAFETY: as above.
        cwd: cwd.map(|_| unsafe { text(spawn.cwd) }).transpose()?,
        stdin: stdin.map(<[u8]>::to_vec),
        env_keep,
        // SAFETY: as above.
        limits: unsafe { read_limits(&spawn) }?,
    };
    request.check().map(|()| request)
}

/// Whether a flag is set, to go on from.
fn flag(spawn: &qc_spawn_v1, flag: u32) -> Option<()> {
    (spawn.flags & flag != 0).then_some(())
}

/// # Safety
/// Pointers, lengths and texts are as the header has them.
unsafe fn read_limits(spawn: &qc_spawn_v1) -> Result<Limits, String> {
    // SAFETY: the caller vouches for the pointers.
    let (rlimits, file) = unsafe { (slice(spawn.rlimits, spawn.rlimits_len), spawn.file_bytes.bytes()) };
    let rlimits = flag(spawn, QC_SPAWN_RLIMITS).and(rlimits).unwrap_or_default();
    let user = match flag(spawn, QC_SPAWN_USER) {
        // SAFETY: as above.
        Some(()) => Some(unsafe { text(spawn.user) }?),
        None => None,
    };
    Ok(Limits {
        umask: flag(spawn, QC_SPAWN_UMASK).map(|()| spawn.umask),
        nice: flag(spawn, QC_SPAWN_NICE).map(|()| spawn.nice),
        rlimits: rlimits.iter().map(Rlimit::from_abi).collect(),
        memory: flag(spawn, QC_SPAWN_MEMORY).map(|()| spawn.memory_bytes),
        pids: flag(spawn, QC_SPAWN_PIDS).map(|()| spawn.pids),
        user,
        file: flag(spawn, QC_SPAWN_FILE).map(|()| file.unwrap_or_default().to_vec()),
        terminal: None,
    })
}

/// # Safety
/// `ptr` is NULL or points to `len` texts that are valid for the call.
unsafe fn texts(ptr: *const qc_str, len: usize) -> Result<Vec<String>, String> {
    // SAFETY: the caller vouches for them.
    unsafe {
        slice(ptr, len)
            .unwrap_or_default()
            .iter()
            .map(|value| text(*value))
            .collect()
    }
}

/// # Safety
/// As for [`qc_str::bytes`].
unsafe fn text(value: qc_str) -> Result<String, String> {
    // SAFETY: the caller vouches for the bytes.
    let bytes = unsafe { value.bytes() }.unwrap_or_default();
    let text =
        std::str::from_utf8(bytes).map_err(|_| "the process description has text that is not UTF-8")?;
    Ok(text.to_owned())
}
