-- Flow control: what keeps a job from starting although its time has come.

-- Gates
--
-- No step here reads or writes the rows of `jobs`, so a file of millions of jobs is brought up to date at once. ALTER TABLE
-- would read them all, because it checks every row of a STRICT table, and so would CREATE INDEX. So the text of the schema is
-- edited, as SQLite's documentation of ALTER TABLE describes, and the new indexes, which no row of an older file belongs to,
-- are made on an empty table of the same columns and then given to `jobs`.

-- Blocked jobs: state 0.
-- - gates: a bit mask of what has to be looked at when the job ends or starts (`core::Gates`); 0 for a plain job
-- - waits: a bit mask of what blocks the job (`core::Waits`); 0 unless it is blocked
-- - resume_at: when a blocked job is due once nothing blocks it
CREATE TABLE shape (id INTEGER PRIMARY KEY, queue TEXT NOT NULL, state INTEGER NOT NULL) STRICT;
CREATE INDEX jobs_blocked ON shape (queue) WHERE state = 0;
CREATE INDEX all_blocked ON shape (state) WHERE state = 0;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(sql,
    'CHECK (state BETWEEN 1 AND 7)', 'CHECK (state BETWEEN 0 AND 7)'),
    ', sum INTEGER', ', sum INTEGER, gates INTEGER NOT NULL DEFAULT 0, waits INTEGER NOT NULL DEFAULT 0, resume_at INTEGER')
WHERE type = 'table' AND name = 'jobs';
UPDATE sqlite_schema SET tbl_name = 'jobs', sql = replace(sql, 'ON shape', 'ON jobs')
WHERE type = 'index' AND tbl_name = 'shape';
-- Reads the schema again.
PRAGMA writable_schema = RESET;
DROP TABLE shape;
-- Fails if the text was not the expected one.
SELECT gates, waits, resume_at FROM jobs LIMIT 0;

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
