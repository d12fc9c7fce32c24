-- Flow control: what keeps a job from starting although its time has come.

-- Gates

-- Blocked jobs: state 0. NOT VALID: no row of an older store can break the wider rule, so none is looked at.
ALTER TABLE jobs
    DROP CONSTRAINT jobs_state_check,
    ADD CONSTRAINT jobs_state_check CHECK (state BETWEEN 0 AND 7) NOT VALID,
    -- A bit mask of what has to be looked at when the job ends or starts (`core::Gates`); 0 for a plain job.
    ADD COLUMN gates INTEGER NOT NULL DEFAULT 0,
    -- A bit mask of what blocks the job (`core::Waits`); 0 unless it is blocked.
    ADD COLUMN waits INTEGER NOT NULL DEFAULT 0,
    -- When a blocked job is due once nothing blocks it.
    ADD COLUMN resume_at BIGINT;
CREATE INDEX jobs_blocked ON jobs (queue, id) WHERE state = 0;
CREATE INDEX all_blocked ON jobs (id) WHERE state = 0;

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
