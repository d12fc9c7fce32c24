/* An executor that keeps every rule, and with one of the macros below breaks exactly one: for tests of plugin:check.
 * A job of it says {"payload":{"do":"it"}}. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "queuectl_plugin.h"

#define CRASH() (*(volatile int *)0 = 1)
#define HANG() for (;;) pause()

#ifdef HANG_LOAD
/* With the loader's lock held. */
__attribute__((constructor)) static void load(void) { HANG(); }
#endif

#ifdef LOAD_UMASK
__attribute__((constructor)) static void load(void) { umask(0); }
#endif

/* What a thread does that a run leaves behind. */
static void *idle(void *nothing) {
    for (;;) pause();
    return nothing;
}

static void handle(int signal) { (void)signal; }

/* Changes what the process shares with all jobs. */
static void spoil(void) {
    sigset_t set;
    struct rlimit limit;
    pthread_t thread;
    (void)set, (void)limit, (void)thread, (void)idle, (void)handle;
#if defined SETENV
    setenv("PATH", "/nowhere", 1);
#elif defined CHDIR
    if (chdir("/")) abort();
#elif defined UMASK
    umask(0);
#elif defined CHILD_HANDLER
    signal(SIGCHLD, handle);
#elif defined IGNORES
    signal(SIGUSR1, SIG_IGN);
#elif defined PIPE_DEFAULT
    signal(SIGPIPE, SIG_DFL);
#elif defined BLOCKS
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
#elif defined LOWERS
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur--;
    setrlimit(RLIMIT_NOFILE, &limit);
#elif defined CLOSES
    close(0);
#elif defined INHERITED
    if (open("/dev/null", O_RDONLY) < 0) abort();
#elif defined LEAKS
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) abort();
#elif defined THREADS
    if (pthread_create(&thread, NULL, idle, NULL)) abort();
#elif defined SETUID
    if (setresuid(65534, 65534, 0)) abort();
#endif
}

struct faulty {
    const qc_host_v1 *host;
    void *ctx;
};

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
}

static qc_status refuse(qc_error *error) {
    static const char why[] = "nothing to do \xe2\x80\x94 not for me";
    size_t len = sizeof why - 1;
#ifdef BAD_TEXT
    static const char bad[] = "\xff\xfe";
    if (error && error->cap >= 2) memcpy(error->ptr, bad, error->len = 2);
    return QC_INVALID;
#endif
#ifdef NO_NULL
    error->len = 0;
#endif
    if (!error || !error->ptr) return QC_INVALID;
#ifndef BEYOND_CAP
    if (len > error->cap) len = error->cap;
    /* Not within a character. */
    while (len && len < sizeof why - 1 && (why[len] & 0xc0) == 0x80) len--;
#endif
    memcpy(error->ptr, why, len);
    error->len = len;
    return QC_INVALID;
}

static int has(qc_str request, const char *key) {
    size_t len = strlen(key);
    for (size_t i = 0; i + len <= request.len; i++)
        if (!memcmp(request.ptr + i, key, len)) return 1;
    return 0;
}

static int wanted(qc_str request) {
    return has(request, "\"do\":\"it\"");
}

static void report(struct faulty *f, uint64_t run, uint32_t kind) {
    qc_outcome_v1 outcome = {.size = sizeof outcome, .kind = kind, .message = str("as told")};
    f->host->finished(f->ctx, run, &outcome);
}

static void describe(qc_str *out) {
#if defined NO_JSON
    *out = str("faults 1.0");
#elif defined WRONG_NAME
    *out = str("{\"name\":\"another\",\"version\":\"1\",\"about\":\"for tests\"}");
#elif defined BAD_SCHEMA
    *out = str("{\"name\":\"faults\",\"version\":\"1\",\"about\":\"for tests\",\"schema\":\"none\"}");
#else
    *out = str("{\"name\":\"faults\",\"version\":\"1\",\"about\":\"for tests\",\"capabilities\":[\"payload\"]}");
#endif
}

#ifdef SHARED_HOST
static struct faulty shared;
#endif

