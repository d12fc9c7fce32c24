-- Attempts whose node died, by when their jobs were rescued: `status` says so of the last day. Outcome 5 is lost.
CREATE INDEX attempts_lost ON attempts (finished_at) WHERE outcome = 5;

PRAGMA user_version = 13;
