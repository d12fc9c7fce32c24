-- Flow control: what keeps a job from starting although its time has come.

-- Gates

-- Blocked jobs: state 0. NOT VALID: no row of an older store can break the wider rule, so none is looked at.
ALTER TABLE jobs
    DROP CONSTRAINT jobs_state_check,
    ADD CONSTRAINT jobs_state_check CHECK (state BETWEEN 0 AND 7) NOT VALID,
    -- A bit mask of what has to be looked at when the job ends or starts (`core::Gates`); 0 for a plain job.
    ADD COLUMN gates INTEGER NOT NULL DEFAULT 0,
    -- A bit mask of what blocks the job (`core::Waits`); 0 unless it is blocked.
    ADD COLUMN waits INTEGER NOT NULL DEFAULT 0,
    -- When a blocked job is due once nothing blocks it.
    ADD COLUMN resume_at BIGINT,
    -- The job for which this one was cancelled or held, because it did not end as this one needs it.
    ADD COLUMN unmet BIGINT,
    -- The limits that the job names, with their keys, parted by blanks.
    ADD COLUMN limits TEXT COLLATE "C";
CREATE INDEX jobs_blocked ON jobs (queue, id) WHERE state = 0;
CREATE INDEX all_blocked ON jobs (id) WHERE state = 0;

-- Dependencies
--
-- Which jobs wait for which. An edge outlives its parent, and goes with its child.
CREATE TABLE edges (
    child     BIGINT   NOT NULL,
    parent    BIGINT   NOT NULL,
    condition SMALLINT NOT NULL CHECK (condition BETWEEN 1 AND 3), -- 1 completed, 2 dead or cancelled, 3 either
    unmet     SMALLINT NOT NULL CHECK (unmet BETWEEN 1 AND 3),     -- otherwise the child is 1 cancelled, 2 held, 3 run
    outcome   SMALLINT CHECK (outcome BETWEEN 5 AND 7),            -- the state in which the parent ended
    PRIMARY KEY (child, parent)
);
CREATE INDEX edges_parent ON edges (parent, child);

-- Queues
--
-- What an operator has said of a queue. A queue of which nothing is said has no row.
CREATE TABLE queues (
    name         TEXT   COLLATE "C" PRIMARY KEY,
    paused_at    BIGINT,                                    -- NULL unless it was paused
    paused_until BIGINT,                                    -- a pause without an end has the largest number
    paused_by    TEXT,                                      -- the user and the machine
    pause_reason TEXT,
    CHECK ((paused_at IS NULL) = (paused_until IS NULL))
);

