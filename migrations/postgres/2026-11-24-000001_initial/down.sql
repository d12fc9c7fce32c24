DROP TABLE settings;
DROP TABLE nodes;
DROP TABLE outputs;
DROP TABLE attempts;
DROP TABLE payloads;
DROP TABLE jobs;
DROP TABLE store;
DROP FUNCTION now_ms();
