-- An id tells when its run was created (uuid7), so a time is a stretch of the primary key, and no index of times is
-- paid for with every task run. Whose id does not, to a minute, is marked; they are few: ids that others made.

ALTER TABLE task_run ADD COLUMN odd BIGINT;
CREATE INDEX task_run_odd ON task_run (id) WHERE odd IS NOT NULL;
