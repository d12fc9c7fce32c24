//! The C ABI between queuectl and an executor plugin, as `repr(C)` types.
//!
//! `include/queuectl_plugin.h` says the same in C and is the normative text on ownership, threads and return values;
//! a test compares the two. Plugin authors who write Rust use [`crate::Executor`] instead and never see this module.
//! There is no code here beyond conversions: calling across the boundary belongs to the SDK and to the host.

#![expect(non_camel_case_types, reason = "the names are those of the C header")]

use std::ffi::c_void;

/// What [`MAGIC_SYMBOL`] returns: the bytes `QCTLPLUG`, most significant first.
pub const MAGIC: u64 = u64::from_be_bytes(*b"QCTLPLUG");
/// Name of the function that returns [`MAGIC`].
pub const MAGIC_SYMBOL: &str = "queuectl_plugin_magic";
/// Name of the versioned entry function, without the major version that follows.
pub const ENTRY_SYMBOL_STEM: &str = "queuectl_plugin_v";
/// The major version described here.
pub const MAJOR: u32 = 1;
/// The newest minor version described here. A minor version only ever appends.
pub const MINOR: u32 = 3;

/// What a plugin function returns.
pub type qc_status = i32;
/// It worked; from `exited` and `stop`: the plugin takes care of it.
pub const QC_OK: qc_status = 0;
/// The request makes no sense to the plugin: the job's own failure.
pub const QC_INVALID: qc_status = 1;
/// The executor could not run the job: not the job's failure.
pub const QC_SYSTEM_FAILURE: qc_status = 2;
/// From `exited` and `stop`: the host does what it does by default.
pub const QC_UNHANDLED: qc_status = 3;

/// Level of a log line: something failed.
pub const QC_LOG_ERROR: u32 = 1;
/// Level of a log line: something is odd.
pub const QC_LOG_WARN: u32 = 2;
/// Level of a log line: worth knowing.
pub const QC_LOG_INFO: u32 = 3;
/// Level of a log line: for people who look for a fault.
pub const QC_LOG_DEBUG: u32 = 4;

/// Stream of output: standard output.
pub const QC_STDOUT: u32 = 1;
/// Stream of output: standard error.
pub const QC_STDERR: u32 = 2;

/// Stop mode: ask the job to end; it has its grace period.
pub const QC_STOP_GRACEFUL: u32 = 1;
/// Stop mode: end it now.
pub const QC_STOP_KILL: u32 = 2;

/// Exit kind: the process exited; `code` is its status.
pub const QC_EXIT_CODE: u32 = 1;
/// Exit kind: a signal ended the process; `code` is its number.
pub const QC_EXIT_SIGNAL: u32 = 2;
/// Exit kind: the process could not be started; `message` says why.
pub const QC_EXIT_NOT_STARTED: u32 = 3;

/// Outcome kind: the job did what it should.
pub const QC_SUCCEEDED: u32 = 1;
/// Outcome kind: the job ran and failed.
pub const QC_FAILED: u32 = 2;
/// Outcome kind: the executor could not run the job.
pub const QC_FAILED_SYSTEM: u32 = 3;

/// Bit of [`qc_outcome_v1::fields`]: `exit_code` is set.
pub const QC_HAS_EXIT_CODE: u32 = 1;
/// Bit of [`qc_outcome_v1::fields`]: `signal` is set.
pub const QC_HAS_SIGNAL: u32 = 2;

/// Bit of [`qc_outcome_v1::fields`]: `retry_after_ms` is set. Since 1.1.
pub const QC_HAS_RETRY_AFTER: u32 = 4;
/// Bit of [`qc_outcome_v1::fields`], with [`QC_FAILED`]: another attempt cannot succeed. Since 1.2.
pub const QC_IS_FINAL: u32 = 8;
/// Bit of [`qc_outcome_v1::fields`], with [`QC_FAILED`] and [`QC_HAS_RETRY_AFTER`]: what the job needs is busy for that
/// long. Since 1.3.
pub const QC_IS_BUSY: u32 = 16;

