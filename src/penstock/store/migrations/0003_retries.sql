-- What a flow was called with, so that its run can be called again: pickled, or why it could not be kept.
-- Apart from the run: it is written once, and read only when the run is entered again.

CREATE TABLE arguments (
    run_id BYTEA PRIMARY KEY,
    data BYTEA,
    parameter TEXT,
    problem TEXT
);
