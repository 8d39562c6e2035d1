//! Style sheet, script and icon: in the program, at addresses that change with their content.

use spanwise_wire::task::digest;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

/// The addresses, for templates.
#[derive(Debug)]
pub(super) struct Assets {
    pub(super) css: String,
    pub(super) js: String,
    pub(super) icon: String,
}

const CSS: &str = include_str!("../../assets/console.css");
const JS: &str = include_str!("../../assets/console.js");
const ICON: &str = include_str!("../../assets/icon.svg");

pub(super) static ASSETS: LazyLock<Assets> = LazyLock::new(|| {
    let address = |name: &str, content: &str, suffix: &str| {
        format!("/assets/{name}-{}.{suffix}", &digest(content.as_bytes())[..12])
    };
    Assets { css: address("console", CSS, "css"), js: address("console", JS, "js"), icon: address("icon", ICON, "svg") }
});

pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let address = format!("/assets/{name}");
    let (content, content_type) = match &*ASSETS {
        assets if assets.css == address => (CSS, "text/css; charset=utf-8"),
        assets if assets.js == address => (JS, "text/javascript; charset=utf-8"),
        assets if assets.icon == address => (ICON, "image/svg+xml"),
        _ => return (StatusCode::NOT_FOUND, "this asset is of another version: reload the page\n").into_response(),
    };
    let headers = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, content).into_response()
}