/// Bit of [`qc_host_v1::features`]: handles that are saved outlive the worker process, and `reattach` is called.
pub const QC_HOST_ADOPTS: u64 = 1;
/// Bit of [`qc_host_v1::features`]: `recorded` is called once a run's outcome is durable.
pub const QC_HOST_RECORDS: u64 = 2;
/// Bit of [`qc_host_v1::features`]: `retry_after_ms` is honoured.
pub const QC_HOST_RETRY_AFTER: u64 = 4;
/// Bit of [`qc_host_v1::features`]: the flags of [`qc_spawn_v1`] since 1.2 are known. Since 1.2.
pub const QC_HOST_SPAWN_LIMITS: u64 = 8;
/// Bit of [`qc_host_v1::features`]: [`QC_IS_FINAL`] is honoured. Since 1.2.
pub const QC_HOST_FINAL: u64 = 16;
/// Bit of [`qc_host_v1::features`]: [`QC_IS_BUSY`] is honoured. Since 1.3.
pub const QC_HOST_BUSY: u64 = 32;

/// Longest handle that can be saved, in bytes.
pub const HANDLE_BYTES: usize = 4096;

/// Bit of [`qc_spawn_v1::flags`]: on Windows the last argument is put on the command line as it is, unquoted.
pub const QC_SPAWN_RAW_LAST: u32 = 1;
/// Bit of [`qc_spawn_v1::flags`]: only what `env_keep` names is inherited. Since 1.2, like those that follow.
pub const QC_SPAWN_CLEAN_ENV: u32 = 2;
/// Bit of [`qc_spawn_v1::flags`]: `umask` counts.
pub const QC_SPAWN_UMASK: u32 = 4;
/// Bit of [`qc_spawn_v1::flags`]: `nice` counts.
pub const QC_SPAWN_NICE: u32 = 8;
/// Bit of [`qc_spawn_v1::flags`]: `rlimits` count.
pub const QC_SPAWN_RLIMITS: u32 = 16;
/// Bit of [`qc_spawn_v1::flags`]: `memory_bytes` counts.
pub const QC_SPAWN_MEMORY: u32 = 32;
/// Bit of [`qc_spawn_v1::flags`]: `pids` counts.
pub const QC_SPAWN_PIDS: u32 = 64;
/// Bit of [`qc_spawn_v1::flags`]: `user` counts.
pub const QC_SPAWN_USER: u32 = 128;
/// Bit of [`qc_spawn_v1::flags`]: `file_bytes` count.
pub const QC_SPAWN_FILE: u32 = 256;

/// Resource of [`qc_rlimit`]: processor time in seconds.
pub const QC_RLIMIT_CPU: u32 = 1;
/// Resource of [`qc_rlimit`]: open files.
pub const QC_RLIMIT_NOFILE: u32 = 2;
/// Resource of [`qc_rlimit`]: size of a core dump.
pub const QC_RLIMIT_CORE: u32 = 3;
/// Resource of [`qc_rlimit`]: size of a file that is written.
pub const QC_RLIMIT_FSIZE: u32 = 4;
/// Resource of [`qc_rlimit`]: address space.
pub const QC_RLIMIT_AS: u32 = 5;
/// Resource of [`qc_rlimit`]: processes of the user.
pub const QC_RLIMIT_NPROC: u32 = 6;
/// Resource of [`qc_rlimit`]: stack of the first thread.
pub const QC_RLIMIT_STACK: u32 = 7;
/// Resource of [`qc_rlimit`]: data segment.
pub const QC_RLIMIT_DATA: u32 = 8;
/// Resource of [`qc_rlimit`]: locked memory.
pub const QC_RLIMIT_MEMLOCK: u32 = 9;
/// Value of [`qc_rlimit`]: no limit.
pub const QC_RLIM_UNLIMITED: u64 = u64::MAX;
/// Value of [`qc_rlimit`]: as it is.
pub const QC_RLIM_KEEP: u64 = u64::MAX - 1;

/// Where a process finds the `file_bytes` of [`qc_spawn_v1`].
pub const SPAWN_FILE_PATH: &str = "/dev/fd/3";