static qc_status create(const qc_host_v1 *host, void *ctx, qc_str settings, void **instance, qc_error *error) {
    struct faulty *f = malloc(sizeof *f);
    (void)settings, (void)error;
#if defined CRASH_CREATE
    CRASH();
#elif defined HANG_CREATE
    HANG();
#elif defined EXIT_CREATE
    exit(0);
#elif defined REFUSE_CREATE
    return refuse(error);
#elif defined CRASH_SETTINGS
    if (!settings.len || settings.ptr[0] != '{') CRASH();
#elif defined STRICT_SIZE
    if (host->size > sizeof *host) return refuse(error);
#elif defined PRINTS
    printf("{\"Ended\":{\"verdict\":\"Ok\"}}\ncreated\n");
    fflush(stdout);
#endif
    if (!f) return QC_SYSTEM_FAILURE;
    f->host = host, f->ctx = ctx;
    *instance = f;
#ifdef SHARED_HOST
    shared = *f;
    *instance = &shared;
#endif
    return QC_OK;
}

#ifdef LATE_CALL
static void *late(void *instance) {
    struct faulty *f = instance;
    struct timespec moment = {0, 20 * 1000 * 1000};
    nanosleep(&moment, NULL);
    f->host->log(f->ctx, QC_LOG_INFO, str("still there"));
    return NULL;
}
#endif

static void destroy(void *instance) {
#if defined CRASH_DESTROY
    static int before;
    if (before++) CRASH();
#elif defined LATE_CALL
    pthread_t thread;
    if (!pthread_create(&thread, NULL, late, instance)) pthread_detach(thread);
    return;
#elif defined HANG_LEAVE
    if (getenv("QUEUECTL_COOKIE")) HANG();
#elif defined SHARED_HOST
    return;
#endif
    free(instance);
}

#ifdef STRAY_CONTEXT
static char nobody;
#endif

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    struct faulty *f = instance;
    if (!wanted(run->request)) {
#ifdef CRASH_REQUEST
        if (!run->request.len) CRASH();
#endif
        return refuse(error);
    }
    if (has(run->request, "slowly")) {
        qc_str words[] = {str("sleep"), str("30")};
        qc_spawn_v1 spawn = {.size = sizeof spawn, .argv = words, .argv_len = 2};
#ifdef TAKEOVER
        f->host->save_handle(f->ctx, run->run, str("over there"));
#endif
        return f->host->spawn(f->ctx, run->run, &spawn, error);
    }
    spoil();
#if defined CRASH_START
    CRASH();
#elif defined HANG_START
    HANG();
#elif defined EXIT_START
    exit(0);
#elif defined SLOW_START
    struct timespec moment = {1, 100 * 1000 * 1000};
    nanosleep(&moment, NULL);
#elif defined REFUSE_START
    return refuse(error);
#elif defined NEVER_FINISHED
    return QC_OK;
#elif defined EARLY_FINISHED
    qc_str pause[] = {str("sleep"), str("30")};
    qc_spawn_v1 process = {.size = sizeof process, .argv = pause, .argv_len = 2};
    qc_status status = f->host->spawn(f->ctx, run->run, &process, error);
    if (status == QC_OK) report(f, run->run, QC_SUCCEEDED);
    return status;
#elif defined FAILS
    report(f, run->run, QC_FAILED);
    return QC_OK;
#elif defined UNREADABLE
    qc_outcome_v1 outcome = {.size = 4, .kind = QC_SUCCEEDED};
    f->host->finished(f->ctx, run->run, &outcome);
    return QC_OK;
#elif defined NEW_SLOTS
    f->host->event(f->ctx, run->run, str("started"), str(""));
#elif defined READS_MARK
    if (run->mark.ptr[0] == 'x') return refuse(error);
#elif defined MANY
    static int runs;
    if (++runs > 50) return QC_SYSTEM_FAILURE;
#elif defined STRAY_CONTEXT
    qc_outcome_v1 outcome = {.size = sizeof outcome, .kind = QC_SUCCEEDED};
    f->host->finished(f->ctx, run->run, &outcome);
    f->host->output(&nobody, run->run, QC_STDOUT, str("hello"));
    return QC_OK;
#elif defined PRINTS
    printf("{\"Ended\":{\"verdict\":\"Ok\"}}\nstarted\n");
    fflush(stdout);
    (void)!write(1, "\0\0\0\0", 4);
#elif defined EXITED_SUCCESS || defined EXITED_STATUS || defined WORKER_JOB || defined WORKER_MANY
    qc_str word = str("true");
    qc_spawn_v1 spawn = {.size = sizeof spawn, .argv = &word, .argv_len = 1};
