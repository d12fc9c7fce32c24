-- Flow control: what keeps a job from starting although its time has come.

-- Gates
--
-- Blocked jobs: state 0. SQLite cannot change a CHECK by a statement, so its text is edited as SQLite's documentation of
-- ALTER TABLE describes; no row of an older file can break the wider rule.
-- - gates: a bit mask of what has to be looked at when the job ends or starts (`core::Gates`); 0 for a plain job
-- - waits: a bit mask of what blocks the job (`core::Waits`); 0 unless it is blocked
-- - resume_at: when a blocked job is due once nothing blocks it
-- - unmet: the job for which this one was cancelled or held, because it did not end as this one needs it
-- - limits: the limits that the job names, with their keys, parted by blanks
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (state BETWEEN 1 AND 7)', 'CHECK (state BETWEEN 0 AND 7)')
WHERE type = 'table' AND name = 'jobs';
-- Reads the schema again.
PRAGMA writable_schema = RESET;
ALTER TABLE jobs ADD COLUMN gates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN resume_at INTEGER;
ALTER TABLE jobs ADD COLUMN unmet INTEGER;
ALTER TABLE jobs ADD COLUMN limits TEXT;
CREATE INDEX jobs_blocked ON jobs (queue) WHERE state = 0;
CREATE INDEX all_blocked ON jobs (state) WHERE state = 0;

-- Dependencies
--
-- Which jobs wait for which. An edge outlives its parent, and goes with its child.
-- - condition: 1 completed, 2 dead or cancelled, 3 either
-- - unmet: what becomes of the child otherwise: 1 cancelled, 2 held, 3 it runs
-- - outcome: the state in which the parent ended; NULL until then
CREATE TABLE edges (
    child     INTEGER NOT NULL,
    parent    INTEGER NOT NULL,
    condition INTEGER NOT NULL CHECK (condition BETWEEN 1 AND 3),
    unmet     INTEGER NOT NULL CHECK (unmet BETWEEN 1 AND 3),
    outcome   INTEGER CHECK (outcome BETWEEN 5 AND 7),
    PRIMARY KEY (child, parent)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_parent ON edges (parent, child);

-- Limits

-- How many jobs of a key run at a time, and how fast they start.
-- - running: NULL for any number
-- - per_key: whether each key is counted by itself
-- - busy_status, busy_wait_ms: an attempt that ends with this status has its keys wait
CREATE TABLE limits (
    name           TEXT PRIMARY KEY,
    running        INTEGER CHECK (running >= 0),
    per_key        INTEGER NOT NULL CHECK (per_key IN (0, 1)),
    rate_count     INTEGER CHECK (rate_count > 0),
    rate_period_ms INTEGER CHECK (rate_period_ms > 0),
    burst          INTEGER CHECK (burst > 0),
    busy_status    INTEGER,
    busy_wait_ms   INTEGER,
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Jobs that name limits, while that matters. phase: 1 the job waits for the key, 2 it runs and holds the key, 3 it is ready.
CREATE TABLE job_limits (
    job_id   INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    priority INTEGER NOT NULL,
    phase    INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 3),
    PRIMARY KEY (job_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_limits_order ON job_limits (key, phase, priority DESC, job_id);

-- What a key knows besides its jobs.
-- - tat: by when its starts so far are paid for, in ns (GCRA)
-- - wake_at: when it is to be looked at for jobs that wait
CREATE TABLE limit_keys (
    key     TEXT PRIMARY KEY,
    tat     INTEGER,
    wake_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_keys_wake ON limit_keys (wake_at) WHERE wake_at IS NOT NULL;

-- Queues
--
-- What an operator has said of a queue. A queue of which nothing is said has no row.
-- - paused_at, paused_until: NULL unless it was paused; a pause without an end has the largest number
-- - paused_by: the user and the machine
CREATE TABLE queues (
    name         TEXT PRIMARY KEY,
    paused_at    INTEGER,
    paused_until INTEGER,
    paused_by    TEXT,
    pause_reason TEXT,
    CHECK ((paused_at IS NULL) = (paused_until IS NULL))
) STRICT, WITHOUT ROWID;

-- Schedules
--
-- What makes jobs at given times.
-- - template: the job that each tick makes, as JSON
-- - missed, overlap: `core::schedule`
-- - start_at: from when an `@every` counts
-- - next_due: the first tick that is not accounted for; NULL if there is none to come
-- - runs: the numbers of jobs not known to have ended, with blanks between them
-- - dead_runs: dead runs in a row, as far as the last tick saw
-- - seen_at: when a node last looked at it
-- - tick_rows: about how many rows it has in ticks
CREATE TABLE schedules (
    name          TEXT    PRIMARY KEY,
    expression    TEXT    NOT NULL,
    zone          TEXT    NOT NULL,
    template      TEXT    NOT NULL,
    missed        INTEGER NOT NULL,
    missed_ms     INTEGER NOT NULL,
    overlap       INTEGER NOT NULL,
    jitter_ms     INTEGER,
    pause_after   INTEGER,
    owner         TEXT,
    start_at      INTEGER NOT NULL,
    next_due      INTEGER,
    paused_at     INTEGER,
    paused_reason TEXT,
    runs          TEXT    NOT NULL,
    dead_runs     INTEGER NOT NULL,
    tick_rows     INTEGER NOT NULL,
    seen_at       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_due) WHERE next_due IS NOT NULL AND paused_at IS NULL;

-- What became of each tick. The key is what keeps two nodes from making one tick's job twice. A row outlives its job.
-- - result: `core::schedule::TickResult`
-- - count: how many it stands for, in a row from `at` to `last_at`; more: there were more than were counted
CREATE TABLE ticks (
    schedule TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    result   INTEGER NOT NULL,
    made_at  INTEGER NOT NULL,
    job_id   INTEGER,
    reason   TEXT,
    count    INTEGER NOT NULL,
    more     INTEGER NOT NULL CHECK (more IN (0, 1)),
    last_at  INTEGER NOT NULL,
    PRIMARY KEY (schedule, at)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticks_job ON ticks (job_id) WHERE job_id IS NOT NULL;

-- Unique jobs. States up to 4 have not ended.
-- - unique_key: the key that no other job may have which has not ended
-- - unique_ms: for how long after created_at it keeps the key even if it has ended; NULL: not at all
-- - follows: the running job whose key it takes when that ends; only such a job may have the key beside the one that runs
ALTER TABLE jobs ADD COLUMN unique_key TEXT;
ALTER TABLE jobs ADD COLUMN unique_ms INTEGER;
ALTER TABLE jobs ADD COLUMN follows INTEGER;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key) WHERE unique_key IS NOT NULL AND state <= 4 AND follows IS NULL;
CREATE UNIQUE INDEX jobs_successor ON jobs (unique_key) WHERE unique_key IS NOT NULL AND state <= 4 AND follows IS NOT NULL;
CREATE INDEX jobs_unique_for ON jobs (unique_key) WHERE unique_ms IS NOT NULL;

-- Events
--
-- What happened to jobs and queues. Triggers write it, which are there while the setting event_retention is set.
-- - due_at: when the job is due, if it waits since then
-- - detail: what else there is to say, as JSON
CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      INTEGER NOT NULL,
    job_id  INTEGER,
    kind    TEXT    NOT NULL,
    node_id INTEGER,
    fence   INTEGER,
    due_at  INTEGER,
    detail  TEXT
) STRICT;
CREATE INDEX events_job ON events (job_id) WHERE job_id IS NOT NULL;

PRAGMA user_version = 7;
