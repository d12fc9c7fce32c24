-- Labels of jobs, and their comments: a row each, so that a claim, and a job without any, have nothing to do with them.
-- - key: '' for the comment, which no label has
-- - sum: a CRC-32 of the row; NULL if it was not computed
CREATE TABLE job_labels (
    job_id INTEGER NOT NULL,
    key    TEXT    NOT NULL,
    value  TEXT    NOT NULL,
    sum    INTEGER,
    PRIMARY KEY (job_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_value ON job_labels (key, value, job_id) WHERE key <> '';
CREATE INDEX labels_key ON job_labels (key, job_id) WHERE key <> '';

PRAGMA user_version = 21;
