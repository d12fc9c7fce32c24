/*
 * queuectl executor plugin interface, ABI 1.
 *
 * A plugin is a shared library named after its executor: for the executor "my-thing" it is
 * libqueuectl_plugin_my_thing.so (.dylib on macOS; queuectl_plugin_my_thing.dll on Windows). It exports two functions:
 *
 *     uint64_t queuectl_plugin_magic(void);
 *     const struct qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor);
 *
 * Finding out whether both sides fit, in this order:
 *   1. queuectl_plugin_magic() returns QC_MAGIC.
 *   2. The entry function's name carries the major version. A host that speaks ABI 1 looks for queuectl_plugin_v1. A
 *      library may export several, one per major version it can serve.
 *   3. Structs only ever grow at the end, by minor versions. Vtables and parameter structs start with `size`, which
 *      the side that made the struct sets to its sizeof. A reader never reads beyond `size`. A vtable slot that is
 *      beyond `size`, or NULL, is not supported.
 *
 * Memory. Every pointer handed over belongs to the side that passed it and is valid only until the call returns; who
 * needs the data longer copies it. Three things live on, and they are marked LASTING below. Nothing allocated on one
 * side is ever freed by the other.
 *
 * Threads. The host may call plugin functions from any of its threads, for different runs at the same time; it never
 * makes two calls for one run at the same time. The plugin may call host functions from any thread, also from inside
 * a plugin function, as long as its instance is not destroyed. A plugin function must return promptly (aim for
 * under a millisecond): long work belongs on the plugin's own threads or, better, in a process that the host spawns.
 *
 * Growth. What came with a later minor version is marked "since 1.N". A plugin compiled with an older header simply has
 * a smaller size; a host that is older than the plugin's header has one, too, so check size (or the minor passed to
 * the entry function) before you use a host slot that came later. Slots and fields are never removed or reordered.
 *   1.0  describe, create, destroy, start, exited, stop; log, output, spawn, finished
 *   1.1  fingerprint, validate, signal, reattach, recorded, reap, stats, shutdown, features; event, save_handle,
 *        features; qc_run_v1.mark; qc_outcome_v1.retry_after_ms; "schema" and "settings_schema" in the description;
 *        "settings" in the settings; the QUEUECTL_* variables are set after qc_spawn_v1.env and no longer before, so
 *        env cannot replace them
 *   1.2  qc_spawn_v1: flags QC_SPAWN_CLEAN_ENV to QC_SPAWN_FILE with the fields from umask on; QC_HOST_SPAWN_LIMITS;
 *        qc_exit_v1.message also for a process that hit a limit; QC_IS_FINAL, QC_HOST_FINAL; discard
 *   1.3  QC_IS_BUSY, QC_HOST_BUSY
 *
 * Neither side may let an exception, a panic or a longjmp cross the boundary.
 *
 * Libraries are never unloaded. Threads and static data may live until the process ends. Signal handlers and the
 * disposition of SIGCHLD belong to the host. A plugin must not wait for children that it did not start itself.
 */
#ifndef QUEUECTL_PLUGIN_H
#define QUEUECTL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QC_MAGIC UINT64_C(0x5143544c504c5547) /* "QCTLPLUG" */
#define QC_ABI_MAJOR 1
#define QC_ABI_MINOR 3

#if defined(_WIN32)
#define QC_EXPORT __declspec(dllexport)
#else
#define QC_EXPORT __attribute__((visibility("default")))
#endif

typedef int32_t qc_status;
#define QC_OK 0             /* done; from exited and stop: the plugin takes care of it */
#define QC_INVALID 1        /* the request makes no sense to this executor: the job's own failure */
#define QC_SYSTEM_FAILURE 2 /* the executor could not run the job: not the job's failure, tried again later */
#define QC_UNHANDLED 3      /* from exited and stop only: the host shall do what it does by itself */
/* Any other value is taken as QC_SYSTEM_FAILURE. */

#define QC_LOG_ERROR 1
#define QC_LOG_WARN 2
#define QC_LOG_INFO 3
#define QC_LOG_DEBUG 4

#define QC_STDOUT 1
#define QC_STDERR 2

