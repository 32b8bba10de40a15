-- The runs of one deployment, the newest first.
CREATE INDEX flow_run_of_deployment ON flow_run (deployment_id, id) WHERE deployment_id IS NOT NULL;
