/* The executor that does nothing: every run is over as soon as it starts. What remains is the cost of queuectl itself. */
#include <string.h>

#include "queuectl_plugin.h"

static const qc_host_v1 *host;
static void *host_ctx;

static void describe(qc_str *out) {
    static const char text[] = "{\"name\":\"noop\",\"version\":\"1\",\"about\":\"does nothing, for measuring\"}";
    out->ptr = (const uint8_t *)text;
    out->len = sizeof text - 1;
}

static qc_status create(const qc_host_v1 *h, void *ctx, qc_str settings, void **instance, qc_error *error) {
    (void)settings, (void)error;
    host = h, host_ctx = ctx, *instance = NULL;
    return QC_OK;
}

static void destroy(void *instance) { (void)instance; }

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    qc_outcome_v1 outcome = {.size = sizeof outcome, .kind = QC_SUCCEEDED};
    (void)instance, (void)error;
    host->finished(host_ctx, run->run, &outcome);
    return QC_OK;
}

static const qc_plugin_v1 plugin = {
    .size = sizeof plugin,
    .minor = QC_ABI_MINOR,
    .describe = describe,
    .create = create,
    .destroy = destroy,
    .start = start,
};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) {
    (void)host_minor;
    return &plugin;
}
