DROP TABLE queue_limits;
ALTER TABLE limit_keys DROP COLUMN busy_until;
-- The older schema has no such outcome: an attempt that did not count is one that was given back.
UPDATE attempts SET outcome = 8, sum = NULL WHERE outcome = 9;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (outcome BETWEEN 1 AND 9)', 'CHECK (outcome BETWEEN 1 AND 8)')
WHERE type = 'table' AND name = 'attempts';
PRAGMA writable_schema = RESET;
PRAGMA user_version = 7;
