DROP TABLE hooks;
DROP TABLE job_hooks;
DROP INDEX jobs_hooks;
ALTER TABLE jobs DROP COLUMN hook_depth;
ALTER TABLE jobs DROP COLUMN hook;
ALTER TABLE jobs DROP COLUMN enqueued_by;
PRAGMA user_version = 9;
