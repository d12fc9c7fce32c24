DROP TABLE operation_jobs;
DROP TABLE operations;
UPDATE store SET schema_version = 14;
