CREATE OR REPLACE FUNCTION enqueue(
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
    argv        TEXT[]      DEFAULT NULL
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    stored JSONB;
BEGIN
    IF command IS NOT NULL AND argv IS NOT NULL THEN
        RAISE EXCEPTION 'a job has a command or an argv, not both' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF btrim(coalesce(command, argv[1], 'x')) = '' OR (command IS NULL AND argv IS NULL AND payload IS NULL) THEN
        RAISE EXCEPTION 'there is nothing to run; give a command, an argv or a payload'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(env) <> 'object' OR EXISTS (
        SELECT 1 FROM jsonb_each(CASE WHEN jsonb_typeof(env) = 'object' THEN env END) AS entry
        WHERE jsonb_typeof(entry.value) <> 'string' OR entry.key = '' OR entry.key LIKE '%=%'
    ) THEN
        RAISE EXCEPTION 'env must be an object of texts' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF jsonb_typeof(payload) <> 'object' THEN
        RAISE EXCEPTION 'payload must be an object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    stored := jsonb_strip_nulls(jsonb_build_object('command', coalesce(to_jsonb(command), to_jsonb(argv)), 'env', env,
        'cwd', cwd, 'stdin', stdin));
    IF payload IS NOT NULL THEN
        stored := stored || jsonb_build_object('payload', payload);
    END IF;
    RETURN enqueue_stored(id, queue, priority, max_retries, backoff_base,
        (extract(epoch FROM timeout) * 1000)::BIGINT, executor, (extract(epoch FROM run_at) * 1000)::BIGINT, stored::TEXT);
END $$;

CREATE OR REPLACE FUNCTION enqueue_stored(
    new_name         TEXT,
    new_queue        TEXT,
    new_priority     INTEGER,
    new_max_retries  INTEGER,
    new_backoff_base DOUBLE PRECISION,
    new_timeout_ms   BIGINT,
    new_executor     TEXT,
    new_due_at       BIGINT,
    new_payload      TEXT
) RETURNS BIGINT LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    at       BIGINT := now_ms();
    number   BIGINT;
    first    SMALLINT := CASE WHEN new_due_at > at THEN 2 ELSE 1 END;
    whole    CONSTANT TEXT := '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$';
    wrong    TEXT := CASE
        WHEN new_name !~ whole OR new_name ~ '^[0-9]+$' THEN 'id'
        WHEN new_queue IS NULL OR new_queue !~ whole THEN 'queue'
        WHEN new_executor IS NULL OR new_executor !~ '^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$' THEN 'executor'
        WHEN new_priority IS NULL OR new_priority NOT BETWEEN -1000000 AND 1000000 THEN 'priority'
        WHEN new_max_retries NOT BETWEEN 0 AND 1000 THEN 'max_retries'
        WHEN new_backoff_base NOT BETWEEN 1 AND 3600 THEN 'backoff_base'
        WHEN new_timeout_ms NOT BETWEEN 1 AND 31536000000 THEN 'timeout'
        WHEN new_due_at > at + 36525 * 86400000::BIGINT THEN 'run_at'
        WHEN new_payload IS NULL OR octet_length(new_payload) > 1048576 THEN 'payload'
    END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the job''s % is missing or out of its limits', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO jobs (name, queue, state, priority, attempts, fence, system_failures, max_retries, backoff_base,
        timeout_ms, executor, due_at, cancel_requested, created_at, updated_at)
    VALUES (new_name, new_queue, first, new_priority, 0, 0, 0, new_max_retries, new_backoff_base, new_timeout_ms,
        new_executor, CASE first WHEN 2 THEN new_due_at END, FALSE, at, at)
    RETURNING jobs.id INTO number;
    INSERT INTO payloads (job_id, queue, payload) VALUES (number, new_queue, new_payload);
    INSERT INTO counts (queue, state, jobs) VALUES (new_queue, -1, 1), (new_queue, first, 1);
    -- Sent when the transaction commits.
    PERFORM pg_notify('queuectl.' || current_schema(), '');
    RETURN number;
END $$;

DROP FUNCTION payload_fault;
ALTER TABLE store DROP COLUMN channel;
UPDATE store SET schema_version = 4;
