-- Concurrency limits and the slots that are taken of them; artifacts; events.

CREATE TABLE concurrency_limit (
    name TEXT PRIMARY KEY,
    slots BIGINT NOT NULL,
    active BIGINT NOT NULL,             -- 0: taken no notice of
    decay_per_second DOUBLE PRECISION NOT NULL,  -- of a rate limit: slots that come free by themselves
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
