-- What lists of runs are filtered by, and what retention follows, are fields of a run: nothing looks into its settings any more.
ALTER TABLE runs ADD COLUMN definition TEXT;                         -- the digest of what the run was created with
ALTER TABLE runs ADD COLUMN task_version TEXT NOT NULL DEFAULT '';   -- of the root's task; empty where it has none

CREATE TABLE run_labels (
    run   INTEGER NOT NULL,
    label TEXT    NOT NULL,
    value TEXT    NOT NULL,
    PRIMARY KEY (run, label)
) WITHOUT ROWID;

CREATE INDEX run_labels_by_label ON run_labels (label, value);

-- Settings that cannot be read stay as they are.
INSERT OR REPLACE INTO run_labels
    SELECT runs.key, label.key, label.value
    FROM runs, json_each(CASE WHEN json_valid(settings) THEN settings ELSE '{}' END, '$.labels') AS label
    WHERE label.type = 'text' AND typeof(label.key) = 'text';

UPDATE runs SET definition   = json_extract(settings, '$.definition'),
                task_version = coalesce(json_extract(settings, '$.task_version'), ''),
                settings     = json_remove(settings, '$.labels', '$.definition', '$.task_version')
WHERE json_valid(settings);
