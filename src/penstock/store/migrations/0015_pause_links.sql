-- Links by which people answer pauses without signing in. Of its secret the record has a digest only; `data` is the rest
-- as JSON.

CREATE TABLE pause_link (
    digest BYTEA PRIMARY KEY,
    flow_run_id BYTEA NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX pause_link_of_run ON pause_link (flow_run_id);
