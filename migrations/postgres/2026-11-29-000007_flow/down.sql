-- Events
DROP FUNCTION set_ledger;
DROP FUNCTION ledger_enqueued CASCADE;
DROP FUNCTION ledger_changed CASCADE;
DROP FUNCTION ledger_removed CASCADE;
DROP FUNCTION ledger_queue CASCADE;
DROP TABLE events;
DROP TABLE ticks;
DROP TABLE schedules;
DROP TABLE queues;
DROP TABLE edges;
-- Unique jobs
DROP INDEX jobs_unique_for;
DROP INDEX jobs_successor;
DROP INDEX jobs_unique;
ALTER TABLE jobs
    DROP COLUMN follows,
    DROP COLUMN unique_ms,
    DROP COLUMN unique_key;
-- A blocked job has no place in the older schema: it becomes ready.
UPDATE jobs SET state = 1 WHERE state = 0;
UPDATE counts SET state = 1 WHERE state = 0;
DROP TABLE limit_keys;
DROP TABLE job_limits;
DROP TABLE limits;
DROP INDEX all_blocked;
DROP INDEX jobs_blocked;
ALTER TABLE jobs
    DROP COLUMN unmet,
    DROP COLUMN limits,
    DROP COLUMN resume_at,
    DROP COLUMN waits,
    DROP COLUMN gates,
    DROP CONSTRAINT jobs_state_check,
    ADD CONSTRAINT jobs_state_check CHECK (state BETWEEN 1 AND 7) NOT VALID;
UPDATE store SET schema_version = 6;
