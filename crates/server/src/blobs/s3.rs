//! S3 over HTTP for the tasks: their SDK reads and writes its files at `http://<server>/s3`, path style.
//!
//! What s3s does: the protocol. What stands here: who may come in, and that the facade lies below a path of the server, which s3s does
//! not know.

mod answer;
mod chunked;
mod objects;

use std::error::Error as StdError;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::AUTHORIZATION;
use http::{StatusCode, Uri};
use s3s::auth::SimpleAuth;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::route::S3Route;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::validation::NameValidation;
use s3s::{HttpError, HttpRequest, HttpResponse, S3Error, S3Request, S3Response, S3Result};
use spanwise_blobs::Blobs;

use crate::foreign;
use objects::Objects;

/// Where the facade lies on the server.
const PREFIX: &str = "/s3";

/// Who may use the facade.
#[derive(Clone)]
#[non_exhaustive]
pub enum Access {
    /// Everyone; signatures are not looked at, whatever the credentials.
    Anyone,
    /// Who signs requests with this pair.
    Key {
        /// The id of the key, sent in the clear.
        access_key: String,
        /// What requests are signed with.
        secret_key: String,
    },
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Access::Anyone => f.write_str("Anyone"),
            Access::Key { access_key, .. } => {
                f.debug_struct("Key").field("access_key", access_key).finish_non_exhaustive()
            }
        }
    }
}

/// The facade as routes below `/s3`, to be merged into the server's router. It reads and writes bodies of any size as streams.
pub fn router(blobs: Blobs, access: Access) -> Router {
    let mut builder = S3ServiceBuilder::new(Objects::new(blobs));
    builder.set_config(config());
    let facade = builder.build();
    let gate = match access {
        Access::Anyone => Gate::Open(facade),
        Access::Key { access_key, secret_key } => {
            // A signature covers the whole path, so it is checked before the prefix is taken off: by a service in front, which knows
            // nothing but the key and passes on what is signed.
            let mut builder = S3ServiceBuilder::new(NoOperations);
            builder.set_config(config());
            builder.set_auth(SimpleAuth::from_single(access_key, secret_key));
            builder.set_validation(AnyName);
            builder.set_route(Inside(facade));
            Gate::Signed(builder.build())
        }
    };
    let gate = Arc::new(gate);
    let enter = any(move |request: Request| {
        let gate = gate.clone();
        async move { gate.enter(request).await }
    });
    Router::new()
        .route(PREFIX, enter.clone())
        .route(&format!("{PREFIX}/"), enter.clone())
        .route(&format!("{PREFIX}/{{*path}}"), enter)
        .layer(middleware::from_fn(foreign::sealed))
}

fn config() -> Arc<StaticConfigProvider> {
    let mut config = S3Config::default();
    // Uploads of HTML forms are gathered in memory, and nobody needs them here.
    config.post_object_max_file_size = 0;
    Arc::new(StaticConfigProvider::new(Arc::new(config)))
}

enum Gate {
    Open(S3Service),
    Signed(S3Service),
}

impl Gate {
    async fn enter(&self, request: Request) -> Response {
        let answer = match self {
            Gate::Open(facade) => match chunked::decode(request) {
                Ok(request) => inside(facade, request.map(s3s::Body::http_body_unsync)).await,
                Err(error) => error.to_http_response().map_err(|error| HttpError::new(Box::new(error))),
            },
            Gate::Signed(gate) => gate.call(request.map(s3s::Body::http_body_unsync)).await,
        };
        match answer {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::error!(?error, "the S3 facade could not answer");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// Hands a request to the facade as if it lay at `/`, without the signature, which it could not check.
async fn inside(facade: &S3Service, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
    *request.uri_mut() = unsigned(request.uri()).map_err(|error| HttpError::new(Box::new(error)))?;
    request.headers_mut().remove(AUTHORIZATION);
    facade.call(request).await
}

fn unsigned(uri: &Uri) -> Result<Uri, http::Error> {
    let path = uri.path().strip_prefix(PREFIX).unwrap_or(uri.path());
    let path = if path.is_empty() { "/" } else { path };
    // Neither is granted what headers the answer should have (`response-content-type=text/javascript`): a blob is bytes, and no more.
    let is_taken_off = |pair: &&str| {
        let name = percent_encoding::percent_decode_str(pair.split('=').next().unwrap_or_default()).decode_utf8_lossy();
        name.starts_with("X-Amz-")
            || name.starts_with("response-")
            || matches!(&*name, "Signature" | "AWSAccessKeyId" | "Expires")
    };
    let query: Vec<&str> = uri.query().unwrap_or_default().split('&').filter(|pair| !is_taken_off(pair)).collect();
    let query = query.join("&");
    let separator = if query.is_empty() { "" } else { "?" };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{separator}{query}").parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// The service that checks signatures takes the first segment of the path for a bucket, which it is not.
struct AnyName;

impl NameValidation for AnyName {
    fn validate_bucket_name(&self, _: &str) -> bool {
        true
    }
}

struct NoOperations;

impl s3s::S3 for NoOperations {}

/// Takes every request whose signature holds; unsigned ones are refused by the trait's own `check_access`.
struct Inside(S3Service);

#[async_trait::async_trait]
impl S3Route for Inside {
    fn is_match(&self, _: &http::Method, _: &Uri, _: &http::HeaderMap, _: &mut http::Extensions) -> bool {
        true
    }

    async fn call(&self, signed: S3Request<s3s::Body>) -> S3Result<S3Response<s3s::Body>> {
        let mut request = HttpRequest::new(signed.input);
        *request.method_mut() = signed.method;
        *request.uri_mut() = signed.uri;
        *request.headers_mut() = signed.headers;
        let answer = inside(&self.0, request).await.map_err(|error| {
            S3Error::internal_error(std::io::Error::other(Box::<dyn StdError + Send + Sync>::from(error)))
        })?;
        let (parts, body) = answer.into_parts();
        let mut response = S3Response::new(body);
        response.status = Some(parts.status);
        response.headers = parts.headers;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_the_signature_and_wishes_for_headers_are_taken_off_and_nothing_else() {
        let cases = [
            ("/s3", "/"),
            ("/s3/", "/"),
            ("/s3/spanwise/s3/a%20b%2Fc?list-type=2&prefix=a%26b", "/spanwise/s3/a%20b%2Fc?list-type=2&prefix=a%26b"),
            ("/s3/spanwise/k?X-Amz-Signature=1&X-Amz-Date=2", "/spanwise/k"),
            ("/s3/spanwise/k?response-content-type=text/html&%72esponse-content-disposition=inline", "/spanwise/k"),
            ("/s3/spanwise/k?uploads&Signature=1&Expires=2&AWSAccessKeyId=3", "/spanwise/k?uploads"),
        ];
        for (outside, expected) in cases {
            assert_eq!(unsigned(&outside.parse().unwrap()).unwrap(), expected);
        }
    }
}
