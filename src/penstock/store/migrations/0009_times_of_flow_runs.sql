-- As task runs have it (0008): marked where the id does not tell when the run was created.

ALTER TABLE flow_run ADD COLUMN odd BIGINT;
CREATE INDEX flow_run_odd ON flow_run (id) WHERE odd IS NOT NULL;
