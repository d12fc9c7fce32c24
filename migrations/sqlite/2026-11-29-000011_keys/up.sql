-- Keys of limits: an index for the jobs that wait, in their order, and small ones for those that run and those that are ready.
-- So the start and the end of a job leave the large one alone.
DROP INDEX job_limits_order;
CREATE INDEX job_limits_parked ON job_limits (key, priority DESC, job_id) WHERE phase = 1;
CREATE INDEX job_limits_holding ON job_limits (key) WHERE phase = 2;
CREATE INDEX job_limits_admitted ON job_limits (key) WHERE phase = 3;

PRAGMA user_version = 11;
