-- Hooks that run when a number of jobs are dead, not for each that dies.
-- - threshold: this many dead jobs
-- - again_ms: how long after it ran it may run again while as many are dead; NULL for not before fewer were
-- - fired_at: when it ran; NULL if fewer jobs were dead since
CREATE TABLE alerts (
    hook      TEXT PRIMARY KEY,
    threshold INTEGER NOT NULL,
    again_ms  INTEGER,
    fired_at  INTEGER
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 22;
