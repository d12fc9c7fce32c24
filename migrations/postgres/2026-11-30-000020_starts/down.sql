DROP TABLE starts;
UPDATE store SET schema_version = 19;
