-- What is done by itself when something happens; and what was done. `data` is the noun as JSON.

CREATE TABLE automation (
    name TEXT PRIMARY KEY,
    awaits_event BIGINT NOT NULL,   -- 1: enabled, and begun by events
    data TEXT NOT NULL
);

-- Up to which change the runs were looked at.
CREATE TABLE automation_cursor (
    id BIGINT PRIMARY KEY,
    n BIGINT NOT NULL
);

CREATE TABLE firing (
    id BYTEA PRIMARY KEY,
    automation TEXT NOT NULL,
    subject TEXT NOT NULL,          -- of what: an automation fires once for it
    place BIGINT NOT NULL,          -- of which of its actions
    at BIGINT NOT NULL,
    open BIGINT NOT NULL,           -- 1: it is to be done, 2: to be told; 0: that was tried
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX firing_once ON firing (automation, subject, place);
CREATE INDEX firing_open ON firing (open, id) WHERE open > 0;
CREATE INDEX firing_at ON firing (at);
