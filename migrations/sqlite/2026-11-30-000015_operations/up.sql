-- What operators did: an entry for each command that changed jobs, settings, queues, limits or hooks.
-- - what: the jobs in the words of the command, or what else was changed
-- - request: how it goes on if it was cut off, or what it takes to undo it; as JSON
-- - state: 1 it goes on, 2 it has ended
-- - total: jobs that were meant when it began, if they were counted
-- - changed, requested, held_back: `MassDone`; of an undo, jobs that are as before, none, and jobs that were left alone
-- - kept, kept_bytes: jobs of which it is known how they were, and how much that takes
-- - after_ended, after_id: behind which place of the list it goes on
-- - undo_of, undone_by: the operation that this one undoes, and the one that undoes this one
CREATE TABLE operations (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    operator    TEXT,
    what        TEXT    NOT NULL,
    request     TEXT,
    state       INTEGER NOT NULL CHECK (state BETWEEN 1 AND 2),
    total       INTEGER,
    changed     INTEGER NOT NULL,
    requested   INTEGER NOT NULL,
    held_back   INTEGER NOT NULL,
    kept        INTEGER NOT NULL,
    kept_bytes  INTEGER NOT NULL,
    after_ended INTEGER,
    after_id    INTEGER,
    updated_at  INTEGER NOT NULL,
    undo_of     INTEGER,
    undone_by   INTEGER
) STRICT;
CREATE INDEX operations_open ON operations (id) WHERE state = 1;
CREATE INDEX operations_kept ON operations (id) WHERE kept > 0;

-- How jobs were before an operation, for its undo.
-- - fence, updated_at: of the job right after the operation
-- - kept: as JSON; of a job that was purged, all its rows
CREATE TABLE operation_jobs (
    operation_id INTEGER NOT NULL REFERENCES operations (id) ON DELETE CASCADE,
    job_id       INTEGER NOT NULL,
    fence        INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    kept         TEXT    NOT NULL,
    PRIMARY KEY (operation_id, job_id)
) STRICT;

PRAGMA user_version = 15;
