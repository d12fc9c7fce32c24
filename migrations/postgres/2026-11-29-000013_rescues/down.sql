DROP INDEX attempts_lost;
UPDATE store SET schema_version = 12;
