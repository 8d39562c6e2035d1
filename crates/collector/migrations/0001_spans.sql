-- Spans as they were received, and what made them.

-- A resource and a scope: few, and shared by many spans.
CREATE TABLE origins (
    key    INTEGER PRIMARY KEY,
    digest BLOB    NOT NULL UNIQUE,
    -- The newest span that refers to it, or one that came later: when that one is gone, nobody needs it.
    last   INTEGER NOT NULL,
    body   BLOB    NOT NULL
);

-- Keys are given in the order of arrival, which is the order in which spans are deleted.
CREATE TABLE spans (
    key         INTEGER PRIMARY KEY,
    trace_id    BLOB    NOT NULL CHECK (length(trace_id) = 16),
    span_id     BLOB    NOT NULL CHECK (length(span_id) = 8),
    parent_id   BLOB    CHECK (length(parent_id) = 8),
    name        TEXT    NOT NULL,
    started_at  INTEGER NOT NULL,
    ended_at    INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    origin      INTEGER NOT NULL,
    body        BLOB    NOT NULL
);

CREATE UNIQUE INDEX spans_by_id ON spans (trace_id, span_id);
