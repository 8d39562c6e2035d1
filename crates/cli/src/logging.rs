//! What the server says on standard error: warnings, or what `SPANWISE_LOG` asks for.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sets the log up from `SPANWISE_LOG`, for instance `info` or `spanwise_server=debug`.
///
/// # Errors
/// If the variable is no filter.
pub(crate) fn init() -> anyhow::Result<()> {
    let text = std::env::var("SPANWISE_LOG").unwrap_or_else(|_| "warn".to_owned());
    let filter: Targets = text.parse().map_err(|error| anyhow::anyhow!("SPANWISE_LOG `{text}`: {error}"))?;
    // The S3 library logs each missing key as an error, and the SDK asks for keys that are not there.
    let filter = filter.with_target("s3s", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal());
    tracing_subscriber::registry().with(lines).with(filter).init();
    Ok(())
}
