-- Running jobs that are suspended. Their nodes write and remove the rows.
CREATE TABLE suspensions (
    job_id  BIGINT PRIMARY KEY,
    fence   BIGINT NOT NULL,                                -- which attempt is meant; that of one that has ended counts for nothing
    since   BIGINT,                                         -- null if the job could not be suspended
    refused TEXT                                            -- why it could not
);

-- Lists of jobs read it: roles have the rights that they have on `attempts`, so that none loses a command with the migration.
DO $$
DECLARE may RECORD;
BEGIN
    FOR may IN SELECT acl.grantee, string_agg(acl.privilege_type, ', ') AS rights
        FROM pg_class, aclexplode(pg_class.relacl) AS acl
        WHERE pg_class.oid = 'attempts'::REGCLASS AND acl.grantee NOT IN (0, pg_class.relowner)
        GROUP BY acl.grantee
    LOOP
        EXECUTE format('GRANT %s ON suspensions TO %s', may.rights, may.grantee::REGROLE::TEXT);
    END LOOP;
END $$;

UPDATE store SET schema_version = 16;
