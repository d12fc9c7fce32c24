-- Busy: attempts that find something busy do not count, and put off the keys of their limits. Limits of queues.

-- Outcome 9 is busy. NOT VALID: no row of an older store can break the wider rule, so none is looked at.
ALTER TABLE attempts
    DROP CONSTRAINT attempts_outcome_check,
    ADD CONSTRAINT attempts_outcome_check CHECK (outcome BETWEEN 1 AND 9) NOT VALID;

-- Until when what the key stands for is busy; it may be past.
ALTER TABLE limit_keys ADD COLUMN busy_until BIGINT;

-- How many jobs of a queue run at a time, and how fast they start. NULL for any number. What its starts have used up is in
-- limit_keys, under the key `queue:NAME`.
CREATE TABLE queue_limits (
    name           TEXT COLLATE "C" PRIMARY KEY,
    running        INTEGER CHECK (running >= 0),
    rate_count     INTEGER CHECK (rate_count > 0),
    rate_period_ms BIGINT  CHECK (rate_period_ms > 0),
    burst          INTEGER CHECK (burst > 0)
);

UPDATE store SET schema_version = 8;
