//! `spanwise abort`: ending a run, or one action of it.

use spanwise_wire::requests;

use super::{Ended, TargetOptions, explain, say};

/// A header of the answer: the phase in which the action had ended before.
const HAD_ENDED: &str = "spanwise-had-ended";

/// End a run, or one action of it with everything under it.
#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: TargetOptions,
    /// The run.
    run: String,
    /// The action; by default the root, which ends the run.
    #[arg(default_value = "a0")]
    action: String,
    /// Why; it is kept with the run.
    #[arg(long, default_value = "aborted from the command line")]
    reason: String,
}

/// Aborts; an action that is at its end stays as it is.
pub(crate) async fn run(options: Options) -> anyhow::Result<u8> {
    let Options { target, run, action, reason } = options;
    let target = target.resolve()?;
    let request = requests::abort_action(&target.run(&run)?, &super::action(&action)?, &reason);
    let answer = target.server()?.runs().abort_action(request).await.map_err(|error| explain(&target, error))?;
    if let Some(phase) = answer.headers().get(HAD_ENDED).and_then(|phase| phase.to_str().ok()) {
        return Err(Ended(format!("{run} {action} had ended already ({phase}): it stays as it is")).into());
    }
    say(format!("aborted {run} {action}"))?;
    Ok(0)
}
