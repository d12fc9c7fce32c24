/* A plugin that does what the request's "do" says, for tests of the host. Compiles with every header of ABI 1. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "queuectl_plugin.h"

static const qc_host_v1 *host;
static void *host_ctx;

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
}

static void report(uint64_t run, uint32_t kind, int code, const char *message) {
    qc_outcome_v1 outcome;
    memset(&outcome, 0, sizeof outcome);
    outcome.size = sizeof outcome;
    outcome.kind = kind;
    if (code >= 0) {
        outcome.fields = QC_HAS_EXIT_CODE;
        outcome.exit_code = code;
    }
    if (message) outcome.message = str(message);
    host->finished(host_ctx, run, &outcome);
}

static qc_status spawn(uint64_t run, size_t argc, const char **argv, qc_error *error) {
    qc_str words[8];
    qc_spawn_v1 s;
    for (size_t i = 0; i < argc; i++) words[i] = str(argv[i]);
    memset(&s, 0, sizeof s);
    s.size = sizeof s;
    s.argv = words;
    s.argv_len = argc;
    return host->spawn(host_ctx, run, &s, error);
}

static qc_status line(uint64_t run, const char *text, qc_error *error) {
    const char *argv[] = {"sh", "-c", text};
    return spawn(run, 3, argv, error);
}

static void fail(qc_error *error, const char *text) {
    error->len = strlen(text);
    memcpy(error->ptr, text, error->len);
}

static void *later(void *run) {
    report((uint64_t)(uintptr_t)run, QC_FAILED, 5, "from a thread");
    return NULL;
}

/* The runs whose exit this plugin turns into an outcome itself. */
static uint64_t watched;

static void describe(qc_str *out) {
    *out = str("{\"name\":\"odd\",\"version\":\"1\",\"about\":\"for tests\",\"unknown\":[]}");
}

static qc_status create(const qc_host_v1 *h, void *ctx, qc_str settings, void **instance, qc_error *error) {
    (void)settings;
    (void)error;
    host = h;
    host_ctx = ctx;
    *instance = NULL;
    return QC_OK;
}

static void destroy(void *instance) { (void)instance; }

#if QC_ABI_MINOR >= 1
static qc_status start_1_1(uint64_t run, const char *todo, qc_error *error);
#endif

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    char request[512] = {0};
    const char *todo;
    (void)instance;
    if (run->request.len >= sizeof request) return QC_INVALID;
    memcpy(request, run->request.ptr, run->request.len);
    todo = strstr(request, "\"do\":\"");
    if (!todo) return QC_INVALID;
    todo += 6;
    *strchr(todo, '"') = 0;
    if (!strcmp(todo, "at-once")) {
        host->output(host_ctx, run->run, QC_STDOUT, str("printed by the plugin\n"));
        host->log(host_ctx, QC_LOG_INFO, str("at once"));
        report(run->run, QC_SUCCEEDED, -1, NULL);
    } else if (!strcmp(todo, "thread")) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, later, (void *)(uintptr_t)run->run)) return QC_SYSTEM_FAILURE;
        pthread_detach(thread);
    } else if (!strcmp(todo, "twice")) {
        report(run->run, QC_FAILED, -1, "first");
        report(run->run, QC_SUCCEEDED, -1, NULL);
        report(run->run + 1000000, QC_SUCCEEDED, -1, NULL);
    } else if (!strcmp(todo, "spawn")) {
        return line(run->run, "echo spawned", error);
    } else if (!strcmp(todo, "exited")) {
        watched = run->run;
        return line(run->run, "exit 9", error);
    } else if (!strcmp(todo, "not-started")) {
        const char *argv[] = {"no-such-program"};
        return spawn(run->run, 1, argv, error);
    } else if (!strcmp(todo, "two-processes")) {
        qc_status status = line(run->run, "sleep 1000", error);
        return status == QC_OK ? line(run->run, "true", error) : status;
    } else if (!strcmp(todo, "bad-argv")) {
        return spawn(run->run, 0, NULL, error);
    } else if (!strcmp(todo, "invalid")) {
        fail(error, "not for me");
        return QC_INVALID;
    } else if (!strcmp(todo, "broken")) {
        fail(error, "out of order");
        return QC_SYSTEM_FAILURE;
    } else if (!strcmp(todo, "early")) {
        qc_status status = line(run->run, "sleep 1000", error);
        report(run->run, QC_SUCCEEDED, -1, NULL);
        return status;
    }
#if QC_ABI_MINOR >= 1
    return start_1_1(run->run, todo, error);
#else
    return QC_OK;
#endif
}

static qc_status exited(void *instance, uint64_t run, const qc_exit_v1 *exit) {
    (void)instance;
    if (run != watched) return QC_UNHANDLED;
    report(run, QC_FAILED, exit->code, exit->code == 9 ? "the plugin saw status 9" : "the plugin saw another status");
    return QC_OK;
}

static qc_status stop(void *instance, uint64_t run, uint32_t mode) {
    (void)instance;
    (void)mode;
    report(run, QC_FAILED, -1, "stopped");
    return QC_OK;
}

#if QC_ABI_MINOR >= 1
static int recorded_runs;
static char reaped[256];

static qc_status fingerprint(void *instance, qc_error *error) {
    (void)instance;
    fail(error, "the engine is away");
    return QC_SYSTEM_FAILURE;
}

static qc_status validate(void *instance, qc_str request, qc_error *error) {
    (void)instance;
    for (size_t i = 0; i + 4 <= request.len; i++)
        if (!memcmp(request.ptr + i, "\"do\"", 4)) return QC_OK;
    fail(error, "nothing to do");
    return QC_INVALID;
}

