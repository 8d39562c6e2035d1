//! Apps: created, changed, deleted and looked at, and what an earlier server has left of them.

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use spanwise_core::app::Desired;
use spanwise_engine::AppRow;
use spanwise_process::{ByteStream, LogBatches, LogStart};
use spanwise_wire::apps::{AppDefinition, AppId, AppState};
use spanwise_wire::{Invalid, shown};
use tokio::sync::watch;

use super::logs::end_of;
use super::{ControlPlane, Error, LogEnd};
use crate::apps::{Cell, Revision};

/// An app as it is now.
#[derive(Clone, Debug)]
pub(crate) struct AppView {
    pub(crate) definition: Arc<AppDefinition>,
    pub(crate) state: AppState,
}

/// The log of one start of an app.
pub(crate) struct AppLog {
    /// Which start, counted from 1.
    pub(crate) number: u32,
    file: PathBuf,
    plane: ControlPlane,
    id: AppId,
}

impl ControlPlane {
    /// Creates an app.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is one of this name; the client changes that one then.
    pub(crate) async fn create_app(&self, definition: AppDefinition) -> Result<AppView, Error> {
        self.check_app(&definition).await?;
        let id = definition.id.clone();
        let exists = || Error::AlreadyExists(format!("app `{}` exists: change it instead", id.name));
        let now = self.now();
        let revision = Revision { number: 1, created_at: now, changed_at: now, reason: String::new() };
        let _alone = self.inner.apps.change_alone();
        if self.inner.apps.get(&id).is_some() || !self.store_app(&definition, &revision)? {
            return Err(exists());
        }
        Ok(self.app_view(&self.inner.apps.put(definition, revision)))
    }

    /// Changes an app to another revision.
    pub(crate) async fn change_app(&self, definition: AppDefinition, reason: &str) -> Result<AppView, Error> {
        // Whatever is wrong with it, it can be stopped.
        if definition.desired != Desired::Stopped {
            self.check_app(&definition).await?;
        }
        let _alone = self.inner.apps.change_alone();
        let cell = self.cell(&definition.id)?;
        let current = cell.revision();
        if definition.seen != 0 && definition.seen != current.number {
            let name = &definition.id.name;
            return Err(Error::Unmet(format!(
                "app `{name}` has revision {} by now, and this changes revision {}: get it again",
                current.number, definition.seen
            )));
        }
        let revision = Revision {
            number: current.number + 1,
            changed_at: self.now(),
            reason: reason.to_owned(),
            created_at: current.created_at,
        };
        if !self.store_app(&definition, &revision)? {
            return Err(Error::Unmet(format!("app `{}` is being changed by somebody else", definition.id.name)));
        }
        Ok(self.app_view(&self.inner.apps.put(definition, revision)))
    }

    /// Starts or stops an app. One that is so already stays as it is, but for one that has failed, which is tried again.
    pub(crate) async fn desire_app(&self, id: &AppId, desired: Desired, reason: &str) -> Result<AppView, Error> {
        let definition = self.cell(id)?.definition().desiring(desired)?;
        self.change_app(definition, reason).await
    }

    /// Deletes an app: its process ends, and its logs go. What it has stored stays. False if there is none.
    pub(crate) fn delete_app(&self, id: &AppId) -> Result<bool, Error> {
        let _alone = self.inner.apps.change_alone();
        let was_there = self.inner.engine.delete_app(&id.scope(), &id.name)?;
        self.inner.apps.remove(id);
        Ok(was_there)
    }

    /// An app by its name.
    pub(crate) fn app(&self, id: &AppId) -> Result<AppView, Error> {
        Ok(self.app_view(&*self.cell(id)?))
    }

    /// Every app.
    pub(crate) fn apps(&self) -> Vec<AppView> {
        self.inner.apps.all().iter().map(|cell| self.app_view(cell)).collect()
    }

    /// Told of whatever happens to any app.
    pub(crate) fn app_changes(&self) -> watch::Receiver<u64> {
        self.inner.apps.changes()
    }

    /// The revisions of an app that are kept, the newest first.
    pub(crate) fn app_revisions(&self, id: &AppId) -> Result<Vec<(AppDefinition, Revision)>, Error> {
        let rows = self.inner.engine.app_revisions(&id.scope(), &id.name)?;
        rows.into_iter().map(|row| Ok((AppDefinition::read(row.body.clone())?, revision(&row)))).collect()
    }

