-- What keeps lists, counts and clean-up as quick with millions of jobs as with a few.

-- Jobs of a queue by number, and hopping from queue to queue. A job's queue never changes, so this costs at enqueue only.
CREATE INDEX jobs_queue ON jobs (queue);
-- Scheduled and failed jobs of a queue by number.
CREATE INDEX jobs_waiting ON jobs (queue, state) WHERE due_at IS NOT NULL;
-- By queue, too: ended jobs are listed, retried and removed queue by queue.
DROP INDEX jobs_finished;
CREATE INDEX jobs_finished ON jobs (queue, state, finished_at) WHERE finished_at IS NOT NULL;

-- How many jobs a queue has: in all (state -1), and by state. Running jobs are few and counted when somebody asks; what is
-- left then is completed, so that the end of a job that succeeds changes nothing here.
CREATE TABLE counts (
    queue TEXT    NOT NULL,
    state INTEGER NOT NULL,
    jobs  INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;
INSERT INTO counts SELECT queue, -1, count(*) FROM jobs GROUP BY queue;
INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state IN (1, 2, 4, 6, 7) GROUP BY queue, state;

PRAGMA user_version = 2;
