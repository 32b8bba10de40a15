-- Pauses of flow runs; `data` is the noun as JSON, what is asked for by itself has a column. And requests about a run of
-- several kinds: to stop it, to pause it, and word that its pause was answered. (Requests are few, and short-lived.)

CREATE TABLE pause (
    id BYTEA PRIMARY KEY,
    flow_run_id BYTEA NOT NULL,
    key TEXT NOT NULL,
    deadline BIGINT,
    open BIGINT NOT NULL,           -- 1: nobody has answered
    data TEXT NOT NULL
);
CREATE INDEX pause_of_run ON pause (flow_run_id, key);
CREATE INDEX pause_due ON pause (deadline) WHERE open = 1 AND deadline IS NOT NULL;
CREATE INDEX pause_open ON pause (id) WHERE open = 1;

CREATE TABLE request (
    run_id BYTEA NOT NULL,
    kind TEXT NOT NULL,
    flow_run_id BYTEA,              -- of a task run's flow run
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    grace DOUBLE PRECISION,         -- seconds; for a pause, how long it lasts at most
    PRIMARY KEY (run_id, kind)
);
INSERT INTO request (run_id, kind, flow_run_id, at, who, grace) SELECT run_id, 'stop', flow_run_id, at, who, grace FROM signal;
DROP TABLE signal;
