DROP TABLE settings;
DROP TABLE nodes;
DROP TABLE outputs;
DROP TABLE attempts;
DROP TABLE payloads;
DROP TABLE jobs;
PRAGMA user_version = 0;
