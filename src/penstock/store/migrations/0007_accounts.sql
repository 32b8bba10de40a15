-- Users, their keys and sessions, attempts to sign in; and who changed what. Of passwords, keys and tokens there are
-- only digests. No row of a user or key is ever deleted: so whether there ever was one, and a server has to ask for
-- it, is seen for ever.

CREATE TABLE account (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password TEXT,              -- scrypt$n$r$p$salt$digest; none: no sign-in by password
    disabled BIGINT NOT NULL,   -- 1: may do nothing
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);

CREATE TABLE api_key (
    prefix TEXT PRIMARY KEY,    -- the key's first characters, which may be seen
    digest BYTEA NOT NULL UNIQUE,  -- SHA-256 of the whole key
    name TEXT NOT NULL,         -- one key's only, of those that are not revoked
    owner TEXT,                 -- account; none: the key stands for itself
    role TEXT NOT NULL,
    scopes TEXT,                -- JSON list; none: all that the role may
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    last_used BIGINT
);
CREATE INDEX api_key_by_owner ON api_key (owner);

CREATE TABLE login_session (
    digest BYTEA PRIMARY KEY,   -- SHA-256 of the cookie's token
    account TEXT NOT NULL,
    created BIGINT NOT NULL,
    seen BIGINT NOT NULL
);
CREATE INDEX login_session_by_account ON login_session (account);

-- Failed attempts (and such as are just made), by a digest of the name that was given: it may be a mistyped password.
CREATE TABLE login_attempt (
    n /*sqlite INTEGER PRIMARY KEY AUTOINCREMENT*/ /*postgres BIGSERIAL PRIMARY KEY*/,
    name BYTEA NOT NULL,
    address TEXT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX login_attempt_by_time ON login_attempt (at);

CREATE TABLE audit (
    n /*sqlite INTEGER PRIMARY KEY AUTOINCREMENT*/ /*postgres BIGSERIAL PRIMARY KEY*/,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    role TEXT NOT NULL,
    operation TEXT NOT NULL,
    objects TEXT,               -- JSON list of ids and names that the operation was about
    arguments TEXT,             -- JSON, of which what may be secret is left out
    outcome TEXT NOT NULL,      -- "done", else the error's code
    address TEXT NOT NULL,
    agent TEXT NOT NULL,
    key TEXT                    -- the API key's prefix
);
CREATE INDEX audit_by_time ON audit (at);
