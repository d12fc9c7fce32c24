DROP TABLE signals;
PRAGMA user_version = 13;
