-- Users, their keys and sessions; and who changed what.

CREATE TABLE account (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created BIGINT NOT NULL
);
