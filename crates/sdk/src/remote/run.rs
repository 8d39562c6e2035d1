//! A run on a server, as the program that started it or looked it up holds it.

use std::time::Instant;

use connectrpc::{ConnectError, ErrorCode};
use spanwise_core::{ActionName, AttemptNo, Failure, Phase, RunId};
use spanwise_engine::{ActionView, Outcome, Relation};
use spanwise_proto::Message;
use spanwise_proto::flyteidl2::core::Literal;
use spanwise_proto::flyteidl2::workflow::{ActionDetails, action_details};
use spanwise_wire::requests::{self, lists};
use spanwise_wire::{failure, view};
use tokio::sync::watch;

use super::connection::{Connection, LONG, SHORT, error, persist};
use crate::backend::{BackendRun, Pending, user};
use crate::error::Result;
use crate::value::ValueError;

/// A run on a server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RemoteRun {
    connection: Connection,
    id: RunId,
    relation: Option<Relation>,
}

impl RemoteRun {
    pub(super) fn new(connection: Connection, id: RunId, relation: Option<Relation>) -> RemoteRun {
        RemoteRun { connection, id, relation }
    }

    /// Waits for the root's end. A server that is away for a while is waited for.
    async fn wait(&self) -> Result<Outcome> {
        let doing = format!("wait for run `{}`", self.id.name);
        let details = self.watch_root(|_| ()).await.map_err(|source| error(&doing, &source))?;
        match phase(&details) {
            Some(Phase::Succeeded | Phase::Recovered) => Ok(Outcome::Succeeded(self.outputs().await?)),
            Some(Phase::TimedOut) => Ok(Outcome::TimedOut(failure_of(&details))),
            Some(Phase::Aborted) => Ok(aborted(&details)),
            _ => Ok(Outcome::Failed(failure_of(&details))),
        }
    }