/// Bytes with a length. UTF-8 where it stands for text. `ptr` may be NULL only where the field's text says so.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_str {
    /// First byte; not NUL-terminated.
    pub ptr: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl qc_str {
    /// Absent.
    pub const NULL: qc_str = qc_str {
        ptr: std::ptr::null(),
        len: 0,
    };

    /// A view of `bytes`, valid as long as they are.
    pub const fn new(bytes: &[u8]) -> qc_str {
        qc_str {
            ptr: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes, or none when absent.
    ///
    /// # Safety
    /// `ptr` is NULL or points to `len` readable bytes that do not change while `'a` lasts.
    pub unsafe fn bytes<'a>(self) -> Option<&'a [u8]> {
        // SAFETY: the caller vouches for pointer and length.
        unsafe { slice(self.ptr, self.len) }
    }
}

/// A view of a C array, or none when `ptr` is NULL or the length cannot be one.
///
/// # Safety
/// `ptr` is NULL or points to `len` initialised values that do not change while `'a` lasts.
pub unsafe fn slice<'a, T>(ptr: *const T, len: usize) -> Option<&'a [T]> {
    let fits = len
        .checked_mul(size_of::<T>())
        .is_some_and(|bytes| isize::try_from(bytes).is_ok());
    // SAFETY: not NULL, the size is checked, and the caller vouches for the rest.
    (!ptr.is_null() && fits).then(|| unsafe { std::slice::from_raw_parts(ptr, len) })
}

/// A buffer for an error message. The host owns it; the plugin writes at most `cap` bytes and sets `len`.
#[repr(C)]
#[derive(Debug)]
pub struct qc_error {
    /// Where to write UTF-8.
    pub ptr: *mut u8,
    /// Room, in bytes.
    pub cap: usize,
    /// Bytes written.
    pub len: usize,
}

/// A name and a value.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_pair {
    /// The name.
    pub name: qc_str,
    /// The value.
    pub value: qc_str,
}

/// A limit of the operating system. Since 1.2.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_rlimit {
    /// One of `QC_RLIMIT_*`.
    pub resource: u32,
    /// 0.
    pub reserved: u32,
    /// What counts at first.
    pub soft: u64,
    /// How far the process may raise it.
    pub hard: u64,
}

/// One attempt of a job, as handed to `start`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_run_v1 {
    /// Size of this struct as the host compiled it.
    pub size: u32,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// The handle by which host and plugin speak of this run; never 0, never reused in a process.
    pub run: u64,
    /// The job's number.
    pub job_number: i64,
    /// Grows with every attempt of the job.
    pub fence: i64,
    /// Longest it may run, in ms; 0 for no limit. The host enforces it.
    pub timeout_ms: u64,
    /// The job's id as users see it.
    pub job_id: qc_str,
    /// The job's queue.
    pub queue: qc_str,
    /// The request: a JSON object.
    pub request: qc_str,
    /// The mark of the node that runs it: `STORE.NODE`, both unique. Since 1.1.
    pub mark: qc_str,
}

/// A process to start on behalf of a run.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_spawn_v1 {
    /// Size of this struct as the plugin compiled it.
    pub size: u32,
    /// Bits `QC_SPAWN_*`.
    pub flags: u32,
    /// Program and arguments.
    pub argv: *const qc_str,
    /// Number of `argv`; at least 1.
    pub argv_len: usize,
    /// Environment variables to set.
    pub env: *const qc_pair,
    /// Number of `env`.
    pub env_len: usize,
    /// Names of inherited variables to remove.
    pub env_remove: *const qc_str,
    /// Number of `env_remove`.
    pub env_remove_len: usize,
    /// Working directory; absent for the worker's own.
    pub cwd: qc_str,
    /// Standard input; absent for none.
    pub stdin_bytes: qc_str,
    /// File mode creation mask. Since 1.2, like those that follow; each counts only with its flag.
    pub umask: u32,
    /// Niceness, -20 to 19.
    pub nice: i32,
    /// Limits of the operating system.
    pub rlimits: *const qc_rlimit,
    /// Number of `rlimits`.
    pub rlimits_len: usize,
    /// Most memory of all processes of the run together.
    pub memory_bytes: u64,
    /// Most processes of the run at a time.
    pub pids: u64,
    /// Names of variables that are inherited; a `*` at the end stands for any ending.
    pub env_keep: *const qc_str,
    /// Number of `env_keep`.
    pub env_keep_len: usize,
    /// The user to run as, or `USER:GROUP`; names or numbers.
    pub user: qc_str,
    /// What the process can read at [`SPAWN_FILE_PATH`].
    pub file_bytes: qc_str,
}

