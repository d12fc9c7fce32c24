-- What was answered to requests that store jobs and have a key of their own (Idempotency-Key), so that a repeated one stores nothing.
CREATE TABLE answers (
    id        BIGSERIAL PRIMARY KEY,
    scope     TEXT    COLLATE "C" NOT NULL,                 -- the token whose keys these are; '' without one
    key       TEXT    COLLATE "C" NOT NULL,
    part      INTEGER NOT NULL,                             -- which batch of a request with many jobs
    hash      BYTEA   NOT NULL,                             -- the SHA-256 of what was sent
    answer    TEXT    NOT NULL,
    stored_at BIGINT  NOT NULL,
    CONSTRAINT answers_key UNIQUE (key, scope, part)
);

-- Roles that may store jobs may do so with keys.
DO $$
DECLARE may RECORD;
BEGIN
    FOR may IN SELECT DISTINCT acl.grantee FROM pg_class, aclexplode(pg_class.relacl) AS acl
        WHERE pg_class.oid = 'payloads'::REGCLASS AND acl.grantee NOT IN (0, pg_class.relowner)
            AND acl.privilege_type = 'INSERT'
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON answers TO %s', may.grantee::REGROLE::TEXT);
        EXECUTE format('GRANT USAGE ON SEQUENCE answers_id_seq TO %s', may.grantee::REGROLE::TEXT);
    END LOOP;
END $$;

UPDATE store SET schema_version = 24;
