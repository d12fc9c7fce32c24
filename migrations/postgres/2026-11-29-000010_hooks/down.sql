DROP TABLE hooks;
DROP TABLE job_hooks;
DROP INDEX jobs_hooks;
ALTER TABLE jobs
    DROP COLUMN hook_depth,
    DROP COLUMN hook,
    DROP COLUMN enqueued_by;
UPDATE store SET schema_version = 9;
