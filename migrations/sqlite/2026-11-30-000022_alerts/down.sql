-- Without their numbers they would run for each job that dies.
DELETE FROM hooks WHERE name IN (SELECT hook FROM alerts);
DROP TABLE alerts;
PRAGMA user_version = 21;
