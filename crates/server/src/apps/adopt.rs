//! Apps after a restart of the server: what an earlier server has started goes on if it is still what is wanted, and else ends. Nothing of
//! it runs unseen.

use std::path::PathBuf;

use futures_util::future::join_all;
use spanwise_core::app::{App, Desired};
use spanwise_process::{Claim, Hidden};
use spanwise_wire::apps::{AppDefinition, AppId};

use super::Apps;
use super::cell::Revision;
use super::files::AppFiles;
use super::launch::Running;
use crate::attempt::trouble::patiently;
use crate::attempt::{self, Values};

impl Apps {
    /// Takes up the apps of the journal, and whatever processes are left of them and of others.
    pub(crate) async fn recover(&self, stored: Vec<(AppDefinition, Revision)>) {
        let left = AppFiles::all(&self.inner.shared.data).into_iter();
        let deleted = left.filter(|(id, _)| !stored.iter().any(|(definition, _)| definition.id == *id));
        // Each process has time to end: one beside the other.
        join_all(deleted.map(async |(id, files)| {
            self.end_all(&id, &files, None).await;
            let _ = tokio::task::spawn_blocking(move || files.remove()).await;
        }))
        .await;
        join_all(stored.into_iter().map(async |(definition, revision)| self.take_up_again(definition, revision).await))
            .await;
    }

    /// Takes up an app of the journal, with its process if that goes on.
    async fn take_up_again(&self, definition: AppDefinition, revision: Revision) {
        let files = AppFiles::of(&self.inner.shared.data, &definition.id);
        let mut app = match files.is_good(&definition.process) {
            true => App::known_to_serve(),
            false => App::default(),
        };
        let adopted = self.adopt(&definition, &files).await;
        let number = adopted.as_ref().map(|running| running.number);
        let logs = files.logs().into_iter().filter(|(of, _)| Some(*of) != number);
        let logs = logs.map(|(of, log)| (log, files.note(of).is_some_and(|note| note.process == definition.process)));
        let logs: Vec<(PathBuf, bool)> = logs.collect();
        self.end_all(&definition.id, &files, number).await;
        self.hide_rest(&definition, logs).await;
        if adopted.is_some() {
            app.launched(self.now());
        }
        self.take_up(definition, revision, app, adopted);
    }

    /// The process that an earlier server has started last, if it is one of this definition.
    async fn adopt(&self, definition: &AppDefinition, files: &AppFiles) -> Option<Running> {
        let shared = &self.inner.shared;
        let number = *files.numbers("process").last()?;
        let note = files.note(number).filter(|note| note.process == definition.process)?;
        if definition.desired == Desired::Stopped {
            return None;
        }
        let Ok(Claim::Process(id)) = shared.runner.claim_of(&files.claim(number)).await else { return None };
        let process = shared.runner.adopt(&id).await.ok().flatten()?;
        let hidden = self.hidden(definition).await;
        let log = files.log(number);
        let record = || shared.logs.record_hiding(&log, hidden.clone());
        let recording = Some(patiently("record the log of an app", record).await);
        let ports = self.inner.ports.again(note.given, note.own);
        tracing::info!(app = definition.id.name, number, "an app goes on that an earlier server has started");
        Some(Running { process, files: files.clone(), number, ports, recording })
    }

    async fn hidden(&self, definition: &AppDefinition) -> Hidden {
        let secrets = &self.inner.shared.secrets;
        attempt::hidden(&Values::of_running(secrets, &definition.id.scope(), &definition.program).await)
    }

    /// Sees to the logs of processes that have ended while nobody hid anything in them. What those of another definition were given, nobody
    /// can say.
    async fn hide_rest(&self, definition: &AppDefinition, logs: Vec<(PathBuf, bool)>) {
        let hidden = self.hidden(definition).await;
        for (log, is_of_definition) in logs {
            let hidden = match is_of_definition {
                true => hidden.clone(),
                false => Hidden::withheld("the app is another one since, and its secrets may be others"),
            };
            if let Err(error) = self.inner.shared.logs.hide_rest(&log, hidden).await {
                tracing::warn!(app = definition.id.name, log = %log.display(), %error, "hide the secrets in the log of an app");
            }
        }
    }

    /// Ends every process of an app but one.
    async fn end_all(&self, id: &AppId, files: &AppFiles, but: Option<u32>) {
        let runner = &self.inner.shared.runner;
        let mut numbers = files.numbers("process");
        // One that was being started when the server died may not have made its claim yet.
        numbers.extend(files.numbers("json"));
        numbers.sort_unstable();
        numbers.dedup();
        for number in numbers.into_iter().filter(|number| Some(*number) != but) {
            let claim = files.claim(number);
            match runner.give_up(&claim).await {
                // Whoever comes late finds that it is given up: the claim stays until the next start of the server.
                Ok(true) => files.forget_note(number),
                Ok(false) => {
                    if let Ok(Claim::Process(process)) = runner.claim_of(&claim).await
                        && let Ok(Some(process)) = runner.adopt(&process).await
                    {
                        tracing::info!(
                            app = id.name,
                            number,
                            "a process of an app is ended that an earlier server has started"
                        );
                        process.stop(self.inner.shared.grace).await;
                    }
                    runner.end_remains(&claim).await;
                    files.finish(number);
                }
                Err(error) => tracing::warn!(app = id.name, number, %error, "an app's process cannot be looked for"),
            }
        }
    }
}