-- Schedules
--
-- What makes jobs at given times, as on SQLite.
CREATE TABLE schedules (
    name          TEXT     COLLATE "C" PRIMARY KEY,
    expression    TEXT     NOT NULL,
    zone          TEXT     NOT NULL,
    template      TEXT     NOT NULL,
    missed        SMALLINT NOT NULL,
    missed_ms     BIGINT   NOT NULL,
    overlap       SMALLINT NOT NULL,
    jitter_ms     BIGINT,
    pause_after   INTEGER,
    owner         TEXT     COLLATE "C",
    start_at      BIGINT   NOT NULL,
    next_due      BIGINT,
    paused_at     BIGINT,
    paused_reason TEXT,
    runs          TEXT     NOT NULL,
    dead_runs     INTEGER  NOT NULL,
    tick_rows     BIGINT   NOT NULL,
    seen_at       BIGINT   NOT NULL,
    created_at    BIGINT   NOT NULL,
    updated_at    BIGINT   NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX schedules_due ON schedules (next_due) WHERE next_due IS NOT NULL AND paused_at IS NULL;

-- What became of each tick, as on SQLite.
CREATE TABLE ticks (
    schedule TEXT     COLLATE "C" NOT NULL,
    at       BIGINT   NOT NULL,
    result   SMALLINT NOT NULL,
    made_at  BIGINT   NOT NULL,
    job_id   BIGINT,
    reason   TEXT,
    count    INTEGER  NOT NULL,
    more     BOOLEAN  NOT NULL,
    last_at  BIGINT   NOT NULL,
    PRIMARY KEY (schedule, at)
);
CREATE INDEX ticks_job ON ticks (job_id) WHERE job_id IS NOT NULL;

-- Unique jobs. States up to 4 have not ended.
ALTER TABLE jobs
    -- The key that no other job may have which has not ended.
    ADD COLUMN unique_key TEXT COLLATE "C",
    -- For how long after created_at it keeps the key even if it has ended; NULL: not at all.
    ADD COLUMN unique_ms  BIGINT,
    -- The running job whose key it takes when that ends. Only such a job may have the key beside the one that runs.
    ADD COLUMN follows    BIGINT;
CREATE UNIQUE INDEX jobs_unique ON jobs (unique_key) WHERE unique_key IS NOT NULL AND state <= 4 AND follows IS NULL;
CREATE UNIQUE INDEX jobs_successor ON jobs (unique_key) WHERE unique_key IS NOT NULL AND state <= 4 AND follows IS NOT NULL;
CREATE INDEX jobs_unique_for ON jobs (unique_key) WHERE unique_ms IS NOT NULL;

-- Limits

-- How many jobs of a key run at a time, and how fast they start.
CREATE TABLE limits (
    name           TEXT COLLATE "C" PRIMARY KEY,
    running        INTEGER CHECK (running >= 0),           -- NULL for any number
    per_key        BOOLEAN NOT NULL,                       -- whether each key is counted by itself
    rate_count     INTEGER CHECK (rate_count > 0),
    rate_period_ms BIGINT  CHECK (rate_period_ms > 0),
    burst          INTEGER CHECK (burst > 0),
    busy_status    INTEGER,                                -- an attempt that ends with this status has its keys wait
    busy_wait_ms   BIGINT,
    created_at     BIGINT  NOT NULL,
    updated_at     BIGINT  NOT NULL
);

-- Jobs that name limits, while that matters. phase: 1 the job waits for the key, 2 it runs and holds the key, 3 it is ready.
CREATE TABLE job_limits (
    job_id   BIGINT   NOT NULL,
    key      TEXT     COLLATE "C" NOT NULL,
    priority INTEGER  NOT NULL,
    phase    SMALLINT NOT NULL CHECK (phase BETWEEN 1 AND 3),
    PRIMARY KEY (job_id, key)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX job_limits_order ON job_limits (key, phase, priority DESC, job_id);

-- What a key knows besides its jobs.
CREATE TABLE limit_keys (
    key     TEXT   COLLATE "C" PRIMARY KEY,
    tat     BIGINT,                                        -- by when its starts so far are paid for, in ns (GCRA)
    wake_at BIGINT                                         -- when it is to be looked at for jobs that wait
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX limit_keys_wake ON limit_keys (wake_at) WHERE wake_at IS NOT NULL;

-- Events
--
-- What happened to jobs and queues. Triggers write it, which are there while the setting event_retention is set.
-- Transactions do not end in the order of their numbers or ids. So readers take events in the order of transactions, and only
-- those of transactions before which none is open: what ends later comes later.
CREATE TABLE events (
    id      BIGINT PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    xid     BIGINT NOT NULL DEFAULT pg_current_xact_id()::TEXT::BIGINT,
    at      BIGINT NOT NULL,
    job_id  BIGINT,
    kind    TEXT   NOT NULL,
    node_id BIGINT,
    fence   BIGINT,
    due_at  BIGINT,                                         -- when the job is due, if it waits since then
    detail  TEXT                                            -- what else there is to say, as JSON
);
CREATE INDEX events_order ON events (xid, id);
CREATE INDEX events_job ON events (job_id, xid, id) WHERE job_id IS NOT NULL;

CREATE FUNCTION ledger_enqueued() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (at, job_id, kind, fence, due_at)
    SELECT created_at, id, 'enqueued', fence, due_at FROM new_jobs ORDER BY id;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_changed() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (at, job_id, kind, node_id, fence, due_at)
    SELECT now.updated_at, now.id, CASE
        WHEN now.state = was.state THEN 'cancel requested'
        WHEN now.state = 3 THEN 'started'
        WHEN now.state = 5 THEN 'succeeded'
        WHEN now.state = 6 THEN 'dead'
        WHEN now.state = 7 THEN 'cancelled'
        WHEN now.state = 0 THEN CASE WHEN now.waits & 1 = 1 THEN 'held' ELSE 'blocked' END
        WHEN was.state = 0 THEN CASE WHEN was.waits & 1 = 1 THEN 'released' ELSE 'unblocked' END
        WHEN was.state = 3 THEN CASE WHEN now.state = 4 THEN 'failed' ELSE 'returned' END
        WHEN was.state >= 6 OR was.state = 4 AND was.due_at > now.updated_at THEN 'retried'
        WHEN was.state = 1 THEN 'put off'
        ELSE 'due' END,
        coalesce(now.node_id, was.node_id), now.fence, now.due_at
    FROM new_jobs AS now JOIN old_jobs AS was USING (id)
    WHERE now.state <> was.state OR now.cancel_requested AND NOT was.cancel_requested ORDER BY now.id;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_removed() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO events (at, job_id, kind, fence) SELECT now_ms(), id, 'purged', fence FROM old_jobs ORDER BY id;
    RETURN NULL;
END $$;

CREATE FUNCTION ledger_queue() RETURNS TRIGGER LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'DELETE' AND NEW.paused_at IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.paused_at IS DISTINCT FROM OLD.paused_at) THEN
        INSERT INTO events (at, kind, detail) VALUES (NEW.paused_at, 'queue paused', json_build_object(
            'queue', NEW.name, 'by', NEW.paused_by, 'reason', NEW.pause_reason,
            'until', nullif(NEW.paused_until, 9223372036854775807))::TEXT);
    ELSIF TG_OP <> 'INSERT' AND OLD.paused_at IS NOT NULL AND (TG_OP = 'DELETE' OR NEW.paused_at IS NULL) THEN
        INSERT INTO events (at, kind, detail) VALUES (now_ms(), 'queue resumed', json_build_object('queue', OLD.name)::TEXT);
    END IF;
    RETURN NULL;
END $$;

-- Makes the triggers, or removes them. Whoever may change settings may call it; only the owner could make triggers.
CREATE FUNCTION set_ledger(is_on BOOLEAN) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    DROP TRIGGER IF EXISTS ledger_enqueued ON jobs;
    DROP TRIGGER IF EXISTS ledger_changed ON jobs;
    DROP TRIGGER IF EXISTS ledger_removed ON jobs;
    DROP TRIGGER IF EXISTS ledger_queue ON queues;
    IF is_on THEN
        CREATE TRIGGER ledger_enqueued AFTER INSERT ON jobs REFERENCING NEW TABLE AS new_jobs
            FOR EACH STATEMENT EXECUTE FUNCTION ledger_enqueued();
        CREATE TRIGGER ledger_changed AFTER UPDATE ON jobs REFERENCING OLD TABLE AS old_jobs NEW TABLE AS new_jobs
            FOR EACH STATEMENT EXECUTE FUNCTION ledger_changed();
        CREATE TRIGGER ledger_removed AFTER DELETE ON jobs REFERENCING OLD TABLE AS old_jobs
            FOR EACH STATEMENT EXECUTE FUNCTION ledger_removed();
        CREATE TRIGGER ledger_queue AFTER INSERT OR UPDATE OR DELETE ON queues
            FOR EACH ROW EXECUTE FUNCTION ledger_queue();
    END IF;
END $$;
REVOKE EXECUTE ON FUNCTION set_ledger FROM PUBLIC;

UPDATE store SET schema_version = 7;
