DROP TABLE suspensions;
PRAGMA user_version = 15;
