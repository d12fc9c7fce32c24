-- Which stream the parts of an output came from, and when: see queuectl_core::OutputIndex. NULL: recorded by an earlier version.
ALTER TABLE outputs ADD COLUMN marks BYTEA;

UPDATE store SET schema_version = 18;
