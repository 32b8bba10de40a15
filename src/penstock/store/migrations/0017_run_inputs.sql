-- What runs, and others, send to a flow run while it runs; `value` is JSON.

CREATE TABLE run_input (
    flow_run_id BYTEA NOT NULL,
    seq BIGINT NOT NULL,            -- 1, 2 and so on: in the order of their coming
    key TEXT NOT NULL,              -- what it is, for who receives: its type, by itself
    data TEXT NOT NULL,
    PRIMARY KEY (flow_run_id, seq)
);
