-- Blocks: typed configuration, of which what is secret is encrypted. Variables: JSON values, which are not.

CREATE TABLE block_document (
    id BYTEA PRIMARY KEY,
    type TEXT NOT NULL,         -- the slug of the block's type
    name TEXT NOT NULL,
    data TEXT NOT NULL,         -- the fields as JSON, with null where a secret is
    secrets TEXT,               -- [[path into data, encrypted value], ...]
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    UNIQUE (type, name)
);

CREATE TABLE variable (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    tags TEXT,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
