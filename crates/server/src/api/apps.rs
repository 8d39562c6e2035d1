//! `AppService` and `AppLogsService`: apps, and what they print.

use std::sync::Arc;
use std::time::Duration;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use futures_util::{StreamExt, stream};
use spanwise_process::LogLine;
use spanwise_proto::flyteidl2::app::{
    App, AppLogsService, AppService, CreateEvent, CreateRequest, CreateResponse, DeleteEvent, DeleteRequest,
    DeleteResponse, GetRequest, GetResponse, LeaseRequest, LeaseResponse, ListRequest, ListResponse, LogLines,
    LogLinesBatch, ReplicaIdentifier, TailLogsRequest, TailLogsResponse, UpdateEvent, UpdateRequest, UpdateResponse,
    UpdateStatusRequest, UpdateStatusResponse, WatchRequest, WatchResponse, get_request, list_request,
    tail_logs_request, tail_logs_response, watch_request, watch_response,
};
use spanwise_proto::flyteidl2::common::{Filter, filter};
use spanwise_proto::flyteidl2::logs::dataplane::{LogLine as WireLine, LogLineOriginator};
use spanwise_wire::apps::{AppDefinition, AppId, requests, status_name};
use spanwise_wire::details::SUBJECT;
use spanwise_wire::{Invalid, ids, shown, times};
use tokio::sync::watch;

use super::refusing::refused;
use super::{Api, listing};
use crate::control::{AppView, ControlPlane};

/// A stream that is silent for longer could be taken for dead.
const SILENCE: Duration = Duration::from_secs(10);

/// The service of apps.
pub(super) struct Apps {
    api: Arc<Api>,
}

impl Apps {
    pub(super) fn new(api: Arc<Api>) -> Apps {
        Apps { api }
    }
}

/// The service of their logs.
pub(super) struct AppLogs {
    api: Arc<Api>,
}

impl AppLogs {
    pub(super) fn new(api: Arc<Api>) -> AppLogs {
        AppLogs { api }
    }
}

fn message(view: &AppView) -> App {
    view.definition.to_message(&view.state)
}

/// The apps that somebody watches or lists.
#[derive(Clone, Debug)]
enum Wanted {
    All,
    Org(String),
    Scope(spanwise_core::Scope),
    One(AppId),
}

impl Wanted {
    fn has(&self, id: &AppId) -> bool {
        match self {
            Wanted::All => true,
            Wanted::Org(org) => id.org == *org,
            Wanted::Scope(scope) => id.scope() == *scope,
            Wanted::One(one) => id == one,
        }
    }
}

fn listed(request: &ListRequest) -> Result<Wanted, Invalid> {
    use list_request::FilterBy;
    match &request.filter_by {
        None => Ok(Wanted::All),
        Some(FilterBy::Org(org)) => Ok(Wanted::Org(ids::org(org)?)),
        Some(FilterBy::Project(project)) => Ok(Wanted::Scope(ids::project_scope(project)?)),
        Some(FilterBy::ClusterId(_)) => Err(Invalid::field("filter_by.cluster_id: there is one machine")),
        Some(FilterBy::Artifact(_)) => {
            Err(Invalid::field("filter_by.artifact: it is not recorded which artifacts apps use"))
        }
    }
}

/// Refuses a filter that no app is looked at by.
fn check(filter: &Filter) -> Result<(), Invalid> {
    use filter::Function;
    match (filter.field.as_str(), filter.function.as_known()) {
        ("status_phase", Some(Function::EQUAL | Function::VALUE_IN)) => Ok(()),
        ("created_by", Some(Function::EQUAL)) => Ok(()),
        ("name", Some(Function::EQUAL | Function::CONTAINS)) => Ok(()),
        _ => Err(listing::refused("apps", filter)),
    }
}

/// Whether a list that is filtered so has this app; the filter is checked.
fn passes(filter: &Filter, view: &AppView) -> bool {
    use filter::Function;
    // A single value comes as the characters of it, several as they are.
    let (value, name) = (filter.values.concat(), &view.definition.id.name);
    match (filter.field.as_str(), filter.function.as_known()) {
        ("status_phase", Some(Function::VALUE_IN)) => {
            filter.values.iter().any(|value| value == status_name(view.state.phase))
        }
        ("status_phase", _) => value == status_name(view.state.phase),
        ("created_by", _) => value == SUBJECT,
        ("name", Some(Function::CONTAINS)) => name.contains(&value),
        _ => *name == value,
    }
}

impl AppService for Apps {
    async fn create(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateRequest>,
    ) -> ServiceResult<CreateResponse> {
        let request = request.to_owned_message();
        let definition = AppDefinition::of(request.app.into_option().ok_or(Invalid::Missing("app"))?)?;
        let view = self.api.control.create_app(definition).await?;
        Response::ok(CreateResponse { app: message(&view).into(), ..CreateResponse::default() })
    }

