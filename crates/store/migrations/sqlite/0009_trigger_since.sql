-- From when on the slots of a trigger are its own: a deployment that changes nothing about its schedule does not move that.
ALTER TABLE triggers ADD COLUMN since INTEGER NOT NULL DEFAULT 0;

UPDATE triggers SET since = changed_at;

CREATE INDEX runs_live_by_trigger ON runs (fired_by, task) WHERE ended_at IS NULL AND fired_by IS NOT NULL;
