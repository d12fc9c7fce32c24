-- What keeps lists, counts and clean-up as quick with millions of jobs as with a few.

-- Jobs of a queue by number, and hopping from queue to queue. A job's queue never changes.
CREATE INDEX jobs_queue ON jobs (queue, id);
-- Scheduled and failed jobs of a queue by number.
CREATE INDEX jobs_waiting ON jobs (queue, state, id) WHERE due_at IS NOT NULL;
-- By queue, too: ended jobs are listed, retried and removed queue by queue.
DROP INDEX jobs_finished;
CREATE INDEX jobs_finished ON jobs (queue, state, finished_at, id) WHERE finished_at IS NOT NULL;

-- How many jobs a queue has: in all (state -1), and by state. Running jobs are few and counted when somebody asks; what is
-- left then is completed, so that the end of a job that succeeds changes nothing here. Rows of one queue and state count
-- together: nodes only ever add some, so that none waits for another, and a node folds them now and then.
CREATE TABLE counts (
    queue TEXT     COLLATE "C" NOT NULL,
    state SMALLINT NOT NULL,
    jobs  BIGINT   NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
INSERT INTO counts SELECT queue, -1, count(*) FROM jobs GROUP BY queue;
INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state IN (1, 2, 4, 6, 7) GROUP BY queue, state;

UPDATE store SET schema_version = 2;
