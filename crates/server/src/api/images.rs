//! `ImageService`: which images exist.

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext, Response, ServiceRequest, ServiceResult};
use spanwise_proto::flyteidl2::common::RunIdentifier;
use spanwise_proto::flyteidl2::imagebuilder::{GetImageRequest, GetImageResponse, Image, ImageService};
use spanwise_wire::Invalid;

use super::Api;
use crate::control;

/// The service.
pub(super) struct Images {
    api: Arc<Api>,
}

impl Images {
    pub(super) fn new(api: Arc<Api>) -> Images {
        Images { api }
    }
}

impl ImageService for Images {
    /// An image that is named after its hash is there if its environment is; any other one is somebody's published image, which
    /// nobody here could build anyway.
    async fn get_image(
        &self,
        _ctx: RequestContext,
        request: ServiceRequest<'_, GetImageRequest>,
    ) -> ServiceResult<GetImageResponse> {
        let request = request.to_owned_message();
        let id = request.id.into_option().ok_or(Invalid::Missing("id"))?;
        let mut image = Image { fqin: id.name.clone(), ..Image::default() };
        match self.api.control.image(&id.name) {
            control::Image::Published => {}
            control::Image::Missing => {
                return Err(ConnectError::not_found(format!("image `{}` has not been built yet", id.name)));
            }
            control::Image::Built(found) => {
                // The name is asked for without its registry, which tasks name too.
                if found.image.ends_with(&format!("/{}", id.name)) {
                    image.fqin.clone_from(&found.image);
                }
                image.build_run = found.built_by.clone().map(run_identifier).into();
            }
        }
        image.id = id.into();
        Response::ok(GetImageResponse { image: image.into(), ..GetImageResponse::default() })
    }
}

fn run_identifier([org, project, domain, name]: [String; 4]) -> RunIdentifier {
    RunIdentifier { org, project, domain, name, ..RunIdentifier::default() }
}
