ALTER TABLE outputs DROP COLUMN marks;
UPDATE store SET schema_version = 17;
