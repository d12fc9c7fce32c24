-- Busy: attempts that find something busy do not count, and put off the keys of their limits. Limits of queues.

-- Outcome 9 is busy. The text of the rule is edited, as for the states of jobs; no row of an older file can break the wider
-- rule.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (outcome BETWEEN 1 AND 8)', 'CHECK (outcome BETWEEN 1 AND 9)')
WHERE type = 'table' AND name = 'attempts';
-- Reads the schema again.
PRAGMA writable_schema = RESET;

-- Until when what the key stands for is busy; it may be past.
ALTER TABLE limit_keys ADD COLUMN busy_until INTEGER;

-- How many jobs of a queue run at a time, and how fast they start. NULL for any number. What its starts have used up is in
-- limit_keys, under the key `queue:NAME`.
CREATE TABLE queue_limits (
    name           TEXT PRIMARY KEY,
    running        INTEGER CHECK (running >= 0),
    rate_count     INTEGER CHECK (rate_count > 0),
    rate_period_ms INTEGER CHECK (rate_period_ms > 0),
    burst          INTEGER CHECK (burst > 0)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 8;
