DROP TABLE answers;
UPDATE store SET schema_version = 23;
