-- Tracked runs: their programs run elsewhere. The end of one that is in doubt may still be taken back: it is no end for retention, nor for a restart.
ALTER TABLE runs ADD COLUMN tracked INTEGER NOT NULL DEFAULT 0 CHECK (tracked IN (0, 1));
ALTER TABLE runs ADD COLUMN in_doubt INTEGER NOT NULL DEFAULT 0 CHECK (in_doubt IN (0, 1));

CREATE INDEX runs_tracked ON runs (key) WHERE tracked = 1;
