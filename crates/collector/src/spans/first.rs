//! Reading a part of a trace that is larger than what is read: what somebody asks for comes first.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, params};

/// So many spans of a trace are looked through for the wanted ones, the last to arrive; they take some 64 bytes each meanwhile.
const MOST_SCANNED: i64 = 2_000_000;

/// Which spans of a trace come first, if it has more than are read.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Spans that are directly or indirectly under one of these.
    pub under: HashSet<[u8; 8]>,
    /// Spans whose body has these bytes, and what is under them; nothing if it is empty.
    pub mark: Vec<u8>,
    /// After them, spans that began in this time, in nanoseconds since 1970.
    pub from: i64,
    /// The end of it.
    pub to: i64,
}

/// The spans of a trace.
#[derive(Default)]
struct Scanned {
    rows: Vec<Row>,
    /// Where each id is among the rows.
    positions: HashMap<[u8; 8], usize>,
}

/// What is known of a span without reading all of it.
struct Row {
    key: i64,
    parent: Option<[u8; 8]>,
    start: i64,
    is_wanted: bool,
}

/// The keys of the spans of a trace that are read, `limit` at most: the wanted ones, those of their time, the others; of each the
/// first to begin.
pub(super) fn keys(
    connection: &Connection,
    trace_id: [u8; 16],
    limit: usize,
    wanted: &Wanted,
) -> rusqlite::Result<Vec<i64>> {
    let mut scanned = scan(connection, trace_id, &wanted.mark)?;
    scanned.mark_descendants(&wanted.under);
    let mut rows = scanned.rows;
    let rank = |row: &Row| match row {
        row if row.is_wanted => 0,
        row if (wanted.from..=wanted.to).contains(&row.start) => 1,
        _ => 2,
    };
    if limit < rows.len() {
        rows.select_nth_unstable_by_key(limit, |row| (rank(row), row.start, row.key));
        rows.truncate(limit);
    }
    rows.sort_unstable_by_key(|row| (row.start, row.key));
    Ok(rows.into_iter().map(|row| row.key).collect())
}

/// Looks at all spans of a trace.
fn scan(connection: &Connection, trace_id: [u8; 16], mark: &[u8]) -> rusqlite::Result<Scanned> {
    let mut select = connection.prepare_cached(
        "SELECT key, span_id, parent_id, started_at, length(?2) > 0 AND instr(body, ?2) > 0 FROM spans
         WHERE trace_id = ?1 AND key > (SELECT ifnull(max(key), 0) - ?3 FROM spans)",
    )?;
    let mut found = select.query(params![&trace_id[..], mark, MOST_SCANNED])?;
    let Scanned { mut rows, mut positions } = Scanned::default();
    while let Some(row) = found.next()? {
        positions.insert(row.get(1)?, rows.len());
        rows.push(Row { key: row.get(0)?, parent: row.get(2)?, start: row.get(3)?, is_wanted: row.get(4)? });
    }
    Ok(Scanned { rows, positions })
}

impl Scanned {
    /// Whatever is under a wanted span is wanted. Each span is looked at once, however deep it is, and rings end.
    fn mark_descendants(&mut self, under: &HashSet<[u8; 8]>) {
        let Scanned { rows, positions } = self;
        let mut is_known = vec![false; rows.len()];
        let mut way = Vec::new();
        for at in 0..rows.len() {
            let mut next = Some(at);
            let mut is_wanted = false;
            while let Some(here) = next {
                let row = &rows[here];
                if is_known[here] || row.is_wanted {
                    is_wanted = row.is_wanted;
                    break;
                }
                is_known[here] = true;
                way.push(here);
                if row.parent.is_some_and(|parent| under.contains(&parent)) {
                    is_wanted = true;
                    break;
                }
                next = row.parent.and_then(|parent| positions.get(&parent)).copied();
            }
            for here in way.drain(..) {
                rows[here].is_wanted = is_wanted;
            }
        }
    }
}
