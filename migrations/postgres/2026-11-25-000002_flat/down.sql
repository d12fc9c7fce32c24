DROP FUNCTION enqueue;
DROP FUNCTION enqueue_stored;
DROP TABLE counts;
DROP INDEX jobs_finished;
CREATE INDEX jobs_finished ON jobs (state, finished_at) WHERE finished_at IS NOT NULL;
DROP INDEX jobs_waiting;
DROP INDEX jobs_queue;
UPDATE store SET schema_version = 1;
