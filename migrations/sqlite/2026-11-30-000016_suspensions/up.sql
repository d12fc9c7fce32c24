-- Running jobs that are suspended. Their nodes write and remove the rows.
-- - fence: which attempt is meant; a row of one that has ended counts for nothing
-- - since: null if the job could not be suspended, for the reason in `refused`
CREATE TABLE suspensions (
    job_id  INTEGER PRIMARY KEY,
    fence   INTEGER NOT NULL,
    since   INTEGER,
    refused TEXT
) STRICT;

PRAGMA user_version = 16;
