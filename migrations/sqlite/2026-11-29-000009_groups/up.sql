-- Groups of jobs
--
-- - then_job, failed_job: the callbacks, as JSON
-- - max_fails: dead members after which those that have not begun are cancelled; stopped_at: when that was so
-- - closed_at: since when it takes no further members
-- - completed_at: when it was closed and the last member had ended; callback_id: the job that was stored then
-- - problem: why that job could not be stored
CREATE TABLE job_groups (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    name         TEXT    NOT NULL UNIQUE,
    then_job     TEXT,
    failed_job   TEXT,
    max_fails    INTEGER,
    created_at   INTEGER NOT NULL,
    closed_at    INTEGER,
    stopped_at   INTEGER,
    completed_at INTEGER,
    callback_id  INTEGER,
    problem      TEXT,
    CHECK (completed_at IS NULL OR closed_at IS NOT NULL)
) STRICT;
CREATE INDEX job_groups_open ON job_groups (id) WHERE completed_at IS NULL;
CREATE INDEX job_groups_completed ON job_groups (completed_at) WHERE completed_at IS NOT NULL;
CREATE INDEX job_groups_stopped ON job_groups (id) WHERE stopped_at IS NOT NULL AND completed_at IS NULL;

-- Their members. A row outlives its job, and goes with its group.
-- - place: about how many members there were before it
-- - outcome: the state in which the job ended; NULL until then, and when it is retried
CREATE TABLE group_members (
    group_id INTEGER NOT NULL,
    job_id   INTEGER NOT NULL,
    place    INTEGER NOT NULL,
    outcome  INTEGER CHECK (outcome BETWEEN 5 AND 7),
    PRIMARY KEY (group_id, job_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_members_job ON group_members (job_id);
CREATE INDEX group_members_open ON group_members (group_id, job_id) WHERE outcome IS NULL;
CREATE INDEX group_members_failed ON group_members (group_id, outcome, job_id) WHERE outcome >= 6;

PRAGMA user_version = 9;
