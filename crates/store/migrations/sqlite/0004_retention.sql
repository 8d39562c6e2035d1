-- What retention has to know: which definitions a run is made from, and that the key of a run is never used again.

-- Logs and working directories are named by the key, and the key of the last run would come again after its deletion.
ALTER TABLE runs RENAME TO runs_3;

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
    export_done    INTEGER CHECK (export_done IN (0, 1)),
    UNIQUE (org, project, domain, name),
    CHECK ((phase IN (5, 6, 7, 8, 10)) = (ended_at IS NOT NULL))
);

INSERT INTO runs SELECT * FROM runs_3;

DROP TABLE runs_3;

CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;

CREATE INDEX runs_unfinished ON runs (key) WHERE ended_at IS NULL;

CREATE INDEX runs_unexported ON runs (key) WHERE export_done = 0;

-- The definitions of a run's settings and of its actions.
CREATE TABLE run_definitions (
    run    INTEGER NOT NULL,
    digest TEXT    NOT NULL,
    PRIMARY KEY (run, digest)
) WITHOUT ROWID;

CREATE INDEX run_definitions_by_digest ON run_definitions (digest);

INSERT INTO run_definitions
    SELECT key, json_extract(settings, '$.definition') FROM runs
    WHERE json_extract(settings, '$.definition') IS NOT NULL
    UNION
    SELECT run, json_extract(fact.value, '$[1].spec.definition') FROM events, json_each(events.body) AS fact
    WHERE json_extract(fact.value, '$[1].spec.definition') IS NOT NULL;

CREATE INDEX tasks_by_definition ON tasks (definition);

-- When it was last put: what is put first and referred to afterwards must not go in between.
ALTER TABLE definitions ADD COLUMN put_at INTEGER NOT NULL DEFAULT 0;

CREATE INDEX cache_by_time ON cache (stored_at);
