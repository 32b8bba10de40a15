-- Requests to stop a run, until it has ended; and the processes that execute runs, each with one lease for all it has.

CREATE TABLE signal (
    run_id BYTEA PRIMARY KEY,
    flow_run_id BYTEA,          -- of a task run's flow run
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    grace DOUBLE PRECISION
);

CREATE TABLE holder (
    holder TEXT PRIMARY KEY,    -- as in flow_run.holder
    lease_expires BIGINT NOT NULL,
    may_be_killed BIGINT NOT NULL   -- 1 for a script's process, 0 for a notebook's or an application's
);

-- Runs that ended while their code went on, until that has ended; the process that it is in.
CREATE TABLE unconfirmed (
    run_id BYTEA PRIMARY KEY,
    holder TEXT NOT NULL
);

ALTER TABLE flow_run DROP COLUMN lease_expires;