#define QC_STOP_GRACEFUL 1 /* ask the job to end; its grace period runs from now */
#define QC_STOP_KILL 2     /* end it now */

#define QC_EXIT_CODE 1        /* exited; code is the status */
#define QC_EXIT_SIGNAL 2      /* ended by a signal; code is its number */
#define QC_EXIT_NOT_STARTED 3 /* could not be started; message says why */

#define QC_SUCCEEDED 1
#define QC_FAILED 2        /* the job ran and failed */
#define QC_FAILED_SYSTEM 3 /* the executor could not run the job */

#define QC_HAS_EXIT_CODE 1
#define QC_HAS_SIGNAL 2
#define QC_HAS_RETRY_AFTER 4 /* since 1.1 */
#define QC_IS_FINAL 8        /* since 1.2, with QC_FAILED: another attempt cannot succeed, so none shall follow */
#define QC_IS_BUSY 16        /* since 1.3, with QC_FAILED and QC_HAS_RETRY_AFTER: what the job needs is busy for that long. The
                                attempt does not count, and nothing else that waits for the same starts before */

/* qc_host_v1.features, since 1.1. A bit that is not set means that the host does not do it (a test bench, say). */
#define QC_HOST_ADOPTS UINT64_C(1)      /* saved handles outlive the worker process, and reattach is called */
#define QC_HOST_RECORDS UINT64_C(2)     /* recorded is called */
#define QC_HOST_RETRY_AFTER UINT64_C(4) /* retry_after_ms is honoured */
#define QC_HOST_SPAWN_LIMITS UINT64_C(8) /* since 1.2: the flags of qc_spawn_v1 since 1.2 are known */
#define QC_HOST_FINAL UINT64_C(16)      /* since 1.2: QC_IS_FINAL is honoured; else it means nothing */
#define QC_HOST_BUSY UINT64_C(32)       /* since 1.3: QC_IS_BUSY is honoured; else such an outcome is a failure that asks to wait */

#define QC_HANDLE_BYTES 4096 /* longest handle for save_handle */

#define QC_SPAWN_RAW_LAST 1 /* Windows: put the last argument on the command line as it is, unquoted */
/* Since 1.2. Each makes the fields count that it names. A host that does not know a flag refuses the process, so that
 * nothing ever runs with more rights than was asked for; with QC_HOST_SPAWN_LIMITS all of these are known. What the
 * operating system or the node's rights do not allow is a system failure of the run, which names the step; the process
 * does not run then. */
#define QC_SPAWN_CLEAN_ENV 2 /* inherit only what env_keep names */
#define QC_SPAWN_UMASK 4     /* umask */
#define QC_SPAWN_NICE 8      /* nice */
#define QC_SPAWN_RLIMITS 16  /* rlimits, rlimits_len */
#define QC_SPAWN_MEMORY 32   /* memory_bytes */
#define QC_SPAWN_PIDS 64     /* pids */
#define QC_SPAWN_USER 128    /* user */
#define QC_SPAWN_FILE 256    /* file_bytes */

/* Since 1.2. Resources of qc_rlimit: seconds, bytes or numbers, as setrlimit(2) has them. */
#define QC_RLIMIT_CPU 1     /* processor time, seconds: SIGXCPU at the soft limit, SIGKILL at the hard one */
#define QC_RLIMIT_NOFILE 2  /* one more than the highest descriptor */
#define QC_RLIMIT_CORE 3    /* core dump, bytes */
#define QC_RLIMIT_FSIZE 4   /* a file that is written, bytes: SIGXFSZ */
#define QC_RLIMIT_AS 5      /* address space, bytes */
#define QC_RLIMIT_NPROC 6   /* processes of the same user on the machine, whoever started them; root has no limit */
#define QC_RLIMIT_STACK 7   /* stack of the first thread, bytes */
#define QC_RLIMIT_DATA 8    /* data segment, bytes */
#define QC_RLIMIT_MEMLOCK 9 /* locked memory, bytes */
#define QC_RLIM_UNLIMITED UINT64_MAX
#define QC_RLIM_KEEP (UINT64_MAX - 1) /* leave this one of the two as it is; a soft limit at most at the hard one */

#define QC_SPAWN_FILE_PATH "/dev/fd/3" /* where a process finds its file_bytes */

