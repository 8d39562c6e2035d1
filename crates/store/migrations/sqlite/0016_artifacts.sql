-- Versions of artifacts. The key of one is never used again: who waits for versions notes how far it has come.
CREATE TABLE artifacts (
    key        INTEGER PRIMARY KEY AUTOINCREMENT,
    org        TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    body       BLOB    NOT NULL,                                    -- the value, its type, and what is said of it
    time_key   TEXT,                                                -- of the partition by time, if it has one
    time_unit  TEXT,
    time_start INTEGER,
    partition  TEXT    NOT NULL,                                    -- the others: a JSON object of texts
    run        TEXT,                                                -- the attempt that has made it, in its own scope
    action     TEXT,
    attempt    INTEGER,
    external   TEXT,                                                -- or where it comes from
    producer   TEXT,                                                -- the span of that attempt, as a traceparent
    created_at INTEGER NOT NULL,
    UNIQUE (org, project, domain, name, version)
);

CREATE INDEX artifacts_by_name ON artifacts (org, project, domain, name, key);
CREATE INDEX artifacts_by_run ON artifacts (run) WHERE run IS NOT NULL;

-- What is said of a version in words of its own.
CREATE TABLE artifact_metadata (
    artifact INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;

-- The keys by which versions of a name are partitioned.
CREATE TABLE artifact_schemas (
    org      TEXT    NOT NULL,
    project  TEXT    NOT NULL,
    domain   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    body     TEXT    NOT NULL,                                      -- as JSON
    declared INTEGER NOT NULL CHECK (declared IN (0, 1)),           -- 0: by its first version
    PRIMARY KEY (org, project, domain, name)
) WITHOUT ROWID;

-- The versions that a run was given.
CREATE TABLE run_artifacts (
    run      INTEGER NOT NULL,
    artifact INTEGER NOT NULL,
    PRIMARY KEY (run, artifact)
) WITHOUT ROWID;

CREATE INDEX run_artifacts_by_artifact ON run_artifacts (artifact, run);

-- The last version that there was when a trigger was deployed or activated.
ALTER TABLE triggers ADD COLUMN after_artifact INTEGER NOT NULL DEFAULT 0;

-- Every version up to this one has been decided.
CREATE TABLE trigger_artifacts (
    org     TEXT    NOT NULL,
    project TEXT    NOT NULL,
    domain  TEXT    NOT NULL,
    task    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (org, project, domain, task, name)
) WITHOUT ROWID;
