-- Timers are a fourth kind of action. A CHECK cannot be altered in place, and a copy of the table would take as much room again as all
-- inputs and outputs do, at a start that then may find none. So the text of the table is changed, as https://www.sqlite.org/lang_altertable.html
-- describes for what changes nothing of the rows.
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (kind IN (1, 2, 3))', 'CHECK (kind IN (1, 2, 3, 4))') WHERE type = 'table' AND name = 'actions';
PRAGMA writable_schema = RESET;
-- Other connections read the schema again when something is made or dropped.
CREATE TABLE schema_has_changed (x INTEGER);
DROP TABLE schema_has_changed;