/* Bytes with a length, not NUL-terminated; UTF-8 where they are text. "Absent" means ptr == NULL. */
typedef struct qc_str {
    const uint8_t *ptr;
    size_t len;
} qc_str;

/* Room for an error message. The host provides it; the callee writes up to cap bytes of UTF-8 and sets len (0 before
 * the call). The pointer to the struct may be NULL, which means that nobody wants the message. */
typedef struct qc_error {
    uint8_t *ptr;
    size_t cap;
    size_t len;
} qc_error;

typedef struct qc_pair {
    qc_str name;
    qc_str value;
} qc_pair;

/* Since 1.2. soft and hard: a value, QC_RLIM_UNLIMITED or QC_RLIM_KEEP. */
typedef struct qc_rlimit {
    uint32_t resource; /* QC_RLIMIT_*; each at most once */
    uint32_t reserved; /* 0 */
    uint64_t soft;
    uint64_t hard;
} qc_rlimit;

/* One attempt of a job. */
typedef struct qc_run_v1 {
    uint32_t size;
    uint32_t attempt;    /* from 1 */
    uint64_t run;        /* handle of this run: never 0, never reused within a process */
    int64_t job_number;
    int64_t fence;       /* grows with every attempt of the job: use it to make work idempotent */
    uint64_t timeout_ms; /* 0: none. For information: the host enforces it and calls stop */
    qc_str job_id;       /* the id that users see */
    qc_str queue;
    /* A JSON object; every member may be missing:
     *   "command": "one line" or ["program", "argument", ...]
     *   "env":     {"NAME": "value", ...}   to set for the job
     *   "cwd":     "working directory"
     *   "stdin":   "text for standard input"
     *   "payload": {...}                     whatever the executor wants to know
     * Unknown members must be ignored. */
    qc_str request;
    /* Since 1.1. The mark of the node that runs this: "STORE.NODE", text without white space. What a plugin starts
     * outside of the worker process (a container, say) should carry it, so that reap can tell whose it is. */
    qc_str mark;
} qc_run_v1;

/* A process for the host to start. It inherits the worker's environment (or part of it), then gets `env`, then the QUEUECTL_* variables
 * of the run, which win. */
typedef struct qc_spawn_v1 {
    uint32_t size;
    uint32_t flags;          /* QC_SPAWN_*; unknown bits must be 0 */
    const qc_str *argv;      /* argv[0] is looked up in PATH (in that of env, if it has one) */
    size_t argv_len;         /* at least 1 */
    const qc_pair *env;      /* may be NULL with length 0; later entries win */
    size_t env_len;
    const qc_str *env_remove; /* inherited names to remove; may be NULL with length 0 */
    size_t env_remove_len;
    qc_str cwd;              /* absent: the worker's own */
    qc_str stdin_bytes;      /* absent: no input */
    /* Since 1.2, each with its flag. */
    uint32_t umask;          /* 0 to 0777 */
    int32_t nice;            /* -20 to 19; on Windows the nearest priority class */
    const qc_rlimit *rlimits;
    size_t rlimits_len;
    uint64_t memory_bytes;   /* all processes of the run together; more: they are killed. Linux: cgroup v2, swap is not
                                added. Windows: committed memory of the Job Object, where allocations fail */
    uint64_t pids;           /* most processes (Linux: and threads) of the run at a time; at least 1 */
    const qc_str *env_keep;  /* names; one that ends in '*' stands for all that begin like that */
    size_t env_keep_len;
    qc_str user;             /* USER, UID, USER:GROUP or UID:GID. With the user's supplementary groups. HOME, USER and
                                LOGNAME become that user's, unless env sets them. Only root may */
    qc_str file_bytes;       /* the process can read them as a file at QC_SPAWN_FILE_PATH */
} qc_spawn_v1;

typedef struct qc_exit_v1 {
    uint32_t size;
    uint32_t kind;    /* QC_EXIT_* */
    int32_t code;
    uint32_t stopped; /* 1 if the host had asked the process to stop (cancelled, timed out, shutdown), else 0 */
    qc_str message;   /* for QC_EXIT_NOT_STARTED; since 1.2 also of a process that hit a limit: which; else empty */
} qc_exit_v1;

