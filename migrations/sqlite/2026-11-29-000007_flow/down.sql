DROP TABLE queues;
PRAGMA user_version = 6;
