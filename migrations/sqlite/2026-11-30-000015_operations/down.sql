DROP TABLE operation_jobs;
DROP TABLE operations;
PRAGMA user_version = 14;
