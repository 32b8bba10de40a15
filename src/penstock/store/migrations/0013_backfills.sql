-- Runs of a deployment for times that lie in the past. `data` is the noun as JSON.

CREATE TABLE backfill (
    id BYTEA PRIMARY KEY,
    deployment_id BYTEA NOT NULL,
    ended BIGINT,
    data TEXT NOT NULL
);
CREATE INDEX backfill_open ON backfill (id) WHERE ended IS NULL;
CREATE INDEX backfill_of_deployment ON backfill (deployment_id, id);

ALTER TABLE launch ADD COLUMN backfill_id BYTEA;
CREATE INDEX launch_of_backfill ON launch (backfill_id) WHERE backfill_id IS NOT NULL;
