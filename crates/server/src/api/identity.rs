//! `IdentityService`: on loopback, nobody logs in.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::auth::{IdentityService, UserInfoRequest, UserInfoResponse};
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
