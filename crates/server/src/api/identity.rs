//! `IdentityService` and `AuthMetadataService`: on loopback, nobody logs in.

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::auth::{
    AuthMetadataService, GetOAuth2MetadataRequest, GetOAuth2MetadataResponse, GetPublicClientConfigRequest,
    GetPublicClientConfigResponse, IdentityService, UserInfoRequest, UserInfoResponse,
};
use spanwise_wire::details::SUBJECT;

/// `IdentityService`.
pub(super) struct Identity;

impl IdentityService for Identity {
    async fn user_info(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, UserInfoRequest>,
    ) -> ServiceResult<UserInfoResponse> {
        let user = std::env::var("USER").unwrap_or_else(|_| "local".to_owned());
        Response::ok(UserInfoResponse {
            subject: SUBJECT.to_owned(),
            name: user.clone(),
            preferred_username: user,
            ..UserInfoResponse::default()
        })
    }
}

/// `AuthMetadataService`.
pub(super) struct AuthMetadata;

fn no_login() -> ConnectError {
    ConnectError::unimplemented("this server has no login: connect with `insecure=True`")
}

impl AuthMetadataService for AuthMetadata {
    async fn get_o_auth2_metadata(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, GetOAuth2MetadataRequest>,
    ) -> ServiceResult<GetOAuth2MetadataResponse> {
        Err(no_login())
    }

    async fn get_public_client_config(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, GetPublicClientConfigRequest>,
    ) -> ServiceResult<GetPublicClientConfigResponse> {
        Err(no_login())
    }
}
