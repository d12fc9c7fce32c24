/* The `append` executor: adds a line to a file, whole or not at all, however many jobs do so at the same time.
 * A job: {"executor": "append", "payload": {"file": "/var/log/mine.log", "line": "text"}} */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queuectl_plugin.h"

struct instance { const qc_host_v1 *host; void *ctx; };

static qc_str str(const char *text) { return (qc_str){(const uint8_t *)text, strlen(text)}; }

static qc_status refuse(qc_error *error, const char *why) {
    if (error && error->ptr) error->len = strlen(why) < error->cap ? strlen(why) : error->cap, memcpy(error->ptr, why, error->len);
    return QC_INVALID;
}

/* Copies the text of a member with its quote, `"name":"`, to `to`. It knows no escapes; a JSON library would. */
static int member(qc_str json, const char *name, char *to, size_t room) {
    size_t len = strlen(name), at = 0, used = 0;
    while (at + len <= json.len && memcmp(json.ptr + at, name, len)) at++;
    for (at += len; at < json.len && used + 1 < room; to[used++] = (char)json.ptr[at++])
        if (json.ptr[at] == '"') return to[used] = 0, used > 0;
        else if (json.ptr[at] == '\\' || json.ptr[at] < ' ') return 0;
    return 0;
}

static void describe(qc_str *out) {
    *out = str("{\"name\":\"append\",\"version\":\"1.0.0\",\"about\":\"Adds a line to a file\",\"schema\":{\"type\":\"object\","
               "\"properties\":{\"file\":{\"type\":\"string\"},\"line\":{\"type\":\"string\"}},\"required\":[\"file\",\"line\"]}}");
}

static qc_status create(const qc_host_v1 *host, void *ctx, qc_str settings, void **instance, qc_error *error) {
    struct instance *made = malloc(sizeof *made);
    (void)settings, (void)error;
    if (!made) return QC_SYSTEM_FAILURE;
    *made = (struct instance){host, ctx};
    return *instance = made, QC_OK;
}

static void destroy(void *instance) { free(instance); }

static qc_status validate(void *instance, qc_str request, qc_error *error) {
    char file[4096], line[4096];
    (void)instance;
    if (!member(request, "\"file\":\"", file, sizeof file)) return refuse(error, "the payload needs a \"file\", without escapes");
    if (!member(request, "\"line\":\"", line, sizeof line)) return refuse(error, "the payload needs a \"line\", without escapes");
    return QC_OK;
}

static qc_status start(void *instance, const qc_run_v1 *run, qc_error *error) {
    struct instance *me = instance;
    char file[4096], line[4096 + 1];
    qc_outcome_v1 outcome = {.size = sizeof outcome, .kind = QC_SUCCEEDED};
    if (validate(me, run->request, error) != QC_OK) return QC_INVALID;
    member(run->request, "\"file\":\"", file, sizeof file), member(run->request, "\"line\":\"", line, sizeof line - 1);
    /* One write of a file opened for appending: nobody else's line comes in between. */
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    ssize_t length = (ssize_t)strlen(strcat(line, "\n"));
    if (fd < 0 || write(fd, line, (size_t)length) != length) outcome.kind = QC_FAILED, outcome.message = str(strerror(errno));
    if (fd >= 0) close(fd);
    me->host->finished(me->ctx, run->run, &outcome);
    return QC_OK;
}

static const qc_plugin_v1 plugin = {.size = sizeof plugin, .minor = QC_ABI_MINOR, .describe = describe, .create = create,
                                    .destroy = destroy, .start = start, .validate = validate};

uint64_t queuectl_plugin_magic(void) { return QC_MAGIC; }

const qc_plugin_v1 *queuectl_plugin_v1(uint32_t host_minor) { return (void)host_minor, &plugin; }
