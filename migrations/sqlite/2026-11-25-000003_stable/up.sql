-- PostgreSQL only: there, an index costs at every change of a row; here, only where what it holds changes.
PRAGMA user_version = 3;
