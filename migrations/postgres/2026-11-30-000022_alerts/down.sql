-- Without their numbers they would run for each job that dies.
DELETE FROM hooks WHERE name IN (SELECT hook FROM alerts);
DROP TABLE alerts;
UPDATE store SET schema_version = 21;
