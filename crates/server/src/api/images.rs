//! `ImageService`: which images exist.

use std::sync::Arc;

use connectrpc::{RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::imagebuilder::{GetImageRequest, GetImageResponse, Image, ImageService};

use super::Api;
use crate::wire::Invalid;

/// The service.
pub(super) struct Images {
    _api: Arc<Api>,
}

impl Images {
    pub(super) fn new(api: Arc<Api>) -> Images {
        Images { _api: api }
    }
}

impl ImageService for Images {
    async fn get_image(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetImageRequest>,
    ) -> ServiceResult<GetImageResponse> {
        let request = request.to_owned_message();
        let id = request.id.into_option().ok_or(Invalid::Missing("id"))?;
        let image = Image { fqin: id.name.clone(), id: id.into(), ..Image::default() };
        Response::ok(GetImageResponse { image: image.into(), ..GetImageResponse::default() })
    }
}
