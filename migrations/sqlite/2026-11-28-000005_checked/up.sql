-- PostgreSQL only: there, SQL functions store jobs, too.
PRAGMA user_version = 5;
