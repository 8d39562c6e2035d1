-- How far the lifecycle spans of a run have been exported; NULL for a run whose lifecycle is not traced.
ALTER TABLE runs ADD COLUMN export_seq INTEGER;       -- the first event whose spans were not exported yet
ALTER TABLE runs ADD COLUMN exported INTEGER;         -- spans that a receiver has acknowledged
ALTER TABLE runs ADD COLUMN export_dropped INTEGER;   -- spans that were given up
ALTER TABLE runs ADD COLUMN export_done INTEGER CHECK (export_done IN (0, 1));

CREATE INDEX runs_unexported ON runs (key) WHERE export_done = 0;

-- The span of the attempt that made the outputs, as a traceparent.
ALTER TABLE cache ADD COLUMN producer TEXT;
