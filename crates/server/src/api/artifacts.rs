//! `ArtifactService`: versions of named values, where they came from, and by what they are partitioned.

use std::collections::BTreeSet;
use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_core::schedule::shown as shown_time;
use spanwise_core::{Scope, Timestamp};
use spanwise_engine::{ArtifactGroup as Group, ArtifactQuery, ArtifactRow};
use spanwise_proto::flyteidl2::artifact::{
    Artifact, ArtifactGroup, ArtifactService, CreateArtifactRequest, CreateArtifactResponse, DeclareArtifactRequest,
    DeclareArtifactResponse, DeleteArtifactRequest, DeleteArtifactResponse, GetArtifactRequest, GetArtifactResponse,
    GetArtifactSchemaRequest, GetArtifactSchemaResponse, ListArtifactMetadataKeysRequest,
    ListArtifactMetadataKeysResponse, ListArtifactNamesRequest, ListArtifactNamesResponse, ListArtifactsRequest,
    ListArtifactsResponse, ListPartitionValuesRequest, ListPartitionValuesResponse,
};
use spanwise_proto::flyteidl2::common::{Filter, ProjectIdentifier, filter};
use spanwise_wire::{Invalid, artifact, ids, times};

use super::Api;
use super::listing::{self, Between, Page};
use crate::control;
use crate::text::read_time;

/// The service.
pub(super) struct ArtifactsApi {
    api: Arc<Api>,
}

impl ArtifactsApi {
    pub(super) fn new(api: Arc<Api>) -> ArtifactsApi {
        ArtifactsApi { api }
    }

    /// A name with what there is of it.
    fn group(&self, group: &Group) -> Result<ArtifactGroup, ConnectError> {
        let (schema, _) = self.api.control.artifact_schema(&group.latest.artifact.id.name)?;
        Ok(ArtifactGroup {
            latest: shown(&group.latest)?.into(),
            versions: group.versions,
            partition_schema: artifact::schema_message(&schema).into(),
            latest_time_partition: group.latest_time.map(times::timestamp).into(),
            ..ArtifactGroup::default()
        })
    }
}

fn shown(row: &ArtifactRow) -> Result<Artifact, control::Error> {
    Ok(control::version(row)?.shown(row.artifact.created_at))
}

fn scope(project: Option<&ProjectIdentifier>) -> Result<Scope, Invalid> {
    ids::project_scope(project.ok_or(Invalid::Missing("project_id"))?)
}

/// Narrows a query to what a filter lets through.
fn add_filter(query: &mut ArtifactQuery, filter: &Filter) -> Result<(), Invalid> {
    use filter::Function;
    let function = filter.function.as_known();
    let is_equal = function == Some(Function::EQUAL);
    // A single value may come as its characters.
    let values = || if is_equal { vec![filter.values.concat()] } else { filter.values.clone() };
    let one_of = is_equal || function == Some(Function::VALUE_IN);
    let only = |field: &mut Option<String>| {
        let value = Some(filter.values.concat());
        listing::once(filter, field.is_some() && *field != value)?;
        *field = value;
        Ok(())
    };
    match filter.field.as_str() {
        "source_run" if is_equal => return only(&mut query.run),
        "source_action" if is_equal => return only(&mut query.action),
        "source_external_ref" if is_equal => return only(&mut query.external),
        "version" if is_equal => return only(&mut query.version),
        "created_at" => {
            let between = Between { since: &mut query.since, until: &mut query.until };
            if between.narrowed_by(filter)? {
                return Ok(());
            }
        }
        "time_partition" if is_equal => {
            let at = read_time(&filter.values.concat());
            let at = at.ok_or_else(|| Invalid::field("request.filters: `time_partition` is no time"))?;
            let after = Timestamp(at.0.saturating_add(1));
            query.time_since = Some(query.time_since.map_or(at, |since| since.max(at)));
            query.time_until = Some(query.time_until.map_or(after, |until| until.min(after)));
            return Ok(());
        }
        "time_partition" => {
            let between = Between { since: &mut query.time_since, until: &mut query.time_until };
            if between.narrowed_by(filter)? {
                return Ok(());
            }
        }
        field if one_of => {
            if let Some(key) = field.strip_prefix("partition.") {
                query.partition.push((key.to_owned(), values()));
                return Ok(());
            }
            if let Some(key) = field.strip_prefix("user_metadata.") {
                query.metadata.push((key.to_owned(), values()));
                return Ok(());
            }
        }
        _ => {}
    }
    Err(listing::refused("artifacts", filter))
}

/// The newest come first: another order is refused.
fn check_order(request: &spanwise_proto::flyteidl2::common::ListRequest) -> Result<(), Invalid> {
    match listing::order(request, "artifacts")? {
        Some(true) => Err(Invalid::field("request.sort_by: artifacts are listed with the newest first")),
        _ => Ok(()),
    }
}

impl ArtifactService for ArtifactsApi {
    async fn create_artifact(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateArtifactRequest>,
    ) -> ServiceResult<CreateArtifactResponse> {
        let request = request.to_owned_message();
        let id = artifact::id(request.artifact_id.as_option())?;
        let described = artifact::registered(id, request.spec.into_option().ok_or(Invalid::Missing("spec"))?)?;
        let row = self.api.control.register_artifact(&described)?;
        Response::ok(CreateArtifactResponse { artifact: shown(&row)?.into(), ..CreateArtifactResponse::default() })
    }

