-- Timers are a fourth kind of action, and a CHECK cannot be altered in place.
ALTER TABLE actions RENAME TO actions_12;

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

INSERT INTO actions SELECT * FROM actions_12;

DROP TABLE actions_12;
