-- What jobs say about themselves. A job that says nothing has no row.
CREATE TABLE reports (
    job_id      BIGINT PRIMARY KEY,
    fence       BIGINT NOT NULL,                            -- which attempt said the next four; those of another than the newest count for nothing
    percent     SMALLINT,
    message     TEXT,
    reported_at BIGINT,
    result      TEXT,
    checkpoint  TEXT                                        -- from where the next attempt goes on, whichever attempt it is from
);

-- Claims, lists of jobs and their removal use it: roles have the rights that they have on `attempts`, so that none loses a
-- command with the migration.
DO $$
DECLARE may RECORD;
BEGIN
    FOR may IN SELECT acl.grantee, string_agg(acl.privilege_type, ', ') AS rights
        FROM pg_class, aclexplode(pg_class.relacl) AS acl
        WHERE pg_class.oid = 'attempts'::REGCLASS AND acl.grantee NOT IN (0, pg_class.relowner)
        GROUP BY acl.grantee
    LOOP
        EXECUTE format('GRANT %s ON reports TO %s', may.rights, may.grantee::REGROLE::TEXT);
    END LOOP;
END $$;

UPDATE store SET schema_version = 17;
