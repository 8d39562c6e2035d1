//! `DataProxyService`: uploads, inputs, outputs, downloads and logs.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream};
use spanwise_blobs::BlobUri;
use spanwise_core::{ActionKind, AttemptNo, Phase, Timestamp};
use spanwise_proto::flyteidl2::common::OffloadedInputData;
use spanwise_proto::flyteidl2::dataproxy::{
    ArtifactType, CreateDownloadLinkRequest, CreateDownloadLinkResponse, CreateUploadLocationRequest,
    CreateUploadLocationResponse, DataProxyService, GetActionDataRequest, GetActionDataResponse, PreSignedURLs,
    TailLogsRequest, TailLogsResponse, UploadInputsRequest, UploadInputsResponse, create_download_link_request,
    upload_inputs_request,
};
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_proto::hash;
use spanwise_wire::{Invalid, details::output_attempt, ids, times, values};

use super::Api;
use super::reads::Found;
use super::waiting::awaited;
use crate::blobs::signed::{Bound, Right};
use crate::blobs::upload_uri;
use crate::control::{ControlPlane, Error};
use crate::layout;

/// How long a signed URL is good if the client does not say; at most a day.
const DEFAULT_EXPIRY: Duration = Duration::from_secs(3600);
const LONGEST_EXPIRY: Duration = Duration::from_secs(24 * 3600);

/// Headers of the answer with a log: which attempt has printed it, and that attempt's span as a `traceparent`.
const LOG_ATTEMPT: &str = "spanwise-attempt";
const LOG_SPAN: &str = "spanwise-attempt-span";

/// The service.
pub(super) struct Data {
    api: Arc<Api>,
}

impl Data {
    pub(super) fn new(api: Arc<Api>) -> Data {
        Data { api }
    }

    /// A URL for a blob, and until when it is good.
    async fn signed(
        &self,
        right: Right,
        uri: &BlobUri,
        expires_in: Option<Duration>,
    ) -> Result<(String, SystemTime), Error> {
        let expires_at = SystemTime::now() + expires_in.unwrap_or(DEFAULT_EXPIRY).min(LONGEST_EXPIRY);
        let of_the_store = self.api.control.presigned(right, uri, expires_at).await?;
        let url = of_the_store
            .unwrap_or_else(|| format!("{}{}", self.api.base_url, self.api.signer.sign(right, uri, expires_at)));
        Ok((url, expires_at))
    }

    /// The task whose inputs are uploaded, if it is known: it says which inputs are left out of the hash.
    fn task_of(&self, task: Option<upload_inputs_request::Task>) -> Result<Option<TaskSpec>, Error> {
        match task {
            Some(upload_inputs_request::Task::TaskSpec(spec)) => Ok(Some(*spec)),
            Some(upload_inputs_request::Task::TaskId(id)) => {
                Ok(Some(self.api.control.deployed(&ids::task_key(&id)?)?.message().clone()))
            }
            Some(upload_inputs_request::Task::TriggerName(_)) | None => Ok(None),
        }
    }

    fn artifact(&self, request: &CreateDownloadLinkRequest) -> Result<BlobUri, ConnectError> {
        if request.source.is_none() {
            return Err(Invalid::Missing("source").into());
        }
        let Some(create_download_link_request::Source::ActionAttemptId(id)) = &request.source else {
            return Err(ConnectError::unimplemented("source: links are made for the attempts of actions only"));
        };
        let found = self.api.find(id.action_id.as_option())?;
        match request.artifact_type.as_known() {
            Some(ArtifactType::ARTIFACT_TYPE_REPORT) => {
                let attempt = if id.attempt == 0 { output_attempt(&found.action) } else { AttemptNo(id.attempt) };
                Ok(layout::report(found.run.id(), &found.name, attempt).map_err(Error::from)?)
            }
            Some(ArtifactType::ARTIFACT_TYPE_CODE_BUNDLE) => self.bundle(&found),
            _ => Err(Invalid::Missing("artifact_type").into()),
        }
    }

    fn bundle(&self, found: &Found) -> Result<BlobUri, ConnectError> {
        let definition = self.api.definition(&found.action)?;
        let none = || ConnectError::not_found(format!("action `{}` has no code bundle", found.name));
        let task = definition.map(|definition| definition.task()).transpose()?.flatten();
        let uri = task.and_then(|task| task.bundle).ok_or_else(none)?;
        Ok(uri.parse::<BlobUri>().map_err(Error::from)?)
    }
}

/// Where the inputs of an action are to be found by whoever asks for them, and where its outputs are or will be.
pub(super) async fn uris(control: &ControlPlane, found: &Found) -> Result<(String, String), ConnectError> {
    control.make_inputs_readable(&found.run, &found.name, found.action.spec.kind).await;
    names(found)
}

/// The same without a look at what is there.
fn names(found: &Found) -> Result<(String, String), ConnectError> {
    let inputs = layout::inputs(found.run.id(), &found.name).map_err(Error::from)?;
    let directory = match found.action.spec.kind {
        ActionKind::Task => layout::attempt(found.run.id(), &found.name, output_attempt(&found.action)),
        ActionKind::Step | ActionKind::Condition | ActionKind::Timer => {
            layout::run_base(found.run.id()).and_then(|base| base.join(found.name.as_str()))
        }
    };
    let outputs = directory.and_then(|directory| directory.join("outputs.pb")).map_err(Error::from)?;
    Ok((inputs.to_string(), outputs.to_string()))
}

