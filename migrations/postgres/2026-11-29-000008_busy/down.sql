DROP TABLE queue_limits;
ALTER TABLE limit_keys DROP COLUMN busy_until;
-- The older schema has no such outcome: an attempt that did not count is one that was given back.
UPDATE attempts SET outcome = 8, sum = NULL WHERE outcome = 9;
ALTER TABLE attempts
    DROP CONSTRAINT attempts_outcome_check,
    ADD CONSTRAINT attempts_outcome_check CHECK (outcome BETWEEN 1 AND 8) NOT VALID;
UPDATE store SET schema_version = 7;
