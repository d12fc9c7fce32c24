-- How jobs fared that ended in a minute, or in an hour once it is a day ago: what is left of them when they are removed.
-- - at: when the span begins
-- - queue, executor: both empty: those of further ones, together
-- - failed to busy: attempts of these jobs, by outcome
-- - waited, ran: how long, see queuectl_storage::Sketch
CREATE TABLE history (
    span_ms         BIGINT NOT NULL,
    at              BIGINT NOT NULL,
    queue           TEXT NOT NULL,
    executor        TEXT NOT NULL,
    completed       BIGINT NOT NULL,
    dead            BIGINT NOT NULL,
    cancelled       BIGINT NOT NULL,
    retries         BIGINT NOT NULL,
    failed          BIGINT NOT NULL,
    timed_out       BIGINT NOT NULL,
    crashed         BIGINT NOT NULL,
    lost            BIGINT NOT NULL,
    system_failures BIGINT NOT NULL,
    busy            BIGINT NOT NULL,
    waited          BYTEA NOT NULL,
    ran             BYTEA NOT NULL,
    PRIMARY KEY (span_ms, at, queue, executor)
);

-- How far the history goes. One row.
-- - counted_at, counted_id: jobs that ended up to there, in the order of their end and number, are in it
-- - removed_to: the latest end of a job that was removed
CREATE TABLE history_state (
    id         SMALLINT PRIMARY KEY CHECK (id = 1),
    counted_at BIGINT NOT NULL,
    counted_id BIGINT NOT NULL,
    removed_to BIGINT NOT NULL
);

INSERT INTO history_state (id, counted_at, counted_id, removed_to) VALUES (1, 0, 0, 0);

UPDATE store SET schema_version = 19;
