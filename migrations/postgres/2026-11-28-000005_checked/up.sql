-- What the SQL functions store is checked like what the command line stores. A job that no queuectl can read would be in
-- the way of everybody's lists.

-- On which channel nodes are woken. PostgreSQL lets every role of a database listen to any channel and notify it, so this
-- one is known to those alone who may read this row, or call the functions.
ALTER TABLE store ADD COLUMN channel TEXT NOT NULL DEFAULT 'queuectl.' || gen_random_uuid();

-- What is wrong with a payload as it is stored, NULL if nothing is: the rules of `Payload::to_stored`, in its order.
CREATE FUNCTION payload_fault(stored TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE SET search_path FROM CURRENT AS $$
DECLARE
    -- jsonb has no character with the number 0, which input may have in it; here, another stands for it.
    has_nul BOOLEAN := position('\u0000' IN stored) > 0;
    nul     CONSTANT TEXT := U&'\FDD0';
    plain   TEXT := replace(stored, '\u0000', '\ufdd0');
    whole   JSONB;
    command JSONB;
    words   JSONB;
    env     JSONB;
BEGIN
    IF stored IS NULL OR octet_length(stored) > 1048576 THEN
        RETURN 'its payload is missing or has more than 1048576 bytes';
    END IF;
    whole := plain::JSONB;
    IF jsonb_typeof(whole) <> 'object' OR whole - ARRAY['command', 'env', 'cwd', 'stdin', 'payload'] <> '{}' THEN
        RETURN 'its payload must be an object of command, env, cwd, stdin and payload';
    END IF;
    IF jsonb_path_exists(whole, 'strict $.**{100} ? (@.type() == "object" || @.type() == "array")') THEN
        RETURN 'its payload is nested more than 100 levels deep';
    END IF;
    IF EXISTS (
        WITH RECURSIVE part (value) AS (
            SELECT plain::JSON
            UNION ALL
            SELECT inside.value FROM part CROSS JOIN LATERAL (
                SELECT value FROM json_each(CASE json_typeof(part.value) WHEN 'object' THEN part.value END)
                UNION ALL
                SELECT value FROM json_array_elements(CASE json_typeof(part.value) WHEN 'array' THEN part.value END)
            ) AS inside WHERE json_typeof(inside.value) IN ('object', 'array')
        )
        SELECT 1 FROM part WHERE json_typeof(part.value) = 'object'
            AND (SELECT count(*) <> count(DISTINCT key) FROM json_object_keys(part.value) AS key)
    ) THEN
        RETURN 'its payload has an object with a member twice';
    END IF;
    IF jsonb_path_exists(whole, 'strict $.** ? (@.type() == "number"
        && (@ > 1.797693134862315807e308 || @ < -1.797693134862315807e308))') THEN
        RETURN 'its payload has a number that no program could read';
    END IF;
    -- Words by which a command starts a program: those of an argv, or the line as the only one.
    command := nullif(whole -> 'command', 'null');
    words := CASE jsonb_typeof(command) WHEN 'array' THEN command WHEN 'string' THEN jsonb_build_array(command) END;
    IF command IS NOT NULL AND (words IS NULL OR EXISTS (
        SELECT 1 FROM jsonb_array_elements(words) AS word WHERE jsonb_typeof(word) <> 'string'
    )) THEN
        RETURN 'its command must be a text, or an argv of one dimension without NULL';
    END IF;
    IF command IS NULL AND coalesce(whole -> 'payload', 'null') = 'null'
        OR words = '[]' OR words ->> 0 = '' OR jsonb_typeof(command) = 'string' AND words ->> 0 !~ '\S' THEN
        RETURN 'there is nothing to run; give a command, an argv or a payload';
    END IF;
    IF jsonb_array_length(words) > 4096 THEN
        RETURN 'its argv has more than 4096 entries';
    END IF;
    env := whole -> 'env';
    IF env IS NOT NULL AND (jsonb_typeof(env) <> 'object' OR EXISTS (
        SELECT 1 FROM jsonb_each(CASE jsonb_typeof(env) WHEN 'object' THEN env END) AS entry
        WHERE jsonb_typeof(entry.value) <> 'string' OR entry.key = '' OR position('=' IN entry.key) > 0
    )) THEN
        RETURN 'its env must be an object of texts, whose names are not empty and have no =';
    END IF;
    IF (SELECT count(*) FROM jsonb_object_keys(env)) > 4096 THEN
        RETURN 'its env has more than 4096 entries';
    END IF;
    IF coalesce(jsonb_typeof(whole -> 'cwd'), 'null') NOT IN ('null', 'string')
        OR whole ->> 'cwd' !~ '^(/|\\\\|[A-Za-z]:[/\\])' THEN
        RETURN 'its cwd must be an absolute path';
    END IF;
    IF coalesce(jsonb_typeof(whole -> 'stdin'), 'null') NOT IN ('null', 'string') THEN
        RETURN 'its stdin must be a text';
    END IF;
    IF coalesce(jsonb_typeof(whole -> 'payload'), 'null') NOT IN ('null', 'object') THEN
        RETURN 'its payload must be an object';
    END IF;
    IF has_nul AND position(nul IN concat(words, env, whole ->> 'cwd')) > 0 THEN
        RETURN 'its command, env or cwd has a NUL byte, which cannot be passed to a process';
    END IF;
    RETURN NULL;
END $$;

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
    END;
    fault    TEXT;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'the job''s % is missing or out of its limits', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    fault := payload_fault(new_payload);
    IF fault IS NOT NULL THEN
        RAISE EXCEPTION 'the job cannot be stored: %', fault USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO jobs (name, queue, state, priority, attempts, fence, system_failures, max_retries, backoff_base,
        timeout_ms, executor, due_at, cancel_requested, created_at, updated_at)
    VALUES (new_name, new_queue, first, new_priority, 0, 0, 0, new_max_retries, new_backoff_base, new_timeout_ms,
        new_executor, CASE first WHEN 2 THEN new_due_at END, FALSE, at, at)
    RETURNING jobs.id INTO number;
    INSERT INTO payloads (job_id, queue, payload) VALUES (number, new_queue, new_payload);
    INSERT INTO counts (queue, state, jobs) VALUES (new_queue, -1, 1), (new_queue, first, 1);
    -- Sent when the transaction commits.
    PERFORM pg_notify(channel, '') FROM store;
    RETURN number;
END $$;

REVOKE EXECUTE ON FUNCTION payload_fault FROM PUBLIC;

UPDATE store SET schema_version = 5;
