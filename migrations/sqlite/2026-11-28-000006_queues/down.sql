DROP INDEX others_finished;
DROP INDEX others_waiting;
DROP INDEX others_ready;
PRAGMA user_version = 5;
