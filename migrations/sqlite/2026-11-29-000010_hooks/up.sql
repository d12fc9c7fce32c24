-- Hooks: what runs as a job of its own when an attempt of another job has ended.

-- Which job had this one stored.
-- - enqueued_by: its number; it may have been purged
-- - hook: what this job is a hook for (`core::HookOn`); NULL if a command of the other job enqueued it
-- - hook_depth: how many hooks led to this job
ALTER TABLE jobs ADD COLUMN enqueued_by INTEGER;
ALTER TABLE jobs ADD COLUMN hook INTEGER;
ALTER TABLE jobs ADD COLUMN hook_depth INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_hooks ON jobs (enqueued_by) WHERE hook IS NOT NULL;

-- The hooks that jobs were enqueued with: commands as JSON.
CREATE TABLE job_hooks (
    job_id     INTEGER PRIMARY KEY,
    on_success TEXT,
    on_failure TEXT,
    on_death   TEXT,
    to_queue   TEXT
) STRICT;

-- Hooks of all jobs, of those of a queue or of a schedule. While there is none, no job looks further.
-- - events: a bit mask (`core::HookOns`)
-- - to_queue: the queue that its jobs go to; NULL for that of the ended job
-- - command: as JSON
CREATE TABLE hooks (
    name       TEXT PRIMARY KEY,
    events     INTEGER NOT NULL,
    queue      TEXT,
    schedule   TEXT,
    to_queue   TEXT,
    command    TEXT NOT NULL,
    cwd        TEXT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 10;
