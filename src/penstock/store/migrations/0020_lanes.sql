-- Runs that wait take turns by a key. `line` is where a launch waits (a queue of a pool, or a deployment that is served),
-- `key` whose turn it waits for there; '': that of those without a key.

ALTER TABLE launch ADD COLUMN line TEXT NOT NULL DEFAULT '';
ALTER TABLE launch ADD COLUMN key TEXT NOT NULL DEFAULT '';
/*sqlite UPDATE launch SET line = CASE WHEN work_pool IS NULL THEN lower(hex(deployment_id)) ELSE work_pool || '/' || coalesce(work_queue, '') END WHERE ended IS NULL AND (work_pool IS NOT NULL OR deployment_id IS NOT NULL); */
/*postgres UPDATE launch SET line = CASE WHEN work_pool IS NULL THEN encode(deployment_id, 'hex') ELSE work_pool || '/' || coalesce(work_queue, '') END WHERE ended IS NULL AND (work_pool IS NOT NULL OR deployment_id IS NOT NULL); */

-- Those of one lane that wait, in the order in which they are taken.
DROP INDEX launch_waiting;
CREATE INDEX launch_waiting ON launch (line, priority, key, scheduled, flow_run_id, deployment_id) WHERE claimed IS NULL AND ended IS NULL;
CREATE INDEX launch_next ON launch (work_pool, scheduled) WHERE claimed IS NULL AND ended IS NULL;
CREATE INDEX launch_open_of_pool ON launch (work_pool, work_queue) WHERE claimed IS NOT NULL AND ended IS NULL;
-- What a key holds, and when it had turns.
CREATE INDEX launch_open_of_key ON launch (key) WHERE key <> '' AND claimed IS NOT NULL AND ended IS NULL;
CREATE INDEX launch_claimed_of_key ON launch (key, claimed) WHERE key <> '' AND claimed IS NOT NULL;

-- One row for each lane in which something waits. The lowest `turn` is next, and then goes behind the others.
CREATE TABLE lane (
    line TEXT NOT NULL,
    priority BIGINT NOT NULL,
    key TEXT NOT NULL,
    turn BIGINT NOT NULL,
    due BIGINT NOT NULL,            -- when the first in it is
    gate BIGINT NOT NULL,           -- until when it is passed by: its key may not run more
    PRIMARY KEY (line, priority, key)
);
CREATE INDEX lane_next ON lane (line, priority, turn, due, gate);
CREATE INDEX lane_last ON lane (turn);
CREATE INDEX lane_of_key ON lane (key) WHERE key <> '';
CREATE INDEX lane_empty ON lane (due) WHERE due = 4611686018427387904;
CREATE INDEX lane_gate ON lane (gate) WHERE gate > 0;
INSERT INTO lane (line, priority, key, turn, due, gate) SELECT line, priority, '', 0, min(scheduled), 0 FROM launch WHERE claimed IS NULL AND ended IS NULL GROUP BY line, priority;
