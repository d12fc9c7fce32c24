DROP TABLE suspensions;
UPDATE store SET schema_version = 15;
