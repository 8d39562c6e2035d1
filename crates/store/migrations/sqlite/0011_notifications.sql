-- Who is to be notified of the end of a run: a row for each rule of the run, written with the run. `due_at` is set by the commit that ends
-- the run, so that a process which dies in between has lost nothing.
CREATE TABLE notifications (
    run      INTEGER NOT NULL,
    rule     INTEGER NOT NULL,                                       -- its number among the rules of the run, from 0
    receiver TEXT    NOT NULL,                                       -- as people read it: nothing secret is in it
    state    INTEGER NOT NULL CHECK (state IN (0, 1, 2, 3)),         -- waiting, delivered, given up, unwanted
    tries    INTEGER NOT NULL,
    due_at   INTEGER,                                                -- NULL until the run has ended; when it was settled, if it is
    error    TEXT,                                                   -- of the last try
    PRIMARY KEY (run, rule)
) WITHOUT ROWID;

CREATE INDEX notifications_due ON notifications (receiver, due_at) WHERE state = 0 AND due_at IS NOT NULL;

CREATE INDEX notifications_troubled ON notifications (run) WHERE error IS NOT NULL AND state IN (0, 2);
