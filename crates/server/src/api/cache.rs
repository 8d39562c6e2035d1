//! `CacheService`: the outputs that are kept under cache keys, for clients that want to look or to make room.

use connectrpc::{ConnectError, RequestContext, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::cacheservice::{
    CacheService, DeleteCacheRequest, DeleteCacheResponse, GetCacheRequest, GetCacheResponse,
    GetOrExtendReservationRequest, GetOrExtendReservationResponse, PutCacheRequest, PutCacheResponse,
    ReleaseReservationRequest, ReleaseReservationResponse,
};

/// The service. The cache is the engine's own: no client takes part in it.
pub(super) struct Cache;

fn refused(method: &str) -> ConnectError {
    let why = "lookups, reservations and results of the cache are made by the server itself, for each action whose task is cached";
    ConnectError::unimplemented(format!("CacheService/{method}: {why}"))
}

impl CacheService for Cache {
    async fn get(&self, _: RequestContext, _: ServiceRequest<'_, GetCacheRequest>) -> ServiceResult<GetCacheResponse> {
        Err(refused("Get"))
    }

    async fn put(&self, _: RequestContext, _: ServiceRequest<'_, PutCacheRequest>) -> ServiceResult<PutCacheResponse> {
        Err(refused("Put"))
    }

    async fn delete(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteCacheRequest>,
    ) -> ServiceResult<DeleteCacheResponse> {
        Err(refused("Delete"))
    }

    async fn get_or_extend_reservation(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, GetOrExtendReservationRequest>,
    ) -> ServiceResult<GetOrExtendReservationResponse> {
        Err(refused("GetOrExtendReservation"))
    }

    async fn release_reservation(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, ReleaseReservationRequest>,
    ) -> ServiceResult<ReleaseReservationResponse> {
        Err(refused("ReleaseReservation"))
    }
}
