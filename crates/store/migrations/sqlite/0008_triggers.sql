-- Triggers: a row a revision, of which the last one counts; how far the slots of each have been decided; and which runs they have fired.

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
    definition   TEXT    NOT NULL,
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

-- The name of the trigger that has fired a run; its task is that of the run.
ALTER TABLE runs ADD COLUMN fired_by TEXT;

CREATE INDEX runs_by_trigger ON runs (fired_by, task, key) WHERE fired_by IS NOT NULL;
