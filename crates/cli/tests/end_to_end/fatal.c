/* A plugin that does to its worker process what the request's "do" says. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "queuectl_plugin.h"

/* What stop answers for runs that go on all the same; -1: it does not return. */
static int deaf = -1;
/* Runs are such as can be taken over, and end when they are stopped. */
static int kept;
static const qc_host_v1 *host;
static void *host_ctx;

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
}

static void report(uint64_t run, uint32_t kind) {
    qc_outcome_v1 outcome;
    memset(&outcome, 0, sizeof outcome);
    outcome.size = sizeof outcome;
    outcome.kind = kind;
    host->finished(host_ctx, run, &outcome);
}

/* A thread that sleeps for a second, and fails if anything keeps it from that. */
static void *nap(void *run) {
    struct timespec second = {1, 0};
    int woken = nanosleep(&second, NULL);
    report((uint64_t)(uintptr_t)run, woken ? QC_FAILED : QC_SUCCEEDED);
    return NULL;
}

static void describe(qc_str *out) {
    *out = str("{\"name\":\"fatal\",\"version\":\"1\",\"about\":\"for tests\"}");
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

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    char request[512] = {0};
    static char line[64 * 1024];
    pthread_t thread;
    (void)instance;
    (void)error;
    if (run->request.len >= sizeof request) return QC_INVALID;
    memcpy(request, run->request.ptr, run->request.len);
    if (strstr(request, "segfault")) *(volatile int *)NULL = 1;
    if (strstr(request, "abort")) abort();
    if (strstr(request, "exit")) _exit(0);
    if (strstr(request, "hang")) for (;;) pause();
    if (strstr(request, "deaf")) {
        deaf = strstr(request, "unhandled") ? QC_UNHANDLED : QC_OK;
        return QC_OK;
    }
    if (strstr(request, "stay")) return QC_OK;
    if (strstr(request, "keep")) {
        kept = 1;
        if (host->save_handle(host_ctx, run->run, str("kept"))) abort();
        host->event(host_ctx, run->run, str("kept"), str(""));
        return QC_OK;
    }
    if (strstr(request, "nap")) {
        if (pthread_create(&thread, NULL, nap, (void *)(uintptr_t)run->run)) abort();
        pthread_detach(thread);
        return QC_OK;
    }
    if (strstr(request, "print")) {
        memset(line, 'x', sizeof line - 1);
        line[sizeof line - 1] = '\n';
        for (int i = 0; i < 1024 * 1024 * 64 / (int)sizeof line; i++)
            if (write(2, line, sizeof line) < 0) abort();
    }
    report(run->run, QC_SUCCEEDED);
    return QC_OK;
}

static qc_status reattach(void *instance, const qc_run_v1 *run, qc_str handle, qc_error *error) {
    (void)instance;
    (void)handle;
    (void)error;
    kept = 1;
    host->event(host_ctx, run->run, str("kept"), str("again"));
    return QC_OK;
}

static qc_status stop(void *instance, uint64_t run, uint32_t mode) {
    (void)instance;
    (void)mode;
    if (kept) {
        report(run, QC_FAILED);
        return QC_OK;
    }
    if (deaf != -1) return deaf;
    for (;;) pause();
}

static const qc_plugin_v1 plugin = {
    .size = sizeof(qc_plugin_v1),
    .minor = QC_ABI_MINOR,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .start = start,
    .stop = stop,
    .reattach = reattach,
};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &plugin;
}
