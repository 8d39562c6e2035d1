//! Spans by what is above each of them, where each has one span above it at most: whoever follows that comes to an end, or goes round
//! in a ring. Nothing here recurses: a chain may have as many spans as there are.

use super::At;

/// How far a span has been looked at.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    No,
    OnTheWay,
    Done,
}

/// Of each ring the first span in the order.
pub(super) fn heads<K: Ord>(above: &[Option<At>], order: impl Fn(usize) -> K) -> Vec<usize> {
    let mut heads = Vec::new();
    let rings = follow(above, |_| {});
    for member in rings {
        let ring = std::iter::successors(Some(member), |at| user_above(above, *at).filter(|next| *next != member));
        heads.extend(ring.min_by_key(|at| order(*at)));
    }
    heads
}

/// All spans, each after what is above it; those of a ring in any order.
pub(super) fn from_the_top(above: &[Option<At>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(above.len());
    follow(above, |at| order.push(at));
    order
}

/// Follows each span upwards as far as nobody has been, and tells of those that were met on the way, the highest one first. Returns
/// one member of each ring.
fn follow(above: &[Option<At>], mut found: impl FnMut(usize)) -> Vec<usize> {
    let (mut seen, mut way, mut rings) = (vec![Seen::No; above.len()], Vec::new(), Vec::new());
    for at in 0..above.len() {
        let mut next = Some(at);
        while let Some(here) = next.filter(|here| seen[*here] == Seen::No) {
            seen[here] = Seen::OnTheWay;
            way.push(here);
            next = user_above(above, here);
        }
        rings.extend(next.filter(|here| seen[*here] == Seen::OnTheWay));
        for here in way.drain(..).rev() {
            seen[here] = Seen::Done;
            found(here);
        }
    }
    rings
}

fn user_above(above: &[Option<At>], at: usize) -> Option<usize> {
    match above[at] {
        Some(At::User(above)) => Some(above),
        Some(At::Lifecycle(_)) | None => None,
    }
}
