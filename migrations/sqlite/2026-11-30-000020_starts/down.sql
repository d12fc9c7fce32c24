DROP TABLE starts;
PRAGMA user_version = 19;
