-- Tokens of the HTTP API. While there is a row, a port of a server's machine needs one, too.
CREATE TABLE tokens (
    name       TEXT     COLLATE "C" PRIMARY KEY,
    hash       BYTEA    NOT NULL,                           -- the SHA-256 of what clients send, which has 256 random bits
    roles      SMALLINT NOT NULL,                           -- a bit mask (`core::Roles`)
    queues     TEXT,                                        -- which jobs it may store, separated by commas; NULL for all
    executors  TEXT,
    created_at BIGINT   NOT NULL,
    created_by TEXT,
    expires_at BIGINT,
    used_at    BIGINT,                                      -- to the hour
    revoked_at BIGINT                                       -- one that was revoked stays for those who look who did what
);

-- `queuectl serve` reads it: roles that may look at attempts may look at it, so that none loses a command with the migration.
-- They may say when a token was used, and change nothing else.
DO $$
DECLARE may RECORD;
BEGIN
    FOR may IN SELECT acl.grantee, bool_or(acl.privilege_type = 'UPDATE') AS writes
        FROM pg_class, aclexplode(pg_class.relacl) AS acl
        WHERE pg_class.oid = 'attempts'::REGCLASS AND acl.grantee NOT IN (0, pg_class.relowner)
        GROUP BY acl.grantee HAVING bool_or(acl.privilege_type = 'SELECT')
    LOOP
        EXECUTE format('GRANT SELECT ON tokens TO %s', may.grantee::REGROLE::TEXT);
        IF may.writes THEN
            EXECUTE format('GRANT UPDATE (used_at) ON tokens TO %s', may.grantee::REGROLE::TEXT);
        END IF;
    END LOOP;
END $$;

UPDATE store SET schema_version = 23;
