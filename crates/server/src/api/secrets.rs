//! `SecretService`: secrets are written and described, never read back.

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_core::Timestamp;
use spanwise_proto::flyteidl2::secret::{
    CreateSecretRequest, CreateSecretResponse, DeleteSecretRequest, DeleteSecretResponse, GetSecretRequest,
    GetSecretResponse, ListSecretsRequest, ListSecretsResponse, OverallStatus, Secret, SecretIdentifier,
    SecretMetadata, SecretService, SecretSpec, SecretStatus, SecretType, UpdateSecretRequest, UpdateSecretResponse,
    secret_spec,
};
use spanwise_wire::{Invalid, ids, path_name, times};

use super::Api;
use crate::control::Error;
use crate::secrets::{Described, SecretScope};

/// A secret's value may be this long: it becomes an environment variable, for which Linux has a limit of 128 KiB.
const MAX_VALUE: usize = 120 << 10;

/// The service.
pub(super) struct SecretsApi {
    api: Arc<Api>,
}

impl SecretsApi {
    pub(super) fn new(api: Arc<Api>) -> SecretsApi {
        SecretsApi { api }
    }

    fn put(&self, id: &SecretIdentifier, spec: &SecretSpec, replace: bool) -> Result<bool, Error> {
        let (scope, name) = full_id(id)?;
        if spec.r#type == SecretType::SECRET_TYPE_IMAGE_PULL_SECRET {
            return Err(
                Invalid::field("secret_spec.type: there are no images to pull, so there are no pull secrets").into()
            );
        }
        let value = match &spec.value {
            Some(secret_spec::Value::StringValue(value)) => value.clone(),
            Some(secret_spec::Value::BinaryValue(value)) => String::from_utf8(value.to_vec()).map_err(|_| {
                Invalid::field("secret_spec.binary_value is no text: a secret becomes an environment variable")
            })?,
            None => return Err(Invalid::Missing("secret_spec.value").into()),
        };
        if value.contains('\0') || value.len() > MAX_VALUE {
            let text = format!(
                "secret_spec.value must have at most {MAX_VALUE} bytes and no NUL; it has {} bytes",
                value.len()
            );
            return Err(Invalid::field(text).into());
        }
        self.api.control.put_secret(&scope, &name, &value, replace)
    }
}

fn scope(org: &str, project: &str, domain: &str) -> Result<SecretScope, Invalid> {
    let part = |field, value: &str| if value.is_empty() { Ok(String::new()) } else { path_name(field, value) };
    Ok(SecretScope { org: ids::org(org)?, project: part("project", project)?, domain: part("domain", domain)? })
}

fn full_id(id: &SecretIdentifier) -> Result<(SecretScope, String), Invalid> {
    Ok((scope(&id.organization, &id.project, &id.domain)?, path_name("secret name", &id.name)?))
}

fn described(secret: &Described) -> Secret {
    let created = secret.created_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let status = SecretStatus { overall_status: OverallStatus::FULLY_PRESENT.into(), ..SecretStatus::default() };
    let metadata = SecretMetadata {
        created_time: times::timestamp(Timestamp(i64::try_from(created).unwrap_or(i64::MAX))).into(),
        secret_status: status.into(),
        r#type: SecretType::SECRET_TYPE_GENERIC.into(),
        ..SecretMetadata::default()
    };
    let id = SecretIdentifier {
        name: secret.name.clone(),
        organization: secret.scope.org.clone(),
        domain: secret.scope.domain.clone(),
        project: secret.scope.project.clone(),
        ..SecretIdentifier::default()
    };
    Secret { id: id.into(), secret_metadata: metadata.into(), ..Secret::default() }
}

impl SecretService for SecretsApi {
    async fn create_secret(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, CreateSecretRequest>,
    ) -> ServiceResult<CreateSecretResponse> {
        let request = request.to_owned_message();
        if !self.put(&request.id, &request.secret_spec, false)? {
            return Err(ConnectError::already_exists(format!("secret `{}` exists: update it", request.id.name)));
        }
        Response::ok(CreateSecretResponse::default())
    }

    async fn update_secret(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, UpdateSecretRequest>,
    ) -> ServiceResult<UpdateSecretResponse> {
        let request = request.to_owned_message();
        if !self.put(&request.id, &request.secret_spec, true)? {
            return Err(ConnectError::not_found(format!("secret `{}` does not exist", request.id.name)));
        }
        Response::ok(UpdateSecretResponse::default())
    }

    async fn get_secret(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetSecretRequest>,
    ) -> ServiceResult<GetSecretResponse> {
        let request = request.to_owned_message();
        let (scope, name) = full_id(&request.id)?;
        let found = self.api.control.secret(&scope, &name)?;
        let secret = found.ok_or_else(|| ConnectError::not_found(format!("secret `{name}` does not exist")))?;
        Response::ok(GetSecretResponse { secret: described(&secret).into(), ..GetSecretResponse::default() })
    }

    async fn delete_secret(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, DeleteSecretRequest>,
    ) -> ServiceResult<DeleteSecretResponse> {
        let request = request.to_owned_message();
        let (scope, name) = full_id(&request.id)?;
        if !self.api.control.delete_secret(&scope, &name)? {
            return Err(ConnectError::not_found(format!("secret `{name}` does not exist")));
        }
        Response::ok(DeleteSecretResponse::default())
    }

    async fn list_secrets(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, ListSecretsRequest>,
    ) -> ServiceResult<ListSecretsResponse> {
        let scope = scope(request.organization, request.project, request.domain)?;
        let found = self.api.control.secrets(&scope)?;
        let secrets = found.iter().map(described).collect();
        Response::ok(ListSecretsResponse { secrets, ..ListSecretsResponse::default() })
    }
}
