-- Pauses that go on when an event happens: by its name, or the beginning of one with a * behind.

ALTER TABLE pause ADD COLUMN awaits TEXT;
CREATE INDEX pause_awaits ON pause (awaits) WHERE open = 1 AND awaits IS NOT NULL;
