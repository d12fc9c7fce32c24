DROP INDEX attempts_lost;
PRAGMA user_version = 12;
