-- Apps: a row for each revision; the one with the highest number is how an app is now. `body` is its definition as it was sent.
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
