DROP TABLE history_state;
DROP TABLE history;
PRAGMA user_version = 18;
