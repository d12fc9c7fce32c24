DROP TABLE group_members;
DROP TABLE job_groups;
UPDATE jobs SET gates = gates & ~8 WHERE gates & 8;
PRAGMA user_version = 8;
