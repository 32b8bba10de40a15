-- Deployments and their schedules; work pools, queues and workers; what is launched. `data` is the noun as JSON; what is
-- asked for by itself has a column.

CREATE TABLE deployment (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL,
    flow_id BYTEA NOT NULL,
    flow_name TEXT NOT NULL,
    work_pool TEXT,
    work_queue TEXT,
    paused BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    last_polled BIGINT,
    data TEXT NOT NULL,
    UNIQUE (flow_name, name)
);
CREATE INDEX deployment_by_pool ON deployment (work_pool) WHERE work_pool IS NOT NULL;

CREATE TABLE deployment_schedule (
    id BYTEA PRIMARY KEY,
    deployment_id BYTEA NOT NULL,
    active BIGINT NOT NULL,
    planned_until BIGINT,
    data TEXT NOT NULL
);
CREATE INDEX deployment_schedule_of ON deployment_schedule (deployment_id);

CREATE TABLE work_pool (
    id BYTEA PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    data TEXT NOT NULL
);

CREATE TABLE work_queue (
    id BYTEA PRIMARY KEY,
    work_pool TEXT NOT NULL,
    name TEXT NOT NULL,
    priority BIGINT NOT NULL,
    last_polled BIGINT,
    data TEXT NOT NULL,
    UNIQUE (work_pool, name)
);

CREATE TABLE worker (
    id BYTEA PRIMARY KEY,
    work_pool TEXT,
    heard BIGINT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX worker_by_pool ON worker (work_pool, heard);

-- Of runs that are not over, few; of those that are, one row each, for as long as the run is kept.
CREATE TABLE launch (
    flow_run_id BYTEA PRIMARY KEY,
    deployment_id BYTEA,
    schedule_id BYTEA,
    work_pool TEXT,
    work_queue TEXT,
    priority BIGINT NOT NULL,
    scheduled BIGINT NOT NULL,
    worker BYTEA,
    claimed BIGINT,
    scope TEXT,
    stopping BIGINT,
    ended BIGINT,
    late BIGINT NOT NULL,           -- 1: it was said that it is
    data TEXT NOT NULL
);
-- Those that wait, by who may take them, in the order in which they are taken.
CREATE INDEX launch_waiting ON launch (work_pool, work_queue, priority, scheduled) WHERE claimed IS NULL AND ended IS NULL;
CREATE INDEX launch_due ON launch (scheduled) WHERE late = 0 AND claimed IS NULL AND ended IS NULL;
CREATE INDEX launch_open ON launch (worker) WHERE claimed IS NOT NULL AND ended IS NULL;
CREATE INDEX launch_stopping ON launch (stopping) WHERE stopping IS NOT NULL AND ended IS NULL;
CREATE INDEX launch_of_deployment ON launch (deployment_id, scheduled) WHERE deployment_id IS NOT NULL;
CREATE INDEX launch_of_schedule ON launch (schedule_id, scheduled) WHERE schedule_id IS NOT NULL;
