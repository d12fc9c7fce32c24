DROP TABLE queues;
UPDATE store SET schema_version = 6;
