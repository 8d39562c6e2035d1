-- What a control plane keeps beside the journal: definitions, deployed tasks, cached outputs.

-- Conditions are a third kind of action, and a CHECK cannot be altered in place.
ALTER TABLE actions RENAME TO actions_1;

CREATE TABLE actions (
    run          INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    parent       TEXT,
    kind         INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
    task         TEXT    NOT NULL,
    action_group TEXT,
    phase        INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 10),
    attempts     INTEGER NOT NULL,
    enqueued_at  INTEGER NOT NULL,
    started_at   INTEGER,
    ended_at     INTEGER,
    failure      TEXT,
    inputs       BLOB,
    outputs      BLOB,
    PRIMARY KEY (run, name),
    CHECK ((phase IN (5, 6, 7, 8, 10)) = (ended_at IS NOT NULL))
) WITHOUT ROWID;

INSERT INTO actions SELECT * FROM actions_1;

DROP TABLE actions_1;

CREATE INDEX runs_unfinished ON runs (key) WHERE ended_at IS NULL;

-- What an action is made from, stored once for all actions that share it: the digest names the body.
CREATE TABLE definitions (
    digest TEXT NOT NULL PRIMARY KEY,
    body   BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE tasks (
    key         INTEGER PRIMARY KEY,
    org         TEXT    NOT NULL,
    project     TEXT    NOT NULL,
    domain      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    version     TEXT    NOT NULL,
    definition  TEXT    NOT NULL,
    deployed_at INTEGER NOT NULL,
    UNIQUE (org, project, domain, name, version)
);

CREATE TABLE cache (
    key       TEXT    NOT NULL PRIMARY KEY,
    run       TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    outputs   BLOB    NOT NULL,
    stored_at INTEGER NOT NULL
) WITHOUT ROWID;
