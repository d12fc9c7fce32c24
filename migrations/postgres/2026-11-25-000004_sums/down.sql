ALTER TABLE attempts DROP COLUMN sum;
ALTER TABLE jobs DROP COLUMN sum;
UPDATE store SET schema_version = 3;
