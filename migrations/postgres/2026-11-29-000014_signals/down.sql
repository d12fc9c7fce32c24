DROP TABLE signals;
UPDATE store SET schema_version = 13;
