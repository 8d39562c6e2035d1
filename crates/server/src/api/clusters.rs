//! `ClusterService`: there is one cluster, this server.

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::cluster::{ClusterService, SelectClusterRequest, SelectClusterResponse};

/// The service.
pub(super) struct Clusters;

impl ClusterService for Clusters {
    /// An empty endpoint: the client goes on with the connection that it has.
    async fn select_cluster(
        &self,
        _ctx: RequestContext,
        _request: ServiceRequest<'_, SelectClusterRequest>,
    ) -> ServiceResult<SelectClusterResponse> {
        Response::ok(SelectClusterResponse::default())
    }
}
