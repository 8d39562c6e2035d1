//! A second opinion on who may sleep: whoever waits would only wait again if it looked now. Who is ready is counted here from the drivers
//! themselves, not from what the run remembers of them.

use std::collections::BTreeSet;

use super::super::*;
use super::driving::{At, SimDriver};
use super::world::World;

impl World {
    /// Nobody sleeps who could do something, and whose sleep nothing ends that has happened.
    pub(super) fn check_sleepers(&self) -> Result<(), String> {
        if self.is_full || self.is_interrupted {
            // Whoever can do nothing now is told when that is over.
            return Ok(());
        }
        for (index, run) in self.runs.iter().enumerate().filter(|(_, run)| run.lost.is_none()) {
            let of_run = || self.drivers.values().filter(|driver| driver.run == index);
            if !of_run().any(|driver| self.sleeps(driver)) {
                continue;
            }
            let is_ready = |driver: &&SimDriver| driver.rules.drives() && !matches!(driver.at, At::LookUp(_));
            let driven = of_run().filter(|driver| driver.rules.drives()).map(|driver| driver.rules.action());
            let driven: BTreeSet<ActionName> = driven.collect();
            let ready: BTreeSet<ActionName> = of_run().filter(is_ready).map(|driver| driver.rules.action()).collect();
            for sleeper in of_run().filter(|driver| self.sleeps(driver)) {
                let action = sleeper.rules.action();
                let facts = DriverFacts {
                    drives: sleeper.rules.drives() || !driven.contains(&action),
                    watches: true,
                    adopts: sleeper.rules.adopts,
                    cache_is_read: sleeper.rules.cache_is_read,
                    has_slot: self.setup.slots.is_none(),
                    process: ProcessFacts::default(),
                    is_ready: &|name| ready.contains(name),
                };
                match run.live.run().next(&action, &facts) {
                    Ok(Next::Wait { .. } | Next::Sleep { .. }) => {}
                    Ok(Next::Hold { .. }) if sleeper.rules.is_in_line => {}
                    next => return Err(format!("the driver of {index}/{action} sleeps and could {next:?}")),
                }
            }
        }
        Ok(())
    }

    fn sleeps(&self, driver: &SimDriver) -> bool {
        let At::Wait(due) = driver.at else { return false };
        !driver.is_told && !driver.has_turn && !self.is_due(due)
    }
}
