//! One task an app: it does what is due, and tells what has happened.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use spanwise_core::Timestamp;
use spanwise_core::app::Next;
use spanwise_process::Ending;

use super::Apps;
use super::cell::{Cell, Due};
use super::launch::Running;

/// What ends a wait.
enum Wake {
    /// Something is to be looked at again.
    Look,
    Answered(SocketAddr),
    Ended(Ending),
    /// The server ends.
    Closing,
}

impl Apps {
    /// Looks after an app until it is deleted or the server ends. `running` is what an earlier server has started.
    pub(super) async fn supervise(&self, cell: &Arc<Cell>, mut running: Option<Running>) {
        let lock = {
            let mut locks = self.inner.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(cell.id.clone()).or_default())
        };
        let _alone = lock.lock().await;
        let mut changes = cell.changes();
        loop {
            changes.borrow_and_update();
            let due = match cell.due(self.now()) {
                Due::Leave => {
                    self.finish(running).await;
                    let files = super::files::AppFiles::of(&self.inner.shared.data, &cell.id);
                    // There may be much of it.
                    let _ = tokio::task::spawn_blocking(move || files.remove()).await;
                    return;
                }
                Due::Next(Next::Launch) => {
                    running = self.start(cell).await;
                    continue;
                }
                Due::Next(Next::End(why)) => {
                    cell.ending(why, self.now());
                    if let Some(running) = &running {
                        // It has time to end; its end is what is waited for.
                        let (process, grace) = (running.process.clone(), self.inner.shared.grace);
                        tokio::spawn(async move { process.stop(grace).await });
                    }
                    continue;
                }
                Due::Next(Next::Wait { due }) => due,
            };
            let wake = tokio::select! {
                () = self.inner.ending.cancelled() => Wake::Closing,
                ending = ended(running.as_ref()) => Wake::Ended(ending),
                at = answered(running.as_ref().filter(|_| cell.is_starting())) => Wake::Answered(at),
                _ = changes.changed() => Wake::Look,
                () = self.until(due) => Wake::Look,
            };
            match wake {
                Wake::Look => {}
                Wake::Answered(at) => self.answered(cell, running.as_mut(), at).await,
                Wake::Ended(ending) => self.ended(cell, running.take(), ending).await,
                Wake::Closing => return self.finish(running).await,
            }
        }
    }

    async fn start(&self, cell: &Arc<Cell>) -> Option<Running> {
        cell.launched(self.now());
        match self.launch(&cell.definition()).await {
            Ok(running) => Some(running),
            Err(failure) => {
                let message = format!("the app cannot be started: {}", failure.message);
                tracing::warn!(app = cell.id.name, project = cell.id.project, message);
                cell.ended(Some(message), self.now());
                None
            }
        }
    }

    async fn answered(&self, cell: &Arc<Cell>, running: Option<&mut Running>, at: SocketAddr) {
        let Some(running) = running else { return };
        running.ports.keep(at.port());
        running.files.note_good(&cell.definition().process);
        if at.port() != running.ports.given {
            let port = at.port();
            let note =
                format!("the app listens on port {port} of its definition, not on $PORT: no second app can do so");
            let _ = self.inner.shared.logs.append(&running.files.log(running.number), &note).await;
        }
        cell.answered(at, self.now());
    }

    /// The process is gone: what it has left of itself goes too, and what became of it is told.
    async fn ended(&self, cell: &Arc<Cell>, running: Option<Running>, ending: Ending) {
        let Some(mut running) = running else { return };
        if let Some(recording) = running.recording.take() {
            recording.finish().await;
        }
        let message = match cell.is_asked_to_end() {
            true => None,
            false => Some(self.told_end(&running, ending).await),
        };
        if message.is_some() {
            tracing::warn!(app = cell.id.name, project = cell.id.project, ?ending, "an app has ended by itself");
        }
        self.end_remains(running.files.claim(running.number)).await;
        running.files.finish(running.number);
        drop(running);
        cell.ended(message, self.now());
    }

    /// Ends a process for good.
    async fn finish(&self, running: Option<Running>) {
        let Some(running) = running else { return };
        running.process.stop(self.inner.shared.grace).await;
        self.end_remains(running.files.claim(running.number)).await;
        if let Some(recording) = &running.recording {
            recording.finish().await;
        }
        running.files.finish(running.number);
    }

    async fn until(&self, due: Option<Timestamp>) {
        match due {
            // A little later at the least: the clock has moved on by then.
            Some(due) => tokio::time::sleep(due.since(self.now()) + Duration::from_millis(1)).await,
            None => std::future::pending().await,
        }
    }
}

async fn ended(running: Option<&Running>) -> Ending {
    match running {
        Some(running) => running.process.wait().await,
        None => std::future::pending().await,
    }
}

async fn answered(starting: Option<&Running>) -> SocketAddr {
    match starting {
        Some(running) => running.answers().await,
        None => std::future::pending().await,
    }
}
