-- Hooks: what runs as a job of its own when an attempt of another job has ended.

ALTER TABLE jobs
    -- The job that had this one stored; it may have been purged.
    ADD COLUMN enqueued_by BIGINT,
    -- What this job is a hook for (`core::HookOn`); NULL if a command of the other job enqueued it.
    ADD COLUMN hook SMALLINT,
    -- How many hooks led to this job.
    ADD COLUMN hook_depth SMALLINT NOT NULL DEFAULT 0;
CREATE INDEX jobs_hooks ON jobs (enqueued_by) WHERE hook IS NOT NULL;

-- The hooks that jobs were enqueued with: commands as JSON.
CREATE TABLE job_hooks (
    job_id     BIGINT PRIMARY KEY,
    on_success TEXT,
    on_failure TEXT,
    on_death   TEXT,
    to_queue   TEXT
);

-- Hooks of all jobs, of those of a queue or of a schedule. While there is none, no job looks further.
CREATE TABLE hooks (
    name       TEXT     COLLATE "C" PRIMARY KEY,
    events     SMALLINT NOT NULL,                           -- a bit mask (`core::HookOns`)
    queue      TEXT     COLLATE "C",
    schedule   TEXT     COLLATE "C",
    to_queue   TEXT,                                        -- NULL for the queue of the ended job
    command    TEXT     NOT NULL,                           -- as JSON
    cwd        TEXT,
    created_at BIGINT   NOT NULL
);

UPDATE store SET schema_version = 10;
