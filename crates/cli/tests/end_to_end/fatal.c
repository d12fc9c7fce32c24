/* A plugin that does to its worker process what the request's "do" says. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queuectl_plugin.h"

/* What stop answers for runs that go on all the same; -1: it does not return. */
static int deaf = -1;
static const qc_host_v1 *host;
static void *host_ctx;

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
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
    qc_outcome_v1 outcome;
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
    memset(&outcome, 0, sizeof outcome);
    outcome.size = sizeof outcome;
    outcome.kind = QC_SUCCEEDED;
    host->finished(host_ctx, run->run, &outcome);
    return QC_OK;
}

/* Only a run that stays is ever stopped. */
static qc_status stop(void *instance, uint64_t run, uint32_t mode) {
    (void)instance;
    (void)run;
    (void)mode;
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
};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &plugin;
}
