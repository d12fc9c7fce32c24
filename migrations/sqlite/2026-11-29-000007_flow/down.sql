-- Events
DROP TRIGGER IF EXISTS ledger_enqueued;
DROP TRIGGER IF EXISTS ledger_changed;
DROP TRIGGER IF EXISTS ledger_cancel;
DROP TRIGGER IF EXISTS ledger_removed;
DROP TRIGGER IF EXISTS ledger_queue_new;
DROP TRIGGER IF EXISTS ledger_queue;
DROP TRIGGER IF EXISTS ledger_queue_gone;
DROP TABLE events;

DROP TABLE ticks;
DROP TABLE schedules;
DROP TABLE queues;
DROP TABLE edges;
-- Unique jobs
DROP INDEX jobs_unique_for;
DROP INDEX jobs_successor;
DROP INDEX jobs_unique;
ALTER TABLE jobs DROP COLUMN follows;
ALTER TABLE jobs DROP COLUMN unique_ms;
ALTER TABLE jobs DROP COLUMN unique_key;

-- A blocked job has no place in the older schema: it becomes ready.
UPDATE jobs SET state = 1 WHERE state = 0;
INSERT INTO counts (queue, state, jobs) SELECT queue, 1, jobs FROM counts WHERE state = 0
    ON CONFLICT (queue, state) DO UPDATE SET jobs = jobs + excluded.jobs;
DELETE FROM counts WHERE state = 0;
DROP TABLE limit_keys;
DROP TABLE job_limits;
DROP TABLE limits;
DROP INDEX all_blocked;
DROP INDEX jobs_blocked;
ALTER TABLE jobs DROP COLUMN unmet;
ALTER TABLE jobs DROP COLUMN limits;
ALTER TABLE jobs DROP COLUMN resume_at;
ALTER TABLE jobs DROP COLUMN waits;
ALTER TABLE jobs DROP COLUMN gates;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (state BETWEEN 0 AND 7)', 'CHECK (state BETWEEN 1 AND 7)')
WHERE type = 'table' AND name = 'jobs';
PRAGMA writable_schema = RESET;
PRAGMA user_version = 6;
