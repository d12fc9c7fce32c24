/* A plugin whose jobs print its name, which is NAME. */
#include <string.h>

#include "queuectl_plugin.h"

static const qc_host_v1 *host;
static void *host_ctx;

static qc_str str(const char *text) {
    qc_str s = {(const uint8_t *)text, strlen(text)};
    return s;
}

static void describe(qc_str *out) {
    *out = str("{\"name\":\"" NAME "\",\"version\":\"1\",\"about\":\"for tests\"}");
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
    qc_outcome_v1 outcome;
    (void)instance;
    (void)error;
    host->output(host_ctx, run->run, QC_STDOUT, str(NAME "\n"));
    memset(&outcome, 0, sizeof outcome);
    outcome.size = sizeof outcome;
    outcome.kind = QC_SUCCEEDED;
    host->finished(host_ctx, run->run, &outcome);
    return QC_OK;
}

static const qc_plugin_v1 plugin = {
    .size = sizeof(qc_plugin_v1),
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
