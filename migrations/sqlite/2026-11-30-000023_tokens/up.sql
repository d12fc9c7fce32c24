-- Tokens of the HTTP API. While there is a row, a port of this machine needs one, too.
-- - hash: the SHA-256 of what clients send, which has 256 random bits
-- - roles: a bit mask (`core::Roles`)
-- - queues, executors: which jobs it may store, separated by commas; NULL for all
-- - used_at: to the hour
-- - revoked_at: a token that was revoked stays for those who look who did what
CREATE TABLE tokens (
    name       TEXT PRIMARY KEY,
    hash       BLOB    NOT NULL,
    roles      INTEGER NOT NULL,
    queues     TEXT,
    executors  TEXT,
    created_at INTEGER NOT NULL,
    created_by TEXT,
    expires_at INTEGER,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 23;
