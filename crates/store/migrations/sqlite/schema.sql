-- What a new journal is made by: what all steps beside this file come to. They say what each table and column is for.
-- A test compares the two, and writes this file anew where they differ.

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
    kind         INTEGER NOT NULL CHECK (kind IN (1, 2, 3, 4)),
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
, producer TEXT, org TEXT, project TEXT, domain TEXT) WITHOUT ROWID;

CREATE TABLE runs (
    key            INTEGER PRIMARY KEY AUTOINCREMENT,
    org            TEXT    NOT NULL,
    project        TEXT    NOT NULL,
    domain         TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    task           TEXT    NOT NULL,
    phase          INTEGER NOT NULL CHECK (phase BETWEEN 1 AND 10),
    created_at     INTEGER NOT NULL,
    ended_at       INTEGER,
    settings       TEXT    NOT NULL,
    export_seq     INTEGER,
    exported       INTEGER,
    export_dropped INTEGER,
    export_done    INTEGER CHECK (export_done IN (0, 1)), definition TEXT, task_version TEXT NOT NULL DEFAULT '', fired_by TEXT, tracked INTEGER NOT NULL DEFAULT 0 CHECK (tracked IN (0, 1)), in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1)),
    UNIQUE (org, project, domain, name),
    CHECK ((phase IN (5, 6, 7, 8, 10)) = (ended_at IS NOT NULL))
);

CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;

CREATE INDEX runs_unfinished ON runs (key) WHERE ended_at IS NULL;

CREATE INDEX runs_unexported ON runs (key) WHERE export_done = 0;

CREATE TABLE run_definitions (
    run    INTEGER NOT NULL,
    digest TEXT    NOT NULL,
    PRIMARY KEY (run, digest)
) WITHOUT ROWID;

CREATE INDEX run_definitions_by_digest ON run_definitions (digest);

CREATE INDEX tasks_by_definition ON tasks (definition);

CREATE INDEX cache_by_time ON cache (stored_at);

CREATE TABLE run_labels (
    run   INTEGER NOT NULL,
    label TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, label)
) WITHOUT ROWID;

CREATE INDEX run_labels_by_label ON run_labels (label, value);

CREATE TABLE triggers (
    key          INTEGER PRIMARY KEY,
    org          TEXT    NOT NULL,
    project      TEXT    NOT NULL,
    domain       TEXT    NOT NULL,
    task         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    revision     INTEGER NOT NULL CHECK (revision > 0),
    change       INTEGER NOT NULL CHECK (change IN (1, 2, 3, 4)),   -- deployed, activated, deactivated, deleted
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    changed_at   INTEGER NOT NULL,
    deployed_at  INTEGER NOT NULL,
    deployed_by  TEXT,                                              -- the span of the call that did, as a traceparent
    task_version TEXT    NOT NULL,
    definition   TEXT    NOT NULL, since INTEGER NOT NULL DEFAULT 0, after_artifact INTEGER NOT NULL DEFAULT 0,
    UNIQUE (org, project, domain, task, name, revision)
);

CREATE INDEX triggers_by_definition ON triggers (definition);

CREATE TABLE trigger_slots (
    org     TEXT    NOT NULL,
    project TEXT    NOT NULL,
    domain  TEXT    NOT NULL,
    task    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    settled INTEGER NOT NULL,                                       -- everything up to this slot has been decided
    PRIMARY KEY (org, project, domain, task, name)
) WITHOUT ROWID;

CREATE INDEX runs_by_trigger ON runs (fired_by, task, key) WHERE fired_by IS NOT NULL;

CREATE INDEX runs_live_by_trigger ON runs (fired_by, task) WHERE ended_at IS NULL AND fired_by IS NOT NULL;

CREATE TABLE apps (
    key         INTEGER PRIMARY KEY,
    org         TEXT NOT NULL,
    project     TEXT NOT NULL,
    domain      TEXT NOT NULL,
    name        TEXT NOT NULL,
    revision    INTEGER NOT NULL CHECK (revision > 0),
    body        BLOB NOT NULL,
    reason      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL,
    UNIQUE (org, project, domain, name, revision)
);

CREATE TABLE notifications (
    run      INTEGER NOT NULL,
    rule     INTEGER NOT NULL,                                       -- its number among the rules of the run, from 0
    receiver TEXT    NOT NULL,                                       -- as people read it: nothing secret is in it
    state    INTEGER NOT NULL CHECK (state IN (0, 1, 2, 3)),         -- waiting, delivered, given up, unwanted
    tries    INTEGER NOT NULL,
    due_at   INTEGER,                                                -- NULL until the run has ended; when it was settled, if it is
    error    TEXT,                                                   -- of the last try
    PRIMARY KEY (run, rule)
) WITHOUT ROWID;

CREATE INDEX notifications_due ON notifications (receiver, due_at) WHERE state = 0 AND due_at IS NOT NULL;

CREATE INDEX notifications_troubled ON notifications (run) WHERE error IS NOT NULL AND state IN (0, 2);

CREATE INDEX runs_tracked ON runs (key) WHERE tracked = 1;

CREATE INDEX notifications_untried ON notifications (receiver, due_at) WHERE state = 0 AND due_at IS NOT NULL AND tries = 0;

CREATE TABLE projects (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    labels      TEXT    NOT NULL,                                   -- a JSON object of texts
    archived    INTEGER NOT NULL CHECK (archived IN (0, 1)),
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE settings (
    org        TEXT    NOT NULL,
    domain     TEXT    NOT NULL,
    project    TEXT    NOT NULL,
    version    INTEGER NOT NULL CHECK (version > 0),                -- counted up by each change
    body       BLOB    NOT NULL,                                    -- as they were sent
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (org, domain, project),
    CHECK (domain <> '' OR project = '')
) WITHOUT ROWID;

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

CREATE TABLE artifact_metadata (
    artifact INTEGER NOT NULL,
    key      TEXT    NOT NULL,
    value    TEXT    NOT NULL,
    PRIMARY KEY (artifact, key)
) WITHOUT ROWID;

CREATE TABLE artifact_schemas (
    org      TEXT    NOT NULL,
    project  TEXT    NOT NULL,
    domain   TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    body     TEXT    NOT NULL,                                      -- as JSON
    declared INTEGER NOT NULL CHECK (declared IN (0, 1)),           -- 0: by its first version
    PRIMARY KEY (org, project, domain, name)
) WITHOUT ROWID;

CREATE TABLE run_artifacts (
    run      INTEGER NOT NULL,
    artifact INTEGER NOT NULL,
    PRIMARY KEY (run, artifact)
) WITHOUT ROWID;

CREATE INDEX run_artifacts_by_artifact ON run_artifacts (artifact, run);

CREATE TABLE trigger_artifacts (
    org     TEXT    NOT NULL,
    project TEXT    NOT NULL,
    domain  TEXT    NOT NULL,
    task    TEXT    NOT NULL,
    name    TEXT    NOT NULL,
    settled INTEGER NOT NULL,
    PRIMARY KEY (org, project, domain, task, name)
) WITHOUT ROWID;
