-- Concurrency limits, and who holds or waits for slots of them; artifacts; events; what retention looks for.

CREATE TABLE concurrency_limit (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,          -- tag:NAME limits the task runs with this tag
    slots BIGINT NOT NULL,
    active BIGINT NOT NULL,             -- 0: taken no notice of
    decay_per_second DOUBLE PRECISION NOT NULL,  -- of a rate limit: slots that come free by themselves
    used DOUBLE PRECISION NOT NULL,     -- of a rate limit: what was taken and has not come free, at the moment used_at
    used_at BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

-- A claim is on one or several limits, a row each; all are taken in one transaction. They are few.
CREATE TABLE concurrency_claim (
    id BYTEA NOT NULL,
    limit_name TEXT NOT NULL,
    occupy BIGINT NOT NULL,
    place BIGINT NOT NULL,              -- the order in which claims came
    waiter BYTEA,                       -- by which a process finds its claims
    run_id BYTEA,
    flow_run_id BYTEA,                  -- the flow run with which it ends
    holder TEXT,                        -- as in flow_run.holder
    asked BIGINT NOT NULL,
    taken BIGINT,                       -- NULL: it waits
    expires BIGINT,                     -- of one without a process that could be asked after
    PRIMARY KEY (id, limit_name)
);

CREATE INDEX concurrency_claim_queue ON concurrency_claim (place, limit_name) WHERE taken IS NULL;
CREATE INDEX concurrency_claim_waits ON concurrency_claim (limit_name, place) WHERE taken IS NULL;
CREATE INDEX concurrency_claim_waiter ON concurrency_claim (waiter, id) WHERE taken IS NULL;
CREATE INDEX concurrency_claim_held ON concurrency_claim (limit_name, occupy) WHERE taken IS NOT NULL;
CREATE INDEX concurrency_claim_run ON concurrency_claim (run_id);
CREATE INDEX concurrency_claim_flow_run ON concurrency_claim (flow_run_id);
CREATE INDEX concurrency_claim_holder ON concurrency_claim (holder);

CREATE TABLE artifact (
    id BYTEA PRIMARY KEY,
    key TEXT,
    type TEXT NOT NULL,
    description TEXT,
    data TEXT,                          -- JSON
    metadata TEXT,                      -- JSON
    flow_run_id BYTEA,
    task_run_id BYTEA,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE INDEX artifact_by_key ON artifact (key, id) WHERE key IS NOT NULL;
CREATE INDEX artifact_by_flow_run ON artifact (flow_run_id, id) WHERE flow_run_id IS NOT NULL;
CREATE INDEX artifact_by_task_run ON artifact (task_run_id, id) WHERE task_run_id IS NOT NULL;
CREATE INDEX artifact_by_time ON artifact (updated);

CREATE TABLE event (
    id BYTEA PRIMARY KEY,
    event TEXT NOT NULL,
    at BIGINT NOT NULL,                 -- when it happened
    received BIGINT NOT NULL,
    resource_id TEXT NOT NULL,
    resource TEXT NOT NULL,             -- JSON
    related TEXT,                       -- JSON
    payload TEXT,                       -- JSON
    follows BYTEA,
    flow_run_id BYTEA
);
CREATE INDEX event_by_time ON event (at, id);
CREATE INDEX event_by_resource ON event (resource_id, at, id);
CREATE INDEX event_by_arrival ON event (received);
CREATE INDEX event_by_flow_run ON event (flow_run_id) WHERE flow_run_id IS NOT NULL;

-- How far retention came, by what it looks at.
CREATE TABLE retention_mark (
    name TEXT PRIMARY KEY,
    at BIGINT NOT NULL
);
-- (A new record has nothing to be deleted for a while.)
/*sqlite INSERT INTO retention_mark (name, at) VALUES ('pruned', CAST(strftime('%s', 'now') AS INTEGER) * 1000000); */
CREATE INDEX flow_run_by_end ON flow_run (ended, id) WHERE ended IS NOT NULL;
CREATE INDEX cache_by_expiry ON cache (expires) WHERE expires IS NOT NULL;
