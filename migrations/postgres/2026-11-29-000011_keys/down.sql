DROP INDEX job_limits_admitted;
DROP INDEX job_limits_holding;
DROP INDEX job_limits_parked;
CREATE INDEX job_limits_order ON job_limits (key, phase, priority DESC, job_id);
UPDATE store SET schema_version = 10;
