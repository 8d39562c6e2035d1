//! What others have stored here, on its way to a browser.
//!
//! There is no login: a script that runs in the server's origin may do everything. So nothing but the console's own pages is a
//! document of that origin, whatever it is called and whichever door it comes through.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue};

/// No origin, no script, no form.
const SANDBOX: &str = "sandbox";

/// A report draws itself with scripts, and may open what it links to. Its origin is its own: it can read nothing of the server's,
/// and what it sends is refused as foreign.
const REPORT: &str = "sandbox allow-scripts allow-popups";

const NOSNIFF: &str = "nosniff";

/// Keeps pages of others from using an answer as an image, a script or a frame of theirs.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Makes an answer one that a browser keeps as a file: it is not shown, and if something shows it all the same, it has no origin.
pub(crate) fn seal(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static(NOSNIFF));
    // A name for the file may stand behind it.
    if !headers.get(CONTENT_DISPOSITION).is_some_and(|value| value.as_bytes().starts_with(b"attachment")) {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/octet-stream"));
}

/// Makes an answer a report: the one thing of a task's that is shown.
pub(crate) fn show_as_report(headers: &mut HeaderMap) {
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(REPORT));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static(NOSNIFF));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Its address opens it: it is nobody's business whom it links to.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.remove(CONTENT_DISPOSITION);
}

/// For routes whose answers are made of what others have stored or sent, errors among them.
pub(crate) async fn sealed(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    seal(response.headers_mut());
    response
}

/// For every route: an answer that says nothing else is no document of this origin.
pub(crate) async fn inert(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(SANDBOX));
    headers.entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static(NOSNIFF));
    headers.entry(RESOURCE_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    response
}