    async fn get_artifact(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetArtifactRequest>,
    ) -> ServiceResult<GetArtifactResponse> {
        let request = request.to_owned_message();
        let name = artifact::name(request.name.as_option())?;
        let row = match request.version.filter(|version| !version.is_empty()) {
            Some(version) => self.api.control.artifact(&spanwise_core::artifact::ArtifactId { name, version })?,
            None => self.api.control.latest_artifact(&name)?,
        };
        Response::ok(GetArtifactResponse { artifact: shown(&row)?.into(), ..GetArtifactResponse::default() })
    }

    async fn list_artifacts(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListArtifactsRequest>,
    ) -> ServiceResult<ListArtifactsResponse> {
        let request = request.to_owned_message();
        let page = Page::of(&request.request)?;
        check_order(&request.request)?;
        let mut query = ArtifactQuery {
            name: request.name.filter(|name| !name.is_empty()),
            latest_per_partition: request.latest_per_partition,
            offset: page.offset,
            limit: page.limit + 1,
            ..ArtifactQuery::within(scope(request.project_id.as_option())?)
        };
        if query.latest_per_partition && query.name.is_none() {
            return Err(Invalid::field("latest_per_partition: it is of one artifact, whose `name` is missing").into());
        }
        request.request.filters.iter().try_for_each(|filter| add_filter(&mut query, filter))?;
        let mut rows = self.api.control.artifacts(&query)?;
        let token = page.next(&mut rows);
        let artifacts = rows.iter().map(shown).collect::<Result<_, _>>()?;
        Response::ok(ListArtifactsResponse { artifacts, token, ..ListArtifactsResponse::default() })
    }

    async fn list_artifact_names(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListArtifactNamesRequest>,
    ) -> ServiceResult<ListArtifactNamesResponse> {
        let request = request.to_owned_message();
        let page = Page::of(&request.request)?;
        check_order(&request.request)?;
        let scope = scope(request.project_id.as_option())?;
        let mut part = String::new();
        for filter in &request.request.filters {
            match (filter.field.as_str(), filter.function.as_known()) {
                ("name", Some(filter::Function::CONTAINS)) if part.is_empty() => part = filter.values.concat(),
                _ => return Err(listing::refused("names of artifacts", filter).into()),
            }
        }
        let mut groups = self.api.control.artifact_names(Some(&scope), &part, page.offset, page.limit + 1)?;
        let token = page.next(&mut groups);
        let groups = groups.iter().map(|group| self.group(group)).collect::<Result<_, _>>()?;
        Response::ok(ListArtifactNamesResponse { groups, token, ..ListArtifactNamesResponse::default() })
    }

    async fn list_artifact_metadata_keys(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListArtifactMetadataKeysRequest>,
    ) -> ServiceResult<ListArtifactMetadataKeysResponse> {
        let request = request.to_owned_message();
        let scope = scope(request.project_id.as_option())?;
        let name = request.name.filter(|name| !name.is_empty());
        let keys = self.api.control.artifact_metadata_keys(&scope, name.as_deref())?;
        Response::ok(ListArtifactMetadataKeysResponse { keys, ..ListArtifactMetadataKeysResponse::default() })
    }

    async fn delete_artifact(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, DeleteArtifactRequest>,
    ) -> ServiceResult<DeleteArtifactResponse> {
        let request = request.to_owned_message();
        self.api.control.delete_artifact(&artifact::id(request.artifact_id.as_option())?)?;
        Response::ok(DeleteArtifactResponse::default())
    }

    async fn declare_artifact(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, DeclareArtifactRequest>,
    ) -> ServiceResult<DeclareArtifactResponse> {
        let request = request.to_owned_message();
        let name = artifact::name(request.name.as_option())?;
        let schema = self.api.control.declare_artifact(&name, &artifact::schema(&request.partition_schema)?)?;
        let partition_schema = artifact::schema_message(&schema).into();
        Response::ok(DeclareArtifactResponse { partition_schema, ..DeclareArtifactResponse::default() })
    }

    async fn get_artifact_schema(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetArtifactSchemaRequest>,
    ) -> ServiceResult<GetArtifactSchemaResponse> {
        let request = request.to_owned_message();
        let (schema, declared) = self.api.control.artifact_schema(&artifact::name(request.name.as_option())?)?;
        let partition_schema = artifact::schema_message(&schema).into();
        Response::ok(GetArtifactSchemaResponse { partition_schema, declared, ..GetArtifactSchemaResponse::default() })
    }

    async fn list_partition_values(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListPartitionValuesRequest>,
    ) -> ServiceResult<ListPartitionValuesResponse> {
        let request = request.to_owned_message();
        let name = artifact::named(scope(request.project_id.as_option())?, &request.name)?;
        let (schema, _) = self.api.control.artifact_schema(&name)?;
        let is_time = schema.time.as_ref().is_some_and(|(key, _)| *key == request.key);
        if !is_time && !schema.texts.contains(&request.key) {
            let text = format!("key: artifact `{}` is not partitioned by `{}`", name.name, request.key);
            return Err(Invalid::field(text).into());
        }
        let mut query = ArtifactQuery { latest_per_partition: true, ..ArtifactQuery::of(&name) };
        request.request.filters.iter().try_for_each(|filter| add_filter(&mut query, filter))?;
        let rows = self.api.control.artifacts(&query)?;
        let value = |row: &ArtifactRow| match is_time {
            true => row.artifact.partition.time.as_ref().map(|time| shown_time(time.start)),
            false => row.artifact.partition.texts.get(&request.key).cloned(),
        };
        let values: BTreeSet<String> = rows.iter().filter_map(value).collect();
        let values = values.into_iter().take(listing::size(request.request.limit)).collect();
        Response::ok(ListPartitionValuesResponse { values, ..ListPartitionValuesResponse::default() })
    }
}
