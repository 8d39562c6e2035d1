//! How much is taken of a sender. Who reads a request keeps to it, and what is said of a refusal names it.

use std::time::Duration;

/// The largest body, packed and unpacked, in bytes.
pub(super) const MAX_BODY: usize = 32 << 20;

/// How long a body may take to arrive.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(30);

/// The largest span that is kept, in bytes.
pub(super) const MAX_SPAN: usize = 1 << 20;

/// The largest resource with its scope that is kept, in bytes.
pub(super) const MAX_ORIGIN: usize = 256 << 10;

/// How deep the values of a span may be nested: both encodings can be read as deep as that, with all that is around it.
pub(super) const MAX_DEPTH: usize = 24;
