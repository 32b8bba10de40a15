-- A flow may give all its runs one name: those that have it are listed in the order of their ids, too.

DROP INDEX flow_run_by_name;
CREATE INDEX flow_run_by_name ON flow_run (name, id);