typedef struct qc_outcome_v1 {
    uint32_t size;
    uint32_t kind;   /* QC_SUCCEEDED, QC_FAILED or QC_FAILED_SYSTEM; anything else counts as QC_FAILED_SYSTEM */
    uint32_t fields; /* QC_HAS_*, QC_IS_FINAL, QC_IS_BUSY */
    int32_t exit_code;
    int32_t signal;
    uint32_t reserved; /* 0 */
    qc_str message;    /* why, for people; may be absent */
    uint64_t retry_after_ms; /* since 1.1; with QC_HAS_RETRY_AFTER: shortest wait before the next attempt, if one follows.
                                At most the setting backoff_cap is honoured; with QC_IS_BUSY at most a day. */
} qc_outcome_v1;

/* The host's functions. LASTING: this vtable and ctx are valid until the instance they were given to is destroyed.
 * Pass ctx back as it is. Slots of 1.0 are present in every host of ABI 1. */
typedef struct qc_host_v1 {
    uint32_t size;
    uint32_t minor;
    /* Writes a line to the worker's log. level: QC_LOG_*. Not the job's output. */
    void (*log)(void *ctx, uint32_t level, qc_str text);
    /* Appends bytes to the run's captured output. stream: QC_STDOUT or QC_STDERR, which `queuectl logs --stdout` and
     * --stderr tell apart; any other number counts as QC_STDOUT. Ignored after the run's end. */
    void (*output)(void *ctx, uint64_t run, uint32_t stream, qc_str bytes);
    /* Starts a process for the run: own process group, output captured, stopped when the run is stopped, killed with
     * all its descendants when it ends. At most one process per run. QC_OK: accepted, its end will be told through
     * `exited` (also when it could not be started). QC_INVALID: no such run, it already has a process, or the
     * description is unusable (no argv, a NUL byte, a wrong size); error says which. */
    qc_status (*spawn)(void *ctx, uint64_t run, const qc_spawn_v1 *spawn, qc_error *error);
    /* Reports the end of a run, exactly once per run whose start returned QC_OK, unless the host does so by itself
     * (see exited). A second report, or one for an unknown run, is ignored and logged. If the run's process is still
     * alive it is stopped first. When the run was cancelled or timed out, that is what gets recorded. */
    void (*finished)(void *ctx, uint64_t run, const qc_outcome_v1 *outcome);
    uint64_t features; /* since 1.1: QC_HOST_* */
    /* Since 1.1. Tells of something that happened in the run ("pulling", "started", "progress"), for the worker's log.
     * name is one word; detail is text or JSON and may be absent. */
    void (*event)(void *ctx, uint64_t run, qc_str name, qc_str detail);
    /* Since 1.1. Saves up to QC_HANDLE_BYTES from which the run's work can be found again after this worker process has
     * died; a later call replaces it. Only for work that lives outside of the worker process and of processes spawned by
     * the host. The host copies it out of this process before anything that happens later is reported; where
     * QC_HOST_ADOPTS is not set, it does nothing. QC_INVALID: no such run, or too long. */
    qc_status (*save_handle)(void *ctx, uint64_t run, qc_str handle);
} qc_host_v1;