    /// The log of a start of an app; of the last one, if none is named.
    pub(crate) fn app_log(&self, id: &AppId, number: Option<u32>) -> Result<AppLog, Error> {
        self.cell(id)?;
        let mut logs = self.inner.apps.logs_of(id);
        let found = match number {
            Some(number) => logs.into_iter().find(|(start, _)| *start == number),
            None => logs.pop(),
        };
        let (number, file) = found.ok_or_else(|| {
            let which = number.map_or_else(String::new, |number| format!(" start {number} of"));
            Error::NotFound(format!("there is no log of{which} app `{}`", id.name))
        })?;
        Ok(AppLog { number, file, plane: self.clone(), id: id.clone() })
    }

    /// Takes up the apps that an earlier server had. One that cannot be read keeps no other from that.
    pub(crate) async fn recover_apps(&self) -> Result<(), Error> {
        let mut stored = Vec::new();
        for row in self.inner.engine.apps()? {
            match AppDefinition::read(row.body.clone()) {
                Ok(definition) => stored.push((definition, revision(&row))),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(app = row.name, project = row.scope.project, error, "an app cannot be read");
                }
            }
        }
        self.inner.apps.recover(stored).await;
        Ok(())
    }

    fn cell(&self, id: &AppId) -> Result<Arc<Cell>, Error> {
        let missing = || {
            let (name, project, domain) = (shown(&id.name), &id.project, &id.domain);
            Error::NotFound(format!("app `{name}` does not exist in project `{project}`, domain `{domain}`"))
        };
        self.inner.apps.get(id).ok_or_else(missing)
    }

    fn app_view(&self, cell: &Cell) -> AppView {
        AppView { definition: cell.definition(), state: self.inner.apps.state(cell) }
    }

    async fn check_app(&self, definition: &AppDefinition) -> Result<(), Error> {
        self.is_ready().await?;
        if let Some(first) = definition.not_honoured().first().filter(|_| self.inner.strict) {
            return Err(Invalid::field(first.clone()).into());
        }
        if let Some((host, other)) = self.inner.apps.conflict(definition) {
            let text = format!(
                "spec.ingress: `{host}` is the host name of app `{}` in project `{}`, domain `{}`",
                other.name, other.project, other.domain
            );
            return Err(Invalid::field(text).into());
        }
        let bundle = Some(definition.bundle.as_str()).filter(|bundle| bundle.starts_with("s3://"));
        self.check_bundle(bundle).await
    }

    fn store_app(&self, definition: &AppDefinition, revision: &Revision) -> Result<bool, Error> {
        let row = AppRow {
            scope: definition.id.scope(),
            name: definition.id.name.clone(),
            revision: revision.number,
            body: definition.stored.body.clone(),
            reason: revision.reason.clone(),
            created_at: revision.created_at,
            changed_at: revision.changed_at,
        };
        Ok(self.inner.engine.put_app(&row)?)
    }
}

fn revision(row: &AppRow) -> Revision {
    let (created_at, changed_at, reason) = (row.created_at, row.changed_at, row.reason.clone());
    Revision { number: row.revision, created_at, changed_at, reason }
}

impl AppLog {
    /// Its lines from a place on, and those that come until another start of the app has a log.
    pub(crate) fn follow(&self, from: u64) -> LogBatches {
        let (plane, id, number) = (self.plane.clone(), self.id.clone(), self.number);
        let mut changes = plane.app_changes();
        let ended: BoxFuture<'static, ()> = Box::pin(async move {
            let is_last = || {
                let logs = plane.inner.apps.logs_of(&id);
                logs.last().is_some_and(|(last, _)| *last == number)
                    && plane.app(&id).is_ok_and(|app| app.state.is_running)
            };
            while is_last() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        self.plane.inner.apps.logs().tail(&self.file, LogStart::Offset(from), ended)
    }

    /// How many bytes it has.
    pub(crate) async fn length(&self) -> std::io::Result<u64> {
        self.plane.inner.apps.logs().length(&self.file)
    }

    /// A part of it, byte by byte.
    pub(crate) async fn bytes(&self, range: std::ops::Range<u64>) -> std::io::Result<ByteStream> {
        self.plane.inner.apps.logs().bytes(&self.file, range).await
    }

    /// Its end; of one that still grows whole lines only.
    pub(crate) fn end(&self, live: bool) -> Option<LogEnd> {
        end_of(&self.file, self.plane.inner.apps.logs().length(&self.file).ok()?, live)
    }
}