    async fn get(&self, _ctx: RequestContext, request: ServiceRequest<'_, GetRequest>) -> ServiceResult<GetResponse> {
        use get_request::Identifier;
        let view = match &request.to_owned_message().identifier {
            Some(Identifier::AppId(id)) => self.api.control.app(&AppId::of(id)?)?,
            Some(Identifier::Ingress(ingress)) => {
                let urls = [&ingress.public_url, &ingress.cname_url];
                let is_it = |view: &AppView| {
                    let own = [view.state.url.as_str(), view.state.host_url.as_str()];
                    urls.iter().any(|url| own.contains(&url.trim_end_matches('/')))
                };
                let found = self.api.control.apps().into_iter().find(is_it);
                found.ok_or_else(|| ConnectError::not_found("no app answers at this address"))?
            }
            None => return Err(Invalid::Missing("identifier").into()),
        };
        Response::ok(GetResponse { app: message(&view).into(), ..GetResponse::default() })
    }

    async fn update(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, UpdateRequest>,
    ) -> ServiceResult<UpdateResponse> {
        let request = request.to_owned_message();
        let definition = AppDefinition::of(request.app.into_option().ok_or(Invalid::Missing("app"))?)?;
        let view = self.api.control.change_app(definition, &request.reason).await?;
        Response::ok(UpdateResponse { app: message(&view).into(), ..UpdateResponse::default() })
    }

    async fn update_status(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, UpdateStatusRequest>,
    ) -> ServiceResult<UpdateStatusResponse> {
        Err(refused("flyteidl2.app.AppService/UpdateStatus"))
    }

    async fn delete(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, DeleteRequest>,
    ) -> ServiceResult<DeleteResponse> {
        let request = request.to_owned_message();
        let id = AppId::of(request.app_id.as_option().ok_or(Invalid::Missing("app_id"))?)?;
        if !self.api.control.delete_app(&id)? {
            return Err(ConnectError::not_found(format!("app `{}` does not exist", shown(&id.name))));
        }
        Response::ok(DeleteResponse::default())
    }

    async fn list(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListRequest>,
    ) -> ServiceResult<ListResponse> {
        let request = request.to_owned_message();
        let wanted = listed(&request)?;
        let page = listing::Page::of(&request.request)?;
        let filters = &request.request.filters;
        filters.iter().try_for_each(check)?;
        let mut views = self.api.control.apps();
        views.retain(|view| wanted.has(&view.definition.id) && filters.iter().all(|filter| passes(filter, view)));
        views.sort_by_key(|view| view.state.created_at);
        if !listing::order(&request.request, "apps")?.unwrap_or(false) {
            views.reverse();
        }
        let total = i64::try_from(views.len()).unwrap_or(i64::MAX);
        let mut shown: Vec<AppView> = views.into_iter().skip(page.offset).take(page.limit + 1).collect();
        let token = page.next(&mut shown);
        let total_count = if request.include_total_count { total } else { 0 };
        Response::ok(ListResponse {
            apps: shown.iter().map(message).collect(),
            token,
            total_count,
            ..ListResponse::default()
        })
    }

    async fn watch(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, WatchRequest>,
    ) -> ServiceResult<ServiceStream<WatchResponse>> {
        use watch_request::Target;
        let wanted = match &request.to_owned_message().target {
            Some(Target::AppId(id)) => Wanted::One(AppId::of(id)?),
            Some(Target::Project(project)) => Wanted::Scope(ids::project_scope(project)?),
            Some(Target::Org(org)) => Wanted::Org(ids::org(org)?),
            Some(Target::ClusterId(_)) => return Err(Invalid::field("target.cluster_id: there is one machine").into()),
            None => return Err(Invalid::Missing("target").into()),
        };
        if let Wanted::One(id) = &wanted {
            self.api.control.app(id)?;
        }
        let watching = Watching::new(&self.api.control, wanted);
        let closing = self.api.control.closing().clone().cancelled_owned();
        let events = stream::unfold(watching, |mut watching| async move { Some((watching.next().await?, watching)) });
        Response::stream_ok(events.map(Ok).take_until(closing))
    }

    async fn lease(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, LeaseRequest>,
    ) -> ServiceResult<ServiceStream<LeaseResponse>> {
        Err(refused("flyteidl2.app.AppService/Lease"))
    }
}

/// Somebody who watches apps, with what they were told of each.
struct Watching {
    control: ControlPlane,
    changes: watch::Receiver<u64>,
    wanted: Wanted,
    last: Vec<AppView>,
}

