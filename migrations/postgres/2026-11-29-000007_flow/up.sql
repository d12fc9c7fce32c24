-- Flow control: what keeps a job from starting although its time has come.

-- Queues
--
-- What an operator has said of a queue. A queue of which nothing is said has no row.
CREATE TABLE queues (
    name         TEXT   COLLATE "C" PRIMARY KEY,
    paused_at    BIGINT,                                    -- NULL unless it was paused
    paused_until BIGINT,                                    -- a pause without an end has the largest number
    paused_by    TEXT,                                      -- the user and the machine
    pause_reason TEXT,
    CHECK ((paused_at IS NULL) = (paused_until IS NULL))
);

UPDATE store SET schema_version = 7;
