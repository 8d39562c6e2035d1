-- The journal: what happened (events) and, derived from it, where everything is (runs, actions).
-- Times are microseconds since the Unix epoch; phases are Flyte's numbers.

CREATE TABLE runs (
    key        INTEGER PRIMARY KEY,
    org        TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    task       TEXT    NOT NULL,
    phase      INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 10),
    created_at INTEGER NOT NULL,
    ended_at   INTEGER,
    settings   TEXT    NOT NULL,
    UNIQUE (org, project, domain, name),
    CHECK ((phase IN (5, 6, 7, 8, 10)) = (ended_at IS NOT NULL))
);

CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;

-- A row holds the facts of one action that follow each other: body is a JSON array of [time, fact].
CREATE TABLE events (
    run    INTEGER NOT NULL,
    seq    INTEGER NOT NULL,                  -- the number of the first fact in its run, from 0
    count  INTEGER NOT NULL CHECK (count > 0),
    action TEXT    NOT NULL,
    v      INTEGER NOT NULL,                  -- the version of the facts' stored form
    body   TEXT    NOT NULL,
    PRIMARY KEY (run, seq)
) WITHOUT ROWID;

CREATE TABLE actions (
    run          INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    parent       TEXT,
    kind         INTEGER NOT NULL CHECK (kind IN (1, 2)),
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
