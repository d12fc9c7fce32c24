-- Checksums over what is stored once and never changes. NULL: stored before there were any, or by `enqueue_stored`.

-- Over what the job runs, and how: name, queue, priority, max_retries, backoff_base, timeout_ms, executor, payload.
ALTER TABLE jobs ADD COLUMN sum INTEGER;
-- Over the attempt and what it printed.
ALTER TABLE attempts ADD COLUMN sum INTEGER;

UPDATE store SET schema_version = 4;
