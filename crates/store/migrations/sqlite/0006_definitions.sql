-- A definition is stored by the transaction that stores what is made from it: nothing has to say when it was put.
DELETE FROM definitions
WHERE NOT EXISTS (SELECT 1 FROM run_definitions WHERE run_definitions.digest = definitions.digest)
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.definition = definitions.digest);

ALTER TABLE definitions DROP COLUMN put_at;
