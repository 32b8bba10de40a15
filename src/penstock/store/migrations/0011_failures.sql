-- The failed runs of one flow run, in the order of their ids: of all failed runs they are few, and so they are of its own.

CREATE INDEX task_run_failures_of_flow_run ON task_run (flow_run_id, state_type, id)
    WHERE state_type IN ('FAILED', 'CANCELLED', 'CRASHED');