/// How a process that the host spawned ended.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_exit_v1 {
    /// Size of this struct as the host compiled it.
    pub size: u32,
    /// One of `QC_EXIT_*`.
    pub kind: u32,
    /// Exit status or signal number.
    pub code: i32,
    /// Whether the host had asked it to stop (0 or 1).
    pub stopped: u32,
    /// In words: why it was not started, or which limit it hit; else empty.
    pub message: qc_str,
}

/// How a run ended, as the plugin reports it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct qc_outcome_v1 {
    /// Size of this struct as the plugin compiled it.
    pub size: u32,
    /// One of `QC_SUCCEEDED`, `QC_FAILED`, `QC_FAILED_SYSTEM`.
    pub kind: u32,
    /// Bits `QC_HAS_*`: which of the following numbers are set.
    pub fields: u32,
    /// Exit status.
    pub exit_code: i32,
    /// Signal number.
    pub signal: i32,
    /// 0.
    pub reserved: u32,
    /// Why, in words; may be absent.
    pub message: qc_str,
    /// Shortest wait before the next attempt, in ms. Since 1.1.
    pub retry_after_ms: u64,
}

/// What the host offers a plugin. Every function may be called from any thread.
#[repr(C)]
#[derive(Debug)]
pub struct qc_host_v1 {
    /// Size of this struct as the host compiled it.
    pub size: u32,
    /// The host's minor version.
    pub minor: u32,
    /// Writes a line to the worker's log.
    pub log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32, text: qc_str)>,
    /// Appends to the captured output of a run, as [`QC_STDOUT`] or [`QC_STDERR`]; any other number counts as the first.
    pub output: Option<unsafe extern "C" fn(ctx: *mut c_void, run: u64, stream: u32, bytes: qc_str)>,
    /// Asks for a process to be started. `QC_OK` means that it was accepted.
    pub spawn: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            run: u64,
            spawn: *const qc_spawn_v1,
            error: *mut qc_error,
        ) -> qc_status,
    >,
    /// Reports how a run ended. Once per run.
    pub finished: Option<unsafe extern "C" fn(ctx: *mut c_void, run: u64, outcome: *const qc_outcome_v1)>,
    /// Bits `QC_HOST_*`. Since 1.1.
    pub features: u64,
    /// Tells of progress, for the log. Since 1.1.
    pub event: Option<unsafe extern "C" fn(ctx: *mut c_void, run: u64, name: qc_str, detail: qc_str)>,
    /// Saves what is needed to find the run's work again after this process died. Since 1.1.
    pub save_handle: Option<unsafe extern "C" fn(ctx: *mut c_void, run: u64, handle: qc_str) -> qc_status>,
}

