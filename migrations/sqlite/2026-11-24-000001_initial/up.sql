-- The first schema of a queuectl store on SQLite.
--
-- Times are milliseconds since 1970-01-01 UTC. States: 1 pending, 2 scheduled, 3 processing, 4 failed (waiting for
-- its retry), 5 completed, 6 dead, 7 cancelled; 0 is kept free.
--
-- SQLite keeps the text of each CREATE and reads it again at every opening, so comments stand before and not in it.

-- Hot and narrow: what claiming, promoting and recording touch. What the job runs is in payloads.
-- - id: never reused, not even after a purge
-- - name: the id the user chose, if any
-- - fence: grows with every claim; with id and node_id the token
-- - max_retries, backoff_base, timeout_ms: NULL follows the setting
-- The checks do without IN of three or more values, for which SQLite builds a table of its own for each row it checks.
CREATE TABLE jobs (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    name             TEXT,
    queue            TEXT    NOT NULL,
    state            INTEGER NOT NULL CHECK (state BETWEEN 1 AND 7),
    priority         INTEGER NOT NULL,
    attempts         INTEGER NOT NULL CHECK (attempts >= 0),
    fence            INTEGER NOT NULL CHECK (fence >= 0),
    system_failures  INTEGER NOT NULL CHECK (system_failures >= 0),
    max_retries      INTEGER,
    backoff_base     REAL,
    timeout_ms       INTEGER,
    executor         TEXT    NOT NULL,
    due_at           INTEGER,
    node_id          INTEGER,
    cancel_requested INTEGER NOT NULL CHECK (cancel_requested IN (0, 1)),
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    started_at       INTEGER,
    finished_at      INTEGER,
    CHECK ((due_at IS NOT NULL) = (state = 2 OR state = 4)),
    CHECK ((node_id IS NOT NULL) = (state = 3)),
    CHECK ((finished_at IS NOT NULL) = (state >= 5))
) STRICT;

CREATE UNIQUE INDEX jobs_name ON jobs (name) WHERE name IS NOT NULL;
-- Disjoint partial indexes: a claim never walks over finished, waiting or running jobs.
CREATE INDEX jobs_ready ON jobs (queue, priority DESC, id) WHERE state = 1;
CREATE INDEX jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX jobs_running ON jobs (node_id) WHERE node_id IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;

-- What a job runs.
-- - payload: JSON: command, env, cwd, stdin, payload
CREATE TABLE payloads (
    job_id  INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    payload TEXT NOT NULL
) STRICT;

-- One row per ended attempt, written once, when it ended.
-- - output_bytes: printed in all, kept or not
CREATE TABLE attempts (
    job_id       INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    fence        INTEGER NOT NULL,
    attempt      INTEGER NOT NULL,
    node_id      INTEGER NOT NULL,
    worker       INTEGER NOT NULL,
    outcome      INTEGER NOT NULL CHECK (outcome BETWEEN 1 AND 8),
    exit_code    INTEGER,
    signal       INTEGER,
    message      TEXT    NOT NULL,
    started_at   INTEGER NOT NULL,
    finished_at  INTEGER NOT NULL,
    output_bytes INTEGER NOT NULL,
    PRIMARY KEY (job_id, fence)
) STRICT, WITHOUT ROWID;

-- What an attempt printed, apart from attempts so that those rows stay narrow. No row: it printed nothing.
CREATE TABLE outputs (
    job_id INTEGER NOT NULL,
    fence  INTEGER NOT NULL,
    head   BLOB    NOT NULL,
    tail   BLOB    NOT NULL,
    PRIMARY KEY (job_id, fence),
    FOREIGN KEY (job_id, fence) REFERENCES attempts (job_id, fence) ON DELETE CASCADE
) STRICT;

-- Nodes that are running, or that died and were not rescued yet.
-- - cookie: marks every process the node starts
-- - queues: JSON array; empty: all queues
-- - stop_requested: 1: finish running jobs, 2: stop them
CREATE TABLE nodes (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    cookie         TEXT    NOT NULL UNIQUE,
    host           TEXT    NOT NULL,
    pid            INTEGER NOT NULL,
    version        TEXT    NOT NULL,
    workers        INTEGER NOT NULL,
    concurrency    INTEGER NOT NULL,
    queues         TEXT    NOT NULL,
    started_at     INTEGER NOT NULL,
    heartbeat_at   INTEGER NOT NULL,
    stop_requested INTEGER NOT NULL CHECK (stop_requested BETWEEN 0 AND 2)
) STRICT;

CREATE TABLE settings (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 1363366988; -- "QCTL"
PRAGMA user_version = 1;