#if defined WORKER_JOB
    word = str("false");
#elif defined WORKER_MANY
    if (run->run > 50) word = str("false");
#endif
    return f->host->spawn(f->ctx, run->run, &spawn, error);
#elif defined CRASH_REATTACH || defined REATTACH
    if (f->host->size > offsetof(qc_host_v1, save_handle)) f->host->save_handle(f->ctx, run->run, str("over there"));
#endif
    f->host->output(f->ctx, run->run, QC_STDOUT, str("done\n"));
    report(f, run->run, QC_SUCCEEDED);
#if defined TWICE
    report(f, run->run, QC_FAILED);
#elif defined LATE_OUTPUT
    f->host->output(f->ctx, run->run, QC_STDOUT, str("one more thing\n"));
#endif
    return QC_OK;
}

static qc_status exited(void *instance, uint64_t run, const qc_exit_v1 *exit) {
    (void)instance, (void)run, (void)exit;
#if defined EXITED_SUCCESS
    /* Not for runs that are not there: that is another rule. */
    if (run < 1000 && exit->code) {
        report(instance, run, QC_SUCCEEDED);
        return QC_OK;
    }
#elif defined EXITED_STATUS
    if (exit->code) return 42;
#elif defined EARLY_FINISHED
    /* Nobody tells of the end of a run that is over. */
    return 42;
#endif
    return QC_UNHANDLED;
}

static qc_status stop(void *instance, uint64_t run, uint32_t mode) {
    (void)instance, (void)run, (void)mode;
#if defined CRASH_STOP
    CRASH();
#elif defined UNKNOWN_RUN
    report(instance, run, QC_FAILED);
#elif defined STOP_TWICE
    static uint64_t before;
    if (before == run && mode == QC_STOP_KILL && run < 1000) CRASH();
    if (mode == QC_STOP_KILL) before = run;
#endif
    return QC_UNHANDLED;
}

static qc_status fingerprint(void *instance, qc_error *error) {
    (void)instance, (void)error;
#if defined FINGERPRINT
    return 7;
#else
    return QC_OK;
#endif
}

static qc_status validate(void *instance, qc_str request, qc_error *error) {
    (void)instance;
#if defined CRASH_VALIDATE
    if (!request.len) CRASH();
#elif defined REFUSE_VALIDATE
    return refuse(error);
#endif
    return wanted(request) ? QC_OK : refuse(error);
}

static void reap(void *instance, qc_str store, const qc_str *alive, size_t alive_len) {
    (void)instance, (void)store, (void)alive, (void)alive_len;
#ifdef CRASH_REAP
    if (alive[0].len == store.len) return;
#endif
}

static void stats(void *instance, qc_str *out) {
    (void)instance;
#if defined CRASH_STATS
    CRASH();
#elif defined STATS_NO_JSON
    *out = str("runs: 7");
#elif defined STATS_TEXTS
    *out = str("{\"runs\":\"seven\"}");
#else
    *out = str("{\"runs\":7}");
#endif
}

#if defined CRASH_REATTACH || defined REATTACH || defined TAKEOVER
static qc_status reattach(void *instance, const qc_run_v1 *run, qc_str handle, qc_error *error) {
    (void)instance, (void)run;
#ifdef CRASH_REATTACH
    if (!handle.len) CRASH();
#endif
    (void)handle;
    return refuse(error);
}
#endif

#ifdef CRASH_DISCARD
static void discard(void *instance, qc_str handle) {
    (void)instance;
    if (!handle.len) CRASH();
}
#endif

static const qc_plugin_v1 plugin = {
    .size = sizeof plugin, .minor = QC_ABI_MINOR, .describe = describe, .create = create,
#ifndef NO_DESTROY
    .destroy = destroy,
#endif
    .start = start, .exited = exited, .stop = stop, .fingerprint = fingerprint, .validate = validate, .reap = reap,
    .stats = stats,
#if defined CRASH_REATTACH || defined REATTACH || defined TAKEOVER
    .reattach = reattach,
#endif
#ifdef CRASH_DISCARD
    .discard = discard,
#endif
};

uint64_t queuectl_plugin_magic(void) {
#ifdef WRONG_MAGIC
    return 7;
#else
    return QC_MAGIC;
#endif
}

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    (void)host_minor, (void)destroy;
    return &plugin;
}
