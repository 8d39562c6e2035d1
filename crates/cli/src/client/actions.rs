//! The actions of a run, however many pages they take.

use spanwise_proto::flyteidl2::workflow::Action;
use spanwise_wire::RunId;
use spanwise_wire::requests::lists::{self, Only, Page};

use super::{Server, Target, explain};

/// The actions of a run; one of ten thousand takes ten requests.
pub(crate) async fn actions(server: &Server, target: &Target, run: &RunId) -> anyhow::Result<Vec<Action>> {
    listed(server, target, run, &[]).await
}

/// The actions of a run that are meant.
pub(super) async fn listed(
    server: &Server,
    target: &Target,
    run: &RunId,
    only: &[Only],
) -> anyhow::Result<Vec<Action>> {
    let (mut actions, mut token) = (Vec::new(), String::new());
    loop {
        let request = lists::actions(run, Page::after(token), only);
        let answer = server.runs().list_actions(request).await.map_err(|error| explain(target, error))?.into_owned();
        actions.extend(answer.actions);
        token = answer.token;
        if token.is_empty() {
            return Ok(actions);
        }
    }
}
