DROP TABLE answers;
PRAGMA user_version = 23;
