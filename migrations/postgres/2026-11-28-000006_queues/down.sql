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

DROP FUNCTION is_name;
DROP INDEX counts_queue;
DROP INDEX others_finished;
DROP INDEX others_waiting;
DROP INDEX others_ready;
UPDATE store SET schema_version = 5;