static qc_status on_signal(void *instance, uint64_t run, int32_t signal) {
    (void)instance;
    report(run, QC_FAILED, signal, "signalled");
    return QC_OK;
}

static qc_status reattach(void *instance, const qc_run_v1 *run, qc_str handle, qc_error *error) {
    (void)instance;
    (void)error;
    host->output(host_ctx, run->run, QC_STDOUT, handle);
    host->output(host_ctx, run->run, QC_STDOUT, run->mark);
    report(run->run, QC_SUCCEEDED, -1, NULL);
    return QC_OK;
}

static void recorded(void *instance, uint64_t run) {
    (void)instance;
    (void)run;
    recorded_runs++;
}

static void reap(void *instance, qc_str store, const qc_str *alive, size_t alive_len) {
    size_t at = 0;
    (void)instance;
    memcpy(reaped, store.ptr, store.len);
    at += store.len;
    for (size_t i = 0; i < alive_len; i++) {
        reaped[at++] = ' ';
        memcpy(reaped + at, alive[i].ptr, alive[i].len);
        at += alive[i].len;
    }
    reaped[at] = 0;
}

static void stats(void *instance, qc_str *out) {
    (void)instance;
    *out = str("{\"odd\":1}");
}

static void shut_down(void *instance) { (void)instance; }

#if QC_ABI_MINOR >= 2
/* Limits, described in full or too short, and flags that nobody knows. */
static qc_status limited(uint64_t run, size_t size, uint32_t flags, qc_error *error) {
    qc_str words[3] = {str("sh"), str("-c"), str("umask; ulimit -n; cat " QC_SPAWN_FILE_PATH)};
    qc_rlimit files = {QC_RLIMIT_NOFILE, 0, 50, QC_RLIM_KEEP};
    qc_spawn_v1 s;
    memset(&s, 0, sizeof s);
    s.size = (uint32_t)size;
    s.flags = QC_SPAWN_UMASK | QC_SPAWN_FILE | QC_SPAWN_RLIMITS | flags;
    s.argv = words;
    s.argv_len = 3;
    s.umask = 0123;
    s.rlimits = &files;
    s.rlimits_len = 1;
    s.file_bytes = str("from the plugin\n");
    return host->spawn(host_ctx, run, &s, error);
}

static char discarded[256];

static void discard(void *instance, qc_str handle) {
    (void)instance;
    strncat(discarded, " ", 2);
    strncat(discarded, (const char *)handle.ptr, handle.len);
}
#endif

static qc_status start_1_1(uint64_t run, const char *todo, qc_error *error) {
    (void)error;
#if QC_ABI_MINOR >= 2
    if (!strcmp(todo, "limited")) {
        if (!(host->features & QC_HOST_SPAWN_LIMITS)) return QC_SYSTEM_FAILURE;
        return limited(run, sizeof(qc_spawn_v1), 0, error);
    }
    if (!strcmp(todo, "too-short")) return limited(run, offsetof(qc_spawn_v1, umask), 0, error);
    if (!strcmp(todo, "too-new")) return limited(run, sizeof(qc_spawn_v1), 1u << 20, error);
#endif
    if (!strcmp(todo, "keep")) {
        host->event(host_ctx, run, str("saved"), str("for later"));
        return host->save_handle(host_ctx, run, str("over there"));
    }
    if (!strcmp(todo, "busy")) {
        qc_outcome_v1 outcome;
        memset(&outcome, 0, sizeof outcome);
        outcome.size = sizeof outcome;
        outcome.kind = QC_FAILED;
        outcome.fields = QC_HAS_RETRY_AFTER;
        outcome.retry_after_ms = 1500;
        host->finished(host_ctx, run, &outcome);
    }
#if QC_ABI_MINOR >= 2
    if (!strcmp(todo, "final")) {
        qc_outcome_v1 outcome;
        memset(&outcome, 0, sizeof outcome);
        outcome.size = sizeof outcome;
        outcome.kind = QC_FAILED;
        outcome.fields = QC_IS_FINAL;
        outcome.message = str("never");
        host->finished(host_ctx, run, &outcome);
    }
    if (!strcmp(todo, "discarded")) {
        host->output(host_ctx, run, QC_STDOUT, str(discarded));
        report(run, QC_SUCCEEDED, -1, NULL);
    }
#endif
#if QC_ABI_MINOR >= 3
    if (!strcmp(todo, "taken")) {
        qc_outcome_v1 outcome;
        if (!(host->features & QC_HOST_BUSY)) return QC_SYSTEM_FAILURE;
        memset(&outcome, 0, sizeof outcome);
        outcome.size = sizeof outcome;
        outcome.kind = QC_FAILED;
        outcome.fields = QC_IS_BUSY | QC_HAS_RETRY_AFTER;
        outcome.retry_after_ms = 2500;
        outcome.message = str("in use");
        host->finished(host_ctx, run, &outcome);
    }
#endif
    if (!strcmp(todo, "reaped")) {
        host->output(host_ctx, run, QC_STDOUT, str(reaped));
        report(run, QC_SUCCEEDED, -1, NULL);
    }
    if (!strcmp(todo, "recorded")) report(run, QC_FAILED, recorded_runs, "so many");
    return QC_OK;
}
#endif

static const qc_plugin_v1 plugin = {
    .size = sizeof(qc_plugin_v1),
    .minor = QC_ABI_MINOR,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .start = start,
    .exited = exited,
    .stop = stop,
#if QC_ABI_MINOR >= 1
    .fingerprint = fingerprint,
    .validate = validate,
    .signal = on_signal,
    .reattach = reattach,
    .recorded = recorded,
    .reap = reap,
    .stats = stats,
    .shutdown = shut_down,
#endif
#if QC_ABI_MINOR >= 2
    .discard = discard,
#endif
};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &plugin;
}
