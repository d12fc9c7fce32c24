-- Jobs that an operator starts past pause, time, hold and limits (`start --now`). The claim keeps the row, for its attempt.
-- - fence: which attempt is meant; a row of one that has ended counts for nothing
-- - changed_at: as in the job's row; once that changes and the job was not claimed, the row counts for nothing
CREATE TABLE starts (
    job_id     INTEGER PRIMARY KEY,
    fence      INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    operator   TEXT,
    claimed    INTEGER NOT NULL DEFAULT 0
) STRICT;

PRAGMA user_version = 20;
