-- What each transaction changed, in the order of their numbers: what live streams are made of, and where they resume.
-- `what` are the runs, each by its id (16 bytes) and version (4 bytes): the flow run's own, and its task runs'.

CREATE TABLE change (
    n /*sqlite INTEGER PRIMARY KEY AUTOINCREMENT*/ /*postgres BIGSERIAL PRIMARY KEY*/,
    at BIGINT NOT NULL,
    flow_run_id BYTEA,          -- None: task runs outside flows
    what BYTEA NOT NULL
);

-- Answers to what must be done once, however often it is asked: by the asker's key.
CREATE TABLE answered (
    key TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    digest BYTEA NOT NULL,      -- of what was asked
    status BIGINT NOT NULL,
    body BYTEA NOT NULL
);
CREATE INDEX answered_by_time ON answered (at);
