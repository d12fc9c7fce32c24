DROP TABLE history_state;
DROP TABLE history;
UPDATE store SET schema_version = 18;