/* The plugin's functions. LASTING: the vtable is static, valid for the rest of the process. */
typedef struct qc_plugin_v1 {
    uint32_t size;
    uint32_t minor;
    /* Required. Sets *out to a static (LASTING: for the rest of the process) JSON object:
     *   {"name": "...", "version": "...", "about": "one line", "capabilities": ["..."]}
     * and since 1.1, both optional JSON Schemas (an object each): "schema" of the member "payload" of a request, and
     * "settings_schema" of the member "settings" of the settings. */
    void (*describe)(qc_str *out);
    /* Required. Makes an instance and stores it in *instance (may be NULL if the plugin needs none). settings is a
     * JSON object; unknown members must be ignored:
     *   "shell": "sh"      the shell that the user chose for command lines
     *   "settings": {"key": "value", ...}   since 1.1: what was set with `config:set EXECUTOR.key value`, all texts
     * On anything but QC_OK no instance exists and destroy is not called. */
    qc_status (*create)(const qc_host_v1 *host, void *ctx, qc_str settings, void **instance, qc_error *error);
    /* Required. Frees the instance. Called at most once, when none of its runs is left. After it returns the plugin
     * must not call the host for this instance any more. */
    void (*destroy)(void *instance);
    /* Required. Starts a run and returns at once; usually it calls host->spawn. QC_OK: the run is under way and its
     * end will be reported. Anything else: the run is over, the host reports it, with the message in *error. */
    qc_status (*start)(void *instance, const qc_run_v1 *run, qc_error *error);
    /* Optional. The process that was spawned for the run ended, and whatever it left behind is dealt with.
     * QC_OK: the plugin calls host->finished, now or later. QC_UNHANDLED (or NULL slot): the host decides: exit status 0 is
     * success, all else failure. Not called once the plugin has reported the run's end. */
    qc_status (*exited)(void *instance, uint64_t run, const qc_exit_v1 *exit);
    /* Optional. The run shall stop; mode: QC_STOP_*. May come repeatedly, and for a run that has just ended.
     * QC_OK: the plugin makes it stop and reports its end; the host leaves the process alone until the grace period is over,
     * then kills it. QC_UNHANDLED (or NULL slot): the host stops the spawned process. A run without a process ends
     * only by the plugin's report, so a plugin with such runs should have this. */
    qc_status (*stop)(void *instance, uint64_t run, uint32_t mode);
    uint64_t features; /* since 1.1: no bits are defined yet; 0 */
    /* Since 1.1, optional. Could jobs run now? QC_OK, or QC_SYSTEM_FAILURE with the reason in *error (no engine, say).
     * May take up to a few seconds: it is not called while jobs wait for it. */
    qc_status (*fingerprint)(void *instance, qc_error *error);
    /* Since 1.1, optional. Is this request (as in qc_run_v1) one that start could take? QC_OK, or QC_INVALID with the
     * reason. Called before a job is stored, in a process of its own; must not need anything but the request. */
    qc_status (*validate)(void *instance, qc_str request, qc_error *error);
    /* Since 1.1, optional. Passes a signal (its number on this platform) on to a run. QC_UNHANDLED (or NULL slot): the
     * host signals the process it spawned. */
    qc_status (*signal)(void *instance, uint64_t run, int32_t signal);
    /* Since 1.1, optional. Like start, for a run whose worker process died: the work goes on where it was, found by
     * the handle that was saved for it. Without this slot such a run is a crashed attempt. Output that was captured
     * before is lost with the old process: give all of it again if you can. */
    qc_status (*reattach)(void *instance, const qc_run_v1 *run, qc_str handle, qc_error *error);
    /* Since 1.1, optional. The run's outcome, which finished had reported, is durable now, or is not wanted any more:
     * what was kept for reattaching can be removed. Not called if the worker process dies before; see discard and reap. */
    void (*recorded)(void *instance, uint64_t run);
    /* Since 1.1, optional. Ends and removes whatever carries a mark "STORE.NODE" of this store whose node is not among
     * alive (marks as in qc_run_v1). Called before the first run and whenever nodes have gone; must return at once, and
     * runs that are started later must not overlap with what is being removed for the same job. Where several worker
     * processes do it at the same time, each must live with the others being faster. */
    void (*reap)(void *instance, qc_str store, const qc_str *alive, size_t alive_len);
    /* Since 1.1, optional. Sets *out to a JSON object of numbers, valid until the next call for this instance. */
    void (*stats)(void *instance, qc_str *out);
    /* Since 1.1, optional. No run is left, none will come, destroy follows: end threads, flush. */
    void (*shutdown)(void *instance);
    /* Since 1.2, optional. What recorded is for a run of this instance, this is for one of a worker process that died
     * before recorded was called, or may have: nobody wants the run any more. End it if it goes on, and remove what was
     * kept; handle is the last that was saved. It may all be gone already. Must return at once. */
    void (*discard)(void *instance, qc_str handle);
} qc_plugin_v1;

/* To be exported by the plugin. */
QC_EXPORT uint64_t queuectl_plugin_magic(void);
/* host_minor is the newest minor version the host knows. Returns a static vtable, or NULL if this plugin cannot serve
 * such a host. */
QC_EXPORT const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor);

#ifdef __cplusplus
}
#endif
#endif
