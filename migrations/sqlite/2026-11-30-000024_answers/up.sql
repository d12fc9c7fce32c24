-- What was answered to requests that store jobs and have a key of their own (Idempotency-Key), so that a repeated one stores nothing.
-- - scope: the token whose keys these are; '' without one
-- - part: which batch of a request with many jobs
-- - hash: the SHA-256 of what was sent
CREATE TABLE answers (
    id        INTEGER PRIMARY KEY,
    scope     TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    part      INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    answer    TEXT    NOT NULL,
    stored_at INTEGER NOT NULL,
    UNIQUE (key, scope, part)
) STRICT;

PRAGMA user_version = 24;
