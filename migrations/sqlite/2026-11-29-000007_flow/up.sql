-- Flow control: what keeps a job from starting although its time has come.

-- Gates
--
-- Blocked jobs: state 0. SQLite cannot change a CHECK by a statement, so its text is edited as SQLite's documentation of
-- ALTER TABLE describes; no row of an older file can break the wider rule.
-- - gates: a bit mask of what has to be looked at when the job ends or starts (`core::Gates`); 0 for a plain job
-- - waits: a bit mask of what blocks the job (`core::Waits`); 0 unless it is blocked
-- - resume_at: when a blocked job is due once nothing blocks it
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (state BETWEEN 1 AND 7)', 'CHECK (state BETWEEN 0 AND 7)')
WHERE type = 'table' AND name = 'jobs';
-- Reads the schema again.
PRAGMA writable_schema = RESET;
ALTER TABLE jobs ADD COLUMN gates INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN resume_at INTEGER;
CREATE INDEX jobs_blocked ON jobs (queue) WHERE state = 0;
CREATE INDEX all_blocked ON jobs (state) WHERE state = 0;

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

PRAGMA user_version = 7;