/// The size of an upload; nothing is the value of a client that does not say it.
fn announced(content_length: i64) -> Result<Option<u64>, Invalid> {
    let negative = |_| Invalid::field(format!("content_length is {content_length}: a size is not negative"));
    let size = u64::try_from(content_length).map_err(negative)?;
    Ok((size > 0).then_some(size))
}

fn wire_time(at: SystemTime) -> spanwise_proto::google::protobuf::Timestamp {
    let micros = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    times::timestamp(Timestamp(i64::try_from(micros).unwrap_or(i64::MAX)))
}

impl DataProxyService for Data {
    async fn create_upload_location(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateUploadLocationRequest>,
    ) -> ServiceResult<CreateUploadLocationResponse> {
        let request = request.to_owned_message();
        let root = (!request.filename_root.is_empty()).then_some(request.filename_root.as_str());
        let uri = upload_uri(&request.project, &request.domain, root, &request.content_md5, &request.filename);
        let uri = uri.map_err(|error| ConnectError::invalid_argument(spanwise_wire::with_causes(&error)))?;
        let scope = ids::scope(&request.org, &request.project, &request.domain)?;
        let uri = match self.api.control.tracked_upload(scope, root.unwrap_or_default(), &request.filename)? {
            Some(uri) => uri,
            None => {
                // Code that comes means a run that comes.
                self.api.control.expect_run();
                uri
            }
        };
        let expires_in = times::from_duration(request.expires_in.as_option());
        let bound = Bound { md5: request.content_md5[..].try_into().ok(), size: announced(request.content_length)? };
        let (signed_url, expires_at) = self.signed(Right::Write(bound), &uri, expires_in).await?;
        Response::ok(CreateUploadLocationResponse {
            signed_url,
            native_url: uri.to_string(),
            expires_at: wire_time(expires_at).into(),
            ..CreateUploadLocationResponse::default()
        })
    }

    async fn upload_inputs(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, UploadInputsRequest>,
    ) -> ServiceResult<UploadInputsResponse> {
        let request = request.to_owned_message();
        let scope = match request.id.ok_or(Invalid::Missing("run_id or project_id"))? {
            upload_inputs_request::Id::RunId(id) => ids::scope(&id.org, &id.project, &id.domain)?,
            upload_inputs_request::Id::ProjectId(id) => ids::project_scope(&id)?,
        };
        let inputs = request.inputs.into_option().unwrap_or_default();
        let spec = self.task_of(request.task)?;
        let ignored: Vec<&str> = spec
            .iter()
            .flat_map(|spec| &spec.task_template.metadata.cache_ignore_input_vars)
            .map(String::as_str)
            .collect();
        let inputs_hash = hash::inputs_hash_ignoring(&inputs.literals, &ignored);
        let uri = self.api.control.keep_inputs(&scope, values::encode_inputs(&inputs)).await?;
        let data = OffloadedInputData {
            uri: uri.to_string(),
            // The client refuses an empty one; a key is made from the inputs themselves, never from this.
            inputs_hash: if inputs_hash.is_empty() { "none".to_owned() } else { inputs_hash },
            ..OffloadedInputData::default()
        };
        Response::ok(UploadInputsResponse { offloaded_input_data: data.into(), ..UploadInputsResponse::default() })
    }

    async fn create_download_link(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateDownloadLinkRequest>,
    ) -> ServiceResult<CreateDownloadLinkResponse> {
        let request = request.to_owned_message();
        let uri = self.artifact(&request)?;
        if !self.api.control.is_there(&uri).await? {
            return Err(ConnectError::not_found(format!("`{uri}` is not there")));
        }
        let expires_in = times::from_duration(request.expires_in.as_option());
        let (url, expires_at) = self.signed(Right::Read, &uri, expires_in).await?;
        let urls = PreSignedURLs {
            signed_url: vec![url],
            expires_at: wire_time(expires_at).into(),
            ..PreSignedURLs::default()
        };
        Response::ok(CreateDownloadLinkResponse {
            pre_signed_urls: urls.into(),
            ..CreateDownloadLinkResponse::default()
        })
    }

    async fn get_action_data(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetActionDataRequest>,
    ) -> ServiceResult<GetActionDataResponse> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        // The values are in the answer: what is read here must not need room on the disk.
        let (inputs_uri, outputs_uri) = names(&found)?;
        let (inputs, outputs) = found.run.payloads(&found.name).await.map_err(Error::from)?;
        let mut answer = GetActionDataResponse { inputs_uri, outputs_uri, ..GetActionDataResponse::default() };
        if let Some(inputs) = inputs {
            answer.inputs = values::inputs(&inputs)?.into();
        }
        let delivered = matches!(found.action.phase(), Phase::Succeeded | Phase::Recovered);
        if let Some(outputs) = outputs.filter(|_| delivered) {
            answer.outputs = values::outputs(&outputs)?.into();
        }
        Response::ok(answer)
    }

    async fn tail_logs(
        &self,
        ctx: RequestContext,
        request: ServiceRequest<'_, TailLogsRequest>,
    ) -> ServiceResult<ServiceStream<TailLogsResponse>> {
        let request = request.to_owned_message();
        let found = self.api.find(request.action_id.as_option())?;
        let attempt = found.attempt_or_last(request.attempt);
        let wait = self.api.wait_of(&ctx, &found);
        let mut response = Response::stream(awaited(self.api.tail(&found, attempt).await?, wait));
        response = response.with_header(LOG_ATTEMPT, attempt.0);
        // A line of the log belongs to this span: the protocol has no field for that.
        if let Some(span) = found.run.attempt_span(&found.name, attempt) {
            response = response.with_header(LOG_SPAN, span.to_string());
        }
        Ok(response)
    }
}
