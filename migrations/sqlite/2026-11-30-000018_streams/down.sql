ALTER TABLE outputs DROP COLUMN marks;
PRAGMA user_version = 17;
