-- What jobs say about themselves. A job that says nothing has no row.
-- - fence: which attempt said `percent`, `message` and `result`; those of another than the newest count for nothing
-- - checkpoint: from where the next attempt goes on, whichever attempt it is from
CREATE TABLE reports (
    job_id      INTEGER PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE,
    fence       INTEGER NOT NULL,
    percent     INTEGER,
    message     TEXT,
    reported_at INTEGER,
    result      TEXT,
    checkpoint  TEXT
) STRICT;

PRAGMA user_version = 17;
