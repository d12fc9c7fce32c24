DROP TABLE tokens;
UPDATE store SET schema_version = 22;
