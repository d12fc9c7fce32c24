DROP TABLE job_labels;
-- What the bit means is not known before.
UPDATE jobs SET gates = gates & ~128 WHERE (gates & 128) <> 0;
PRAGMA user_version = 20;
