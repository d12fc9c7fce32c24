DROP TABLE tokens;
PRAGMA user_version = 22;
