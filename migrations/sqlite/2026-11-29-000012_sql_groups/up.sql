-- SQL functions that store jobs are on PostgreSQL alone; here nothing changes but the number.
PRAGMA user_version = 12;
