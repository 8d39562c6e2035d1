//! `spanwise serve` and `spanwise config`: a control plane that is set up by a file, and what it is set up with.

use clap::ArgMatches;

use crate::settings::{self, Configured};
use crate::{Signals, client, dev};

/// Start a control plane for the users of this machine, set up by a file.
///
/// Settings come from flags, variables and `spanwise.toml`, in this order. SIGTERM or SIGINT ends it: tasks may go on for a while,
/// and what is left goes on at the next start. A second signal ends it at once.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    configured: Configured,
    #[command(flatten)]
    repair: dev::Repair,
}

/// Serves until a signal, as `spanwise dev` does.
pub(crate) async fn run(options: Options, signals: Signals) -> anyhow::Result<u8> {
    let mut config = options.configured.settings.config()?;
    config.repair = options.repair.repair;
    dev::serve(config, signals).await
}

/// Print the settings of `spanwise serve`, each with where it comes from.
#[derive(clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    _configured: Configured,
}

/// Prints a file that would set the same.
pub(crate) fn show(matches: &ArgMatches) -> anyhow::Result<u8> {
    client::say(settings::effective(matches)?.trim_end())?;
    Ok(0)
}
