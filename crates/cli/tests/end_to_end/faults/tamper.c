/* The shell executor with a fault in between: what it asks of its host, or what the host tells it, is changed on the
 * way. For tests of plugin:check. SHELL_PLUGIN is the path of the shell executor's library. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "queuectl_plugin.h"

struct tamper {
    const qc_host_v1 *host;
    void *ctx;
    qc_host_v1 shown;
    void *inner;
};

static const qc_plugin_v1 *inner;

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
}

static int contains(qc_str text, const char *word) {
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= text.len; i++)
        if (!memcmp(text.ptr + i, word, len)) return 1;
    return 0;
}

static void output(void *ctx, uint64_t run, uint32_t stream, qc_str bytes) {
    struct tamper *t = ctx;
    t->host->output(t->ctx, run, stream, bytes);
}

static qc_status spawn(void *ctx, uint64_t run, const qc_spawn_v1 *asked, qc_error *error) {
    struct tamper *t = ctx;
    qc_spawn_v1 spawn = *asked;
    qc_str last = spawn.argv_len ? spawn.argv[spawn.argv_len - 1] : str("");
    (void)last, (void)contains;
#if defined NO_ENV
    spawn.env_len = 0;
#elif defined NO_STDIN
    spawn.stdin_bytes.ptr = NULL;
#elif defined NO_CWD
    spawn.cwd.ptr = NULL;
#elif defined NO_EMPTY_ARGUMENTS
    qc_str words[16];
    size_t count = 0;
    for (size_t i = 0; i < spawn.argv_len && i < 16; i++)
        if (spawn.argv[i].len) words[count++] = spawn.argv[i];
    spawn.argv = words, spawn.argv_len = count;
#elif defined EXTRA_BYTES
    if (contains(last, "377")) t->host->output(t->ctx, run, QC_STDOUT, str("extra"));
#elif defined EXTRA_FLOOD
    if (contains(last, "head -c")) t->host->output(t->ctx, run, QC_STDOUT, str("extra"));
#endif
    return t->host->spawn(t->ctx, run, &spawn, error);
}

static void finished(void *ctx, uint64_t run, const qc_outcome_v1 *outcome) {
    struct tamper *t = ctx;
    t->host->finished(t->ctx, run, outcome);
}

static void log_line(void *ctx, uint32_t level, qc_str text) {
    struct tamper *t = ctx;
    t->host->log(t->ctx, level, text);
}

static void describe(qc_str *out) {
    *out = str("{\"name\":\"tamper\",\"version\":\"1\",\"about\":\"for tests\","
               "\"capabilities\":[\"command\",\"argv\",\"env\",\"cwd\",\"stdin\"]}");
}

static qc_status create(const qc_host_v1 *host, void *ctx, qc_str settings, void **instance, qc_error *error) {
    struct tamper *t = calloc(1, sizeof *t);
    qc_status status;
    if (!t) return QC_SYSTEM_FAILURE;
    t->host = host, t->ctx = ctx;
    t->shown.size = offsetof(qc_host_v1, features);
    t->shown.log = log_line, t->shown.output = output, t->shown.spawn = spawn, t->shown.finished = finished;
    status = inner->create(&t->shown, t, settings, &t->inner, error);
    if (status == QC_OK) *instance = t;
    else free(t);
    return status;
}

static void destroy(void *instance) {
    struct tamper *t = instance;
    inner->destroy(t->inner);
    free(t);
}

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    return inner->start(((struct tamper *)instance)->inner, run, error);
}

#if defined WRONG_EXIT || defined WRONG_SIGNAL || defined NO_KILL
static qc_status exited(void *instance, uint64_t run, const qc_exit_v1 *exit) {
    struct tamper *t = instance;
    qc_outcome_v1 outcome = {.size = sizeof outcome, .kind = QC_FAILED, .fields = QC_HAS_EXIT_CODE, .exit_code = 1};
#if defined WRONG_EXIT
    if (exit->kind != QC_EXIT_CODE || !exit->code) return QC_UNHANDLED;
#elif defined WRONG_SIGNAL
    if (exit->kind != QC_EXIT_SIGNAL || exit->stopped) return QC_UNHANDLED;
#else
    if (exit->kind != QC_EXIT_SIGNAL || exit->code != 9 || !exit->stopped) return QC_UNHANDLED;
    return QC_OK;
#endif
    t->host->finished(t->ctx, run, &outcome);
    return QC_OK;
}
#endif

#ifdef NO_KILL
static qc_status stop(void *instance, uint64_t run, uint32_t mode) {
    (void)instance, (void)run, (void)mode;
    return QC_OK;
}
#endif

static const qc_plugin_v1 plugin = {
    .size = sizeof plugin, .minor = QC_ABI_MINOR, .describe = describe, .create = create, .destroy = destroy,
    .start = start,
#if defined WRONG_EXIT || defined WRONG_SIGNAL || defined NO_KILL
    .exited = exited,
#endif
#ifdef NO_KILL
    .stop = stop,
#endif
};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    void *library = dlopen(SHELL_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    const qc_plugin_v1 *(*entry)(uint32_t);
    if (!library) return NULL;
    *(void **)&entry = dlsym(library, "queuectl_plugin_v1");
    inner = entry(host_minor);
    return &plugin;
}