/// What a plugin offers the host. A slot beyond `size`, or NULL, is not supported.
#[repr(C)]
#[derive(Debug)]
pub struct qc_plugin_v1 {
    /// Size of this struct as the plugin compiled it.
    pub size: u32,
    /// The minor version the plugin was written for.
    pub minor: u32,
    /// Fills in a static JSON object: `name`, `version`, `about`, `capabilities`. Required.
    pub describe: Option<unsafe extern "C" fn(out: *mut qc_str)>,
    /// Makes an instance. Required.
    pub create: Option<
        unsafe extern "C" fn(
            host: *const qc_host_v1,
            ctx: *mut c_void,
            settings: qc_str,
            instance: *mut *mut c_void,
            error: *mut qc_error,
        ) -> qc_status,
    >,
    /// Frees an instance that has no runs any more. Required.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// Starts a run and returns at once. Required.
    pub start: Option<
        unsafe extern "C" fn(instance: *mut c_void, run: *const qc_run_v1, error: *mut qc_error) -> qc_status,
    >,
    /// The process spawned for a run ended. Optional.
    pub exited:
        Option<unsafe extern "C" fn(instance: *mut c_void, run: u64, exit: *const qc_exit_v1) -> qc_status>,
    /// Stops a run. Optional, idempotent.
    pub stop: Option<unsafe extern "C" fn(instance: *mut c_void, run: u64, mode: u32) -> qc_status>,
    /// Bits; none are defined yet. Since 1.1.
    pub features: u64,
    /// Says whether jobs could run now. Optional. Since 1.1.
    pub fingerprint: Option<unsafe extern "C" fn(instance: *mut c_void, error: *mut qc_error) -> qc_status>,
    /// Checks a request before it is stored. Optional. Since 1.1.
    pub validate: Option<
        unsafe extern "C" fn(instance: *mut c_void, request: qc_str, error: *mut qc_error) -> qc_status,
    >,
    /// Passes a signal on to a run. Optional. Since 1.1.
    pub signal: Option<unsafe extern "C" fn(instance: *mut c_void, run: u64, signal: i32) -> qc_status>,
    /// Takes over a run whose worker process died, from the handle it had saved. Optional. Since 1.1.
    pub reattach: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            run: *const qc_run_v1,
            handle: qc_str,
            error: *mut qc_error,
        ) -> qc_status,
    >,
    /// The outcome of a run is durable; what was kept for it may go. Optional. Since 1.1.
    pub recorded: Option<unsafe extern "C" fn(instance: *mut c_void, run: u64)>,
    /// Ends and removes whatever carries the mark of a node of this store that is not among the living. Optional.
    /// Since 1.1.
    pub reap: Option<
        unsafe extern "C" fn(instance: *mut c_void, store: qc_str, alive: *const qc_str, alive_len: usize),
    >,
    /// Fills in a JSON object of numbers, valid until the next call. Optional. Since 1.1.
    pub stats: Option<unsafe extern "C" fn(instance: *mut c_void, out: *mut qc_str)>,
    /// No run will be started any more and none is left; `destroy` follows. Optional. Since 1.1.
    pub shutdown: Option<unsafe extern "C" fn(instance: *mut c_void)>,
    /// A run of a worker process that died is not wanted any more; what was kept for it may go. Optional. Since 1.2.
    pub discard: Option<unsafe extern "C" fn(instance: *mut c_void, handle: qc_str)>,
}

/// A struct that starts with its size and grew since the first minor version.
///
/// # Safety
/// The first field is a `u32`, the size as its maker compiled it, and all-zero bytes are a valid value.
pub unsafe trait Growing: Copy {
    /// Its size in minor version 0, below which nothing is accepted.
    const FIRST_SIZE: usize;

    /// Reads such a struct: what its maker did not know yet is zero. None for NULL, or when the size is too small.
    ///
    /// # Safety
    /// `ptr` is NULL or points to a struct that is readable up to the size it states.
    unsafe fn read(ptr: *const Self) -> Option<Self> {
        if ptr.is_null() {
            return None;
        }
        // SAFETY: the struct starts with its size, says the trait.
        let size = unsafe { ptr.cast::<u32>().read() } as usize;
        if size < Self::FIRST_SIZE {
            return None;
        }
        let mut value = std::mem::MaybeUninit::<Self>::zeroed();
        let known = size.min(size_of::<Self>());
        // SAFETY: both sides have `known` bytes, and all-zero is valid for the rest.
        unsafe {
            std::ptr::copy_nonoverlapping(ptr.cast::<u8>(), value.as_mut_ptr().cast(), known);
            Some(value.assume_init())
        }
    }
}

// SAFETY: `size` comes first; all fields are numbers and pointers.
unsafe impl Growing for qc_run_v1 {
    const FIRST_SIZE: usize = std::mem::offset_of!(qc_run_v1, mark);
}

// SAFETY: as above.
unsafe impl Growing for qc_spawn_v1 {
    const FIRST_SIZE: usize = std::mem::offset_of!(qc_spawn_v1, umask);
}

// SAFETY: as above.
unsafe impl Growing for qc_exit_v1 {
    const FIRST_SIZE: usize = size_of::<qc_exit_v1>();
}

// SAFETY: as above.
unsafe impl Growing for qc_outcome_v1 {
    const FIRST_SIZE: usize = std::mem::offset_of!(qc_outcome_v1, retry_after_ms);
}

/// The type of the magic function.
pub type MagicFn = unsafe extern "C" fn() -> u64;
/// The type of the entry function `queuectl_plugin_v1`: a static vtable, or NULL when the plugin cannot serve a host
/// of that minor version.
pub type EntryFn = unsafe extern "C" fn(host_minor: u32) -> *const qc_plugin_v1;

// SAFETY: a vtable is read-only data and function pointers, which any thread may use.
unsafe impl Sync for qc_plugin_v1 {}
