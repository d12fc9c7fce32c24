-- Jobs that an operator starts past pause, time, hold and limits (`start --now`). The claim keeps the row, for its attempt.
CREATE TABLE starts (
    job_id     BIGINT PRIMARY KEY,
    fence      BIGINT  NOT NULL,                            -- which attempt is meant; that of one that has ended counts for nothing
    changed_at BIGINT  NOT NULL,                            -- as in the job's row; once that changes unclaimed, the row counts for nothing
    operator   TEXT,
    claimed    BOOLEAN NOT NULL DEFAULT FALSE
);

-- Every claim reads it: roles have the rights that they have on `attempts`, so that none loses a command with the migration.
DO $$
DECLARE may RECORD;
BEGIN
    FOR may IN SELECT acl.grantee, string_agg(acl.privilege_type, ', ') AS rights
        FROM pg_class, aclexplode(pg_class.relacl) AS acl
        WHERE pg_class.oid = 'attempts'::REGCLASS AND acl.grantee NOT IN (0, pg_class.relowner)
        GROUP BY acl.grantee
    LOOP
        EXECUTE format('GRANT %s ON starts TO %s', may.rights, may.grantee::REGROLE::TEXT);
    END LOOP;
END $$;

UPDATE store SET schema_version = 20;
