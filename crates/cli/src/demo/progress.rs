//! Live progress of a run: a tree that is redrawn on a terminal, a line for each change anywhere else.

use std::io;

use spanwise::Run;

use super::workflow::Report;
use crate::progress::{FRAME, Seen, now, tree};
use crate::terminal::Screen;

/// Shows the run until it ends, and gives its output.
pub(super) async fn follow(run: &Run<Report>, screen: &mut Screen) -> io::Result<spanwise::Result<Report>> {
    let mut changes = run.subscribe();
    let mut clock = tokio::time::interval(FRAME);
    let mut seen = Seen::default();
    let output = run.output();
    tokio::pin!(output);
    for frame in 0.. {
        let done = tokio::select! {
            biased;
            done = &mut output => Some(done),
            Ok(()) = changes.changed(), if !screen.is_live() => None,
            _ = clock.tick() => None,
        };
        let actions = run.actions().await.map_err(|error| io::Error::other(error.into_boxed()))?;
        if screen.is_live() {
            screen.draw(&tree(&actions, now(), frame))?;
        } else {
            for line in seen.changes(&actions) {
                screen.print(&line)?;
            }
        }
        if let Some(done) = done {
            screen.settle()?;
            return Ok(done);
        }
    }
    unreachable!("the frames do not end")
}
