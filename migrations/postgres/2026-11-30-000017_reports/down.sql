DROP TABLE reports;
UPDATE store SET schema_version = 16;