    /// Watches the root until its end, which is returned.
    async fn watch_root(&self, mut changed: impl FnMut(&ActionDetails)) -> Result<ActionDetails, ConnectError> {
        let (client, mut heard) = (self.connection.runs_watched(), Instant::now());
        let request = requests::watch_action(&self.id, &ActionName::ROOT);
        loop {
            let left = LONG.saturating_sub(heard.elapsed());
            let mut stream = persist(left, || client.watch_action_details(request.clone())).await?;
            let broken = loop {
                match stream.message().await {
                    Ok(Some(message)) => {
                        heard = Instant::now();
                        let details = message.to_owned_message().details.into_option().unwrap_or_default();
                        changed(&details);
                        if phase(&details).is_some_and(Phase::is_terminal) {
                            return Ok(details);
                        }
                    }
                    Ok(None) => break ConnectError::unavailable("the server ended the watch"),
                    Err(error) => break error,
                }
            };
            // Asked again at once if it is the server that has gone: `persist` waits for it. What it refuses is final.
            if heard.elapsed() > LONG || broken.code == connectrpc::ErrorCode::NotFound {
                return Err(broken);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    async fn outputs(&self) -> Result<bytes::Bytes> {
        let request = requests::action_data(&self.id, &ActionName::ROOT);
        let data = self.connection.data();
        let found = persist(LONG, || data.get_action_data(request.clone())).await;
        let found = found.map_err(|source| error("read the outputs of the run", &source))?.into_owned();
        Ok(found.outputs.into_option().unwrap_or_default().encode_to_vec().into())
    }

    async fn read_report(&self, action: ActionName, attempt: AttemptNo) -> Result<Option<String>> {
        let doing = |source: ConnectError| error("read the report", &source);
        let request = requests::report_link(&self.id, &action, attempt);
        let data = self.connection.data();
        let link = match persist(SHORT, || data.create_download_link(request.clone())).await {
            Err(missing) if missing.code == ErrorCode::NotFound => return Ok(None),
            link => link.map_err(doing)?.into_owned(),
        };
        let Some(url) = link.pre_signed_urls.signed_url.first() else { return Ok(None) };
        let page = persist(SHORT, || self.connection.get_signed(url)).await.map_err(doing)?;
        Ok(page.map(|page| String::from_utf8_lossy(&page).into_owned()))
    }

    async fn ask_to_abort(&self, reason: &str) -> Result<()> {
        let request = requests::abort_run(&self.id, reason);
        let runs = self.connection.runs();
        let answer = persist(SHORT, || runs.abort_run(request.clone())).await;
        answer.map_err(|source| error(&format!("abort run `{}`", self.id.name), &source))?;
        Ok(())
    }

    /// Its actions in the order in which they were accepted.
    async fn list_actions(&self) -> Result<Vec<ActionView>> {
        let mut views = self.list_outline().await?;
        for view in &mut views {
            if matches!(view.phase, Phase::Failed | Phase::TimedOut) {
                view.failure = self.failure_of_action(&view.name).await?;
            }
        }
        Ok(views)
    }

    /// The same without what went wrong.
    async fn list_outline(&self) -> Result<Vec<ActionView>> {
        let runs = self.connection.runs();
        let (mut views, mut token) = (Vec::new(), String::new());
        loop {
            let request = lists::actions(&self.id, lists::Page::after(token), &[]);
            let page = persist(SHORT, || runs.list_actions(request.clone())).await;
            let page = page.map_err(|source| error("list the actions of the run", &source))?.into_owned();
            views.extend(page.actions.iter().filter_map(view));
            token = page.token;
            if token.is_empty() {
                return Ok(views);
            }
        }
    }

    async fn failure_of_action(&self, action: &ActionName) -> Result<Option<Failure>> {
        let request = requests::action_details(&self.id, action);
        let runs = self.connection.runs();
        let found = persist(SHORT, || runs.get_action_details(request.clone())).await;
        let found = found.map_err(|source| error("read why an action failed", &source))?.into_owned();
        Ok(found.details.as_option().map(failure_of))
    }
}

impl BackendRun for RemoteRun {
    fn id(&self) -> &RunId {
        &self.id
    }

    fn relation(&self) -> Option<&Relation> {
        self.relation.as_ref()
    }

    fn outcome(&self) -> Pending<'_, Outcome> {
        Box::pin(self.wait())
    }

    fn abort<'a>(&'a self, reason: &'a str) -> Pending<'a, ()> {
        Box::pin(self.ask_to_abort(reason))
    }

    fn report(&self, action: ActionName, attempt: AttemptNo) -> Pending<'_, Option<String>> {
        Box::pin(self.read_report(action, attempt))
    }

    fn signal<'a>(&'a self, condition: &'a ActionView, _: &'static str, value: Literal) -> Pending<'a, ()> {
        Box::pin(async move {
            let parent = condition.parent.unwrap_or(ActionName::ROOT);
            let request = requests::signal(&self.id, &condition.name, &parent, &user(), value);
            let actions = self.connection.actions();
            let answer = persist(SHORT, || actions.signal(request.clone())).await;
            match answer {
                Ok(_) => Ok(()),
                // It is the value that the server refuses.
                Err(refused) if refused.code == ErrorCode::InvalidArgument => {
                    Err(ValueError::new(refused.message.unwrap_or_default()).into())
                }
                Err(source) => Err(error(&format!("answer condition `{}`", condition.task), &source)),
            }
        })
    }

    fn actions(&self) -> Pending<'_, Vec<ActionView>> {
        Box::pin(self.list_actions())
    }

    fn outline(&self) -> Pending<'_, Vec<ActionView>> {
        Box::pin(self.list_outline())
    }

    fn failure(&self, action: ActionName) -> Pending<'_, Option<Failure>> {
        Box::pin(async move { self.failure_of_action(&action).await })
    }

    /// Tells whenever its root has changed, until its end.
    fn watch(&self) -> watch::Receiver<()> {
        let (sender, receiver) = watch::channel(());
        let run = self.clone();
        tokio::spawn(async move {
            let watched = run.watch_root(|_| {
                let _ = sender.send(());
            });
            tokio::select! {
                _ = watched => {}
                () = sender.closed() => {}
            }
        });
        receiver
    }
}

fn phase(details: &ActionDetails) -> Option<Phase> {
    Phase::from_number(details.status.phase.to_i32())
}

fn failure_of(details: &ActionDetails) -> Failure {
    match &details.result {
        Some(action_details::Result::ErrorInfo(error)) => failure::of_details(error),
        _ => Failure::system("UnknownError", "the server does not say what went wrong"),
    }
}

fn aborted(details: &ActionDetails) -> Outcome {
    use spanwise_proto::flyteidl2::common::enriched_identity::Principal;
    let Some(action_details::Result::AbortInfo(info)) = &details.result else {
        return Outcome::Aborted { by: "the server".to_owned(), reason: String::new() };
    };
    let by = match &info.aborted_by.principal {
        Some(Principal::User(user)) => user.id.subject.clone(),
        _ => "the server".to_owned(),
    };
    Outcome::Aborted { by, reason: info.reason.clone() }
}
