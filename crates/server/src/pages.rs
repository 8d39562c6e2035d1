//! The pages of runs, at the addresses that the stock SDK prints.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use spanwise_core::RunName;

use crate::control::ControlPlane;
use crate::wire::ids;

/// The pages.
pub(crate) fn router(control: ControlPlane) -> Router {
    Router::new().route("/v2/domain/{domain}/project/{project}/runs/{run}", get(run)).with_state(control)
}

async fn run(
    State(control): State<ControlPlane>,
    Path((domain, project, name)): Path<(String, String, String)>,
) -> Response {
    let id = RunName::new(&name).map_err(|error| error.to_string()).and_then(|name| {
        let scope = ids::scope("", &project, &domain).map_err(|error| error.to_string())?;
        Ok(ids::run_in(scope, name))
    });
    let found = id.and_then(|id| control.run(&id).map_err(|error| error.to_string()));
    match found {
        Ok(run) => {
            let actions = run.actions();
            let rows: String =
                actions.iter().map(|action| format!("{} {} {}\n", action.name, action.task, action.phase)).collect();
            Html(format!("<!doctype html><title>{name}</title><h1>{name}</h1><pre>{}</pre>", escape(&rows)))
                .into_response()
        }
        Err(text) => (StatusCode::NOT_FOUND, format!("{text}\n")).into_response(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
