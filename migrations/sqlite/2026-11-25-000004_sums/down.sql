ALTER TABLE attempts DROP COLUMN sum;
ALTER TABLE jobs DROP COLUMN sum;
PRAGMA user_version = 3;
