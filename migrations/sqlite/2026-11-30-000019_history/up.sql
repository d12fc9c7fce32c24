-- How jobs fared that ended in a minute, or in an hour once it is a day ago: what is left of them when they are removed.
-- - at: when the span begins
-- - queue, executor: both empty: those of further ones, together
-- - failed to busy: attempts of these jobs, by outcome
-- - waited, ran: how long, see queuectl_storage::Sketch
CREATE TABLE history (
    span_ms         INTEGER NOT NULL,
    at              INTEGER NOT NULL,
    queue           TEXT NOT NULL,
    executor        TEXT NOT NULL,
    completed       INTEGER NOT NULL,
    dead            INTEGER NOT NULL,
    cancelled       INTEGER NOT NULL,
    retries         INTEGER NOT NULL,
    failed          INTEGER NOT NULL,
    timed_out       INTEGER NOT NULL,
    crashed         INTEGER NOT NULL,
    lost            INTEGER NOT NULL,
    system_failures INTEGER NOT NULL,
    busy            INTEGER NOT NULL,
    waited          BLOB NOT NULL,
    ran             BLOB NOT NULL,
    PRIMARY KEY (span_ms, at, queue, executor)
) STRICT, WITHOUT ROWID;

-- How far the history goes. One row.
-- - counted_at, counted_id: jobs that ended up to there, in the order of their end and number, are in it
-- - removed_to: the latest end of a job that was removed
CREATE TABLE history_state (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    counted_at INTEGER NOT NULL,
    counted_id INTEGER NOT NULL,
    removed_to INTEGER NOT NULL
) STRICT;

INSERT INTO history_state (id, counted_at, counted_id, removed_to) VALUES (1, 0, 0, 0);

PRAGMA user_version = 19;
