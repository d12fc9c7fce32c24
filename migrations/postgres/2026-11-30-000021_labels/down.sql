ALTER FUNCTION enqueue RENAME TO enqueue_before;
ALTER FUNCTION enqueue_stored RENAME TO enqueue_stored_before;

CREATE FUNCTION enqueue(
    command     TEXT        DEFAULT NULL,
    queue       TEXT        DEFAULT 'default',
    id          TEXT        DEFAULT NULL,
    priority    INTEGER     DEFAULT 0,
    run_at      TIMESTAMPTZ DEFAULT NULL,
    max_retries INTEGER     DEFAULT NULL,
    backoff_base DOUBLE PRECISION DEFAULT NULL,
    timeout     INTERVAL    DEFAULT NULL,
    executor    TEXT        DEFAULT 'shell',
    payload     JSONB       DEFAULT NULL,
    env         JSONB       DEFAULT NULL,
    cwd         TEXT        DEFAULT NULL,
    stdin       TEXT        DEFAULT NULL,
    argv        TEXT[]      DEFAULT NULL,
    "group"     TEXT        DEFAULT NULL,
    close_group BOOLEAN     DEFAULT FALSE
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    stored JSONB;
BEGIN
    IF command IS NOT NULL AND argv IS NOT NULL THEN
        RAISE EXCEPTION 'a job has a command or an argv, not both' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT isfinite(run_at) THEN
        RAISE EXCEPTION 'the job cannot be stored: its run_at is no moment' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What is not given is not in there; what is given as the NULL of JSON is, and is refused.
    SELECT coalesce(jsonb_object_agg(part.name, part.value), '{}') INTO stored
    FROM (VALUES ('command', coalesce(to_jsonb(command), to_jsonb(argv))), ('env', env), ('cwd', to_jsonb(cwd)),
        ('stdin', to_jsonb(stdin)), ('payload', payload)) AS part (name, value)
    WHERE part.value IS NOT NULL;
    IF jsonb_typeof(payload) <> 'object' THEN
        RAISE EXCEPTION 'the job cannot be stored: its payload must be an object'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN enqueue_stored(id, queue, priority, max_retries, backoff_base,
        (extract(epoch FROM timeout) * 1000)::BIGINT, executor, (extract(epoch FROM run_at) * 1000)::BIGINT, stored::TEXT,
        "group", close_group);
END $$;

CREATE FUNCTION enqueue_stored(
    new_name         TEXT,
    new_queue        TEXT,
    new_priority     INTEGER,
    new_max_retries  INTEGER,
    new_backoff_base DOUBLE PRECISION,
    new_timeout_ms   BIGINT,
    new_executor     TEXT,
    new_due_at       BIGINT,
    new_payload      TEXT,
    new_group        TEXT    DEFAULT NULL,
    closes_group     BOOLEAN DEFAULT FALSE
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    at       BIGINT := now_ms();
    number   BIGINT;
    first    SMALLINT := CASE WHEN new_due_at > at THEN 2 ELSE 1 END;
    wrong    TEXT := CASE
        WHEN NOT is_name(new_name) OR new_name ~ '^[0-9]+$' THEN 'id'
        WHEN new_queue IS NULL OR NOT is_name(new_queue) THEN 'queue'
        WHEN new_executor IS NULL OR new_executor !~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$' THEN 'executor'
        WHEN new_priority IS NULL OR new_priority NOT BETWEEN -1000000 AND 1000000 THEN 'priority'
        WHEN new_max_retries NOT BETWEEN 0 AND 1000 THEN 'max_retries'
        WHEN new_backoff_base NOT BETWEEN 1 AND 3600 THEN 'backoff_base'
        WHEN new_timeout_ms NOT BETWEEN 1 AND 31536000000 THEN 'timeout'
        WHEN NOT is_name(new_group) THEN 'group'
        WHEN new_due_at > at + 36525 * 86400000::BIGINT THEN 'run_at'
    END;
    fault    TEXT;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the job''s % is missing or out of its limits', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF closes_group AND new_group IS NULL THEN
        RAISE EXCEPTION 'close_group is about a group, and the job is in none; give it one'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    fault := payload_fault(new_payload);
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION 'the job cannot be stored: %', fault USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO jobs (name, queue, state, priority, attempts, fence, system_failures, max_retries, backoff_base,
        timeout_ms, executor, due_at, cancel_requested, created_at, updated_at, gates)
    VALUES (new_name, new_queue, first, new_priority, 0, 0, 0, new_max_retries, new_backoff_base, new_timeout_ms,
        new_executor, CASE first WHEN 2 THEN new_due_at END, FALSE, at, at,
        CASE WHEN new_group IS NULL THEN 0 ELSE 8 END)
    RETURNING jobs.id INTO number;
    INSERT INTO payloads (job_id, queue, payload) VALUES (number, new_queue, new_payload);
    INSERT INTO counts (queue, state, jobs) VALUES (new_queue, -1, 1), (new_queue, first, 1);
    IF new_group IS NOT NULL THEN
        PERFORM join_group(new_group, number, coalesce(closes_group, FALSE), at);
    END IF;
    -- Sent when the transaction commits.
    PERFORM pg_notify(channel, '') FROM store;
    RETURN number;
END $$;

-- Who owns the functions and who may call them stays as it was.
DO $$
DECLARE
    was  RECORD;
    may  RECORD;
    made REGPROCEDURE;
BEGIN
    FOR was IN SELECT proname, proowner, coalesce(proacl, acldefault('f', proowner)) AS acl FROM pg_proc
        WHERE pronamespace = current_schema()::REGNAMESPACE AND proname IN ('enqueue_before', 'enqueue_stored_before')
    LOOP
        SELECT oid INTO STRICT made FROM pg_proc
        WHERE pronamespace = current_schema()::REGNAMESPACE AND proname = replace(was.proname, '_before', '');
        IF was.proowner <> (SELECT proowner FROM pg_proc WHERE oid = made) THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO %s', made, was.proowner::REGROLE);
        END IF;
        -- Default privileges of the database may have given it to others.
        FOR may IN SELECT DISTINCT grantee FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
            WHERE pg_proc.oid = made AND grantee <> was.proowner
        LOOP
            EXECUTE format('REVOKE ALL ON FUNCTION %s FROM %s CASCADE', made,
                CASE may.grantee WHEN 0 THEN 'PUBLIC' ELSE may.grantee::REGROLE::TEXT END);
        END LOOP;
        FOR may IN SELECT grantee, bool_or(is_grantable) AS is_grantable FROM aclexplode(was.acl)
            WHERE grantee <> was.proowner GROUP BY grantee
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s%s', made,
                CASE may.grantee WHEN 0 THEN 'PUBLIC' ELSE may.grantee::REGROLE::TEXT END,
                CASE WHEN may.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
        END LOOP;
    END LOOP;
END $$;

DROP FUNCTION enqueue_before;
DROP FUNCTION enqueue_stored_before;
DROP FUNCTION label_fault;

DROP TABLE job_labels;
-- What the bit means is not known before.
UPDATE jobs SET gates = gates & ~128 WHERE (gates & 128) <> 0;

UPDATE store SET schema_version = 20;
