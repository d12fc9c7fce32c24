-- What keeps claims and lists as quick with 100,000 queues as with one: the jobs of all queues, in the order in which they
-- are claimed and listed. The queue `default` is left out, so that a store without other queues pays nothing: its jobs come
-- from the indexes by queue, and what asks for all queues merges the two.
-- The condition stands here as on PostgreSQL.
CREATE INDEX others_ready ON jobs (priority DESC, id) WHERE state = 1 AND (queue = 'default') IS FALSE;
CREATE INDEX others_waiting ON jobs (state) WHERE due_at IS NOT NULL AND (queue = 'default') IS FALSE;
CREATE INDEX others_finished ON jobs (state, finished_at) WHERE finished_at IS NOT NULL AND (queue = 'default') IS FALSE;

PRAGMA user_version = 6;
