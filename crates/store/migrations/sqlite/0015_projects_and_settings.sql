-- Projects that somebody has said something about; others are there because something runs in them.
CREATE TABLE projects (
    id          TEXT    NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    description TEXT    NOT NULL,
    labels      TEXT    NOT NULL,                                   -- a JSON object of texts
    archived    INTEGER NOT NULL CHECK (archived IN (0, 1)),
    created_at  INTEGER NOT NULL,
    changed_at  INTEGER NOT NULL
) WITHOUT ROWID;

-- What runs have where they say nothing: of an organisation (no domain and no project), of a domain in it, of a project in that.
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
