-- Flow control: what keeps a job from starting although its time has come.

-- Queues
--
-- What an operator has said of a queue. A queue of which nothing is said has no row.
-- - paused_at, paused_until: NULL unless it was paused; a pause without an end has the largest number
-- - paused_by: the user and the machine
CREATE TABLE queues (
    name         TEXT PRIMARY KEY,
    paused_at    INTEGER,
    paused_until INTEGER,
    paused_by    TEXT,
    pause_reason TEXT,
    CHECK ((paused_at IS NULL) = (paused_until IS NULL))
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 7;
