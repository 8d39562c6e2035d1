//! What the user has to know about an answer, where the protocol has no place for it: headers.

use connectrpc::Response;

/// Percent-encoded.
const WARNING: &str = "spanwise-warning";

/// A client does not take a head of any size.
const MOST_WARNINGS: usize = 10;

/// What a header cannot hold as it is.
const IN_A_HEADER: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%');

/// An answer with warnings.
pub(super) fn with<T>(answer: T, warnings: &[String]) -> Response<T> {
    warnings.iter().take(MOST_WARNINGS).fold(Response::new(answer), |response, warning| {
        let warning = percent_encoding::utf8_percent_encode(warning, IN_A_HEADER).to_string();
        response.with_header(WARNING, warning)
    })
}
