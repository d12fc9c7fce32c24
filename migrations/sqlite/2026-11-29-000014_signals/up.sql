-- Signals that users want sent to running jobs. A node removes those of its jobs as it sends them, so there are hardly any rows.
-- - fence: which attempt is meant; a row of one that has ended counts for nothing
-- - signal: its name, because nodes on other systems have other numbers
CREATE TABLE signals (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id   INTEGER NOT NULL,
    fence    INTEGER NOT NULL,
    signal   TEXT    NOT NULL,
    asked_at INTEGER NOT NULL
) STRICT;

PRAGMA user_version = 14;
