-- Hooks that run when a number of jobs are dead, not for each that dies.
CREATE TABLE alerts (
    hook      TEXT    COLLATE "C" PRIMARY KEY,
    threshold INTEGER NOT NULL,                             -- this many dead jobs
    again_ms  BIGINT,                                       -- how long after it ran it may run again; NULL for not before fewer were
    fired_at  BIGINT                                        -- when it ran; NULL if fewer jobs were dead since
);

-- Nodes write it: roles have the rights that they have on `attempts`, so that none loses a command with the migration.
DO $$
DECLARE may RECORD;
BEGIN
    FOR may IN SELECT acl.grantee, string_agg(acl.privilege_type, ', ') AS rights
        FROM pg_class, aclexplode(pg_class.relacl) AS acl
        WHERE pg_class.oid = 'attempts'::REGCLASS AND acl.grantee NOT IN (0, pg_class.relowner)
        GROUP BY acl.grantee
    LOOP
        EXECUTE format('GRANT %s ON alerts TO %s', may.rights, may.grantee::REGROLE::TEXT);
    END LOOP;
END $$;

UPDATE store SET schema_version = 22;
