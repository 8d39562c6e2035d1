-- What the steps of a run were made from was not noted: it is found in their events.
INSERT OR IGNORE INTO run_definitions
    SELECT run, json_extract(fact.value, '$[1].spec.definition')
    FROM events, json_each(CASE WHEN json_valid(events.body) THEN events.body ELSE '[]' END) AS fact
    WHERE json_extract(fact.value, '$[1].type') = 'step_recorded'
      AND json_extract(fact.value, '$[1].spec.definition') IS NOT NULL;

-- A definition is stored by the transaction that stores what is made from it: nothing has to say when it was put.
DELETE FROM definitions
WHERE NOT EXISTS (SELECT 1 FROM run_definitions WHERE run_definitions.digest = definitions.digest)
  AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.definition = definitions.digest);

ALTER TABLE definitions DROP COLUMN put_at;
