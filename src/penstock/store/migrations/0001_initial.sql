-- The first record. Ids are 16 bytes, times are microseconds since 1970 (UTC), JSON is text.
-- Text between /*sqlite and */ is for SQLite only.

CREATE TABLE flow (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL
);

CREATE TABLE flow_run (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL,
    flow_id BYTEA NOT NULL,
    flow_name TEXT NOT NULL,
    flow_version TEXT,
    flow_run_id BYTEA,          -- the parent's, for a subflow
    parent_task_run_id BYTEA,
    root_flow_run_id BYTEA,
    deployment_id BYTEA,
    state_type TEXT NOT NULL,   -- the last of `states`, for queries
    state_name TEXT NOT NULL,
    state_message TEXT,
    state_at BIGINT NOT NULL,
    states TEXT NOT NULL,       -- the path: [[type, name, at, message, details], ...]
    version BIGINT NOT NULL,
    run_count BIGINT NOT NULL,
    created BIGINT NOT NULL,
    expected_start BIGINT,
    started BIGINT,
    ended BIGINT,
    deadline BIGINT,
    epoch BIGINT NOT NULL,
    holder TEXT,
    lease_expires BIGINT,
    entrypoint TEXT,
    infrastructure_pid TEXT,
    tags TEXT,
    parameters TEXT,
    upstream TEXT,
    labels TEXT,
    result_serializer TEXT,
    result_inline BYTEA,
    result_key TEXT,
    result_storage TEXT,
    result_size BIGINT,
    result_expires BIGINT,
    lines_lost BIGINT NOT NULL DEFAULT 0,
    keep BIGINT NOT NULL DEFAULT 0,  -- pinned: retention leaves it alone
    foreign_data TEXT                -- for importers and other vocabularies; the core neither reads nor writes it
);
CREATE INDEX flow_run_by_flow ON flow_run (flow_name, id);
CREATE INDEX flow_run_by_state ON flow_run (state_type, id);
CREATE INDEX flow_run_by_parent ON flow_run (flow_run_id) WHERE flow_run_id IS NOT NULL;
CREATE INDEX flow_run_by_name ON flow_run (name);
CREATE INDEX flow_run_by_time ON flow_run (created);

CREATE TABLE task_run (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL,
    task_name TEXT NOT NULL,
    task_key TEXT NOT NULL,
    task_version TEXT,
    dynamic_key TEXT NOT NULL,
    flow_run_id BYTEA,
    parent_task_run_id BYTEA,
    state_type TEXT NOT NULL,
    state_name TEXT NOT NULL,
    state_message TEXT,
    state_at BIGINT NOT NULL,
    states TEXT NOT NULL,
    version BIGINT NOT NULL,
    run_count BIGINT NOT NULL,
    created BIGINT NOT NULL,
    started BIGINT,
    ended BIGINT,
    deadline BIGINT,
    holder TEXT,
    tags TEXT,
    parameters TEXT,
    upstream TEXT,
    labels TEXT,
    cache_key TEXT,
    result_serializer TEXT,
    result_inline BYTEA,
    result_key TEXT,
    result_storage TEXT,
    result_size BIGINT,
    result_expires BIGINT,
    foreign_data TEXT
) /*sqlite WITHOUT ROWID */;
CREATE INDEX task_run_by_flow_run ON task_run (flow_run_id, id);
-- Runs that have not ended are few, whatever the table's size: finding the dead among them must stay cheap.
CREATE INDEX task_run_unfinished ON task_run (state_type, id)
    WHERE state_type IN ('SCHEDULED', 'PENDING', 'RUNNING', 'PAUSED', 'CANCELLING');
-- Runs that ended badly are few, too, and asked for most; those that completed cost this index nothing.
CREATE INDEX task_run_failures ON task_run (state_type, id)
    WHERE state_type IN ('FAILED', 'CANCELLED', 'CRASHED');

-- `run_id` is the flow run's, or the task run's for a task called outside flows; with `seq` it is the order of reading.
CREATE TABLE log (
    run_id BYTEA NOT NULL,
    seq BIGINT NOT NULL,
    task_run_id BYTEA,
    at BIGINT NOT NULL,
    level BIGINT NOT NULL,
    message TEXT NOT NULL,
    logger TEXT NOT NULL,
    file TEXT,
    line BIGINT,
    function TEXT,
    PRIMARY KEY (run_id, seq)
) /*sqlite WITHOUT ROWID */;

CREATE TABLE cache (
    key TEXT PRIMARY KEY,
    task_run_id BYTEA NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    result_serializer TEXT,
    result_inline BYTEA,
    result_key TEXT,
    result_storage TEXT,
    result_size BIGINT,
    result_expires BIGINT
);