impl Watching {
    fn new(control: &ControlPlane, wanted: Wanted) -> Watching {
        Watching { control: control.clone(), changes: control.app_changes(), wanted, last: Vec::new() }
    }

    /// What has changed since they were told last; at first how each app is.
    async fn next(&mut self) -> Option<WatchResponse> {
        loop {
            self.changes.borrow_and_update();
            if let Some(event) = self.change() {
                return Some(WatchResponse { event: Some(event), ..WatchResponse::default() });
            }
            self.changes.changed().await.ok()?;
        }
    }

    fn change(&mut self) -> Option<watch_response::Event> {
        let apps: Vec<AppView> =
            self.control.apps().into_iter().filter(|view| self.wanted.has(&view.definition.id)).collect();
        if let Some(gone) =
            self.last.iter().position(|last| apps.iter().all(|view| view.definition.id != last.definition.id))
        {
            let app = message(&self.last.swap_remove(gone)).into();
            return Some(DeleteEvent { app, ..DeleteEvent::default() }.into());
        }
        for view in apps {
            let is_it = |last: &&mut AppView| last.definition.id == view.definition.id;
            match self.last.iter_mut().find(is_it) {
                Some(last) if is_same(last, &view) => {}
                Some(last) => {
                    let old = std::mem::replace(last, view);
                    let (updated_app, old_app) = (message(last).into(), message(&old).into());
                    return Some(UpdateEvent { updated_app, old_app, ..UpdateEvent::default() }.into());
                }
                None => {
                    self.last.push(view.clone());
                    return Some(first(&view, matches!(self.wanted, Wanted::One(_))));
                }
            }
        }
        None
    }
}

/// The SDK, which watches one app, takes updates only.
fn first(view: &AppView, as_update: bool) -> watch_response::Event {
    let app = message(view);
    match as_update {
        true => UpdateEvent { updated_app: app.clone().into(), old_app: app.into(), ..UpdateEvent::default() }.into(),
        false => CreateEvent { app: app.into(), ..CreateEvent::default() }.into(),
    }
}

fn is_same(last: &AppView, view: &AppView) -> bool {
    let of = |view: &AppView| (view.state.revision, view.state.phase, view.state.since, view.state.message.clone());
    of(last) == of(view)
}

impl AppLogsService for AppLogs {
    async fn tail_logs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, TailLogsRequest>,
    ) -> ServiceResult<ServiceStream<TailLogsResponse>> {
        use tail_logs_request::Target;
        let (id, number) = match &request.to_owned_message().target {
            Some(Target::AppId(id)) => (AppId::of(id)?, None),
            Some(Target::ReplicaId(replica)) => {
                let number = replica.name.rsplit('-').next().and_then(|number| number.parse().ok());
                let unknown = || ConnectError::not_found(format!("there is no replica `{}`", shown(&replica.name)));
                (AppId::of(&replica.app_id)?, Some(number.ok_or_else(unknown)?))
            }
            None => return Err(Invalid::Missing("target").into()),
        };
        let log = self.api.control.app_log(&id, number)?;
        let replica = ReplicaIdentifier {
            app_id: id.to_message().into(),
            name: requests::replica(&id, log.number),
            ..ReplicaIdentifier::default()
        };
        let batches = log.follow(0);
        let closing = self.api.control.closing().clone().cancelled_owned();
        let lines = stream::unfold(batches, |mut batches| async move {
            match tokio::time::timeout(SILENCE, batches.next()).await {
                Err(_) => Some((Ok(Vec::new()), batches)),
                Ok(Some(batch)) => Some((batch, batches)),
                Ok(None) => None,
            }
        });
        let answers = lines.map(move |batch| match batch {
            Ok(lines) if lines.is_empty() => Ok(TailLogsResponse::default()),
            Ok(lines) => Ok(lines_of(&lines, &replica)),
            Err(error) => Err(ConnectError::internal(format!("read the log of app `{}`: {error}", id.name))),
        });
        Response::stream_ok(answers.take_until(closing))
    }
}

fn lines_of(lines: &[LogLine], replica: &ReplicaIdentifier) -> TailLogsResponse {
    let line = |line: &LogLine| WireLine {
        timestamp: times::timestamp(line.at).into(),
        message: line.message.clone(),
        originator: LogLineOriginator::USER.into(),
        short_pod_name: replica.name.clone(),
        ..WireLine::default()
    };
    let logs = LogLines {
        structured_lines: lines.iter().map(line).collect(),
        replica_id: replica.clone().into(),
        ..LogLines::default()
    };
    let batch = LogLinesBatch { logs: vec![logs], ..LogLinesBatch::default() };
    TailLogsResponse { resp: Some(tail_logs_response::Resp::from(batch)), ..TailLogsResponse::default() }
}
