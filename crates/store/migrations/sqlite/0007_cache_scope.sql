-- Where the run belongs that computed the outputs: a key of every project is found from another one.
ALTER TABLE cache ADD COLUMN org TEXT;
ALTER TABLE cache ADD COLUMN project TEXT;
ALTER TABLE cache ADD COLUMN domain TEXT;
