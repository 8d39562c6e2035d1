//! A run in the program's own engine: the program tells how it goes, and what it prints is passed on.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::anyhow;
use spanwise::__private::launch::{Event, Started, Trouble};
use spanwise::{ActionView, ErrorKind};

use super::program::{Asking, Heard, request};
use super::{Chosen, How, end};
use crate::Signals;
use crate::run::follow::View;

/// A program that is told to end has this long: its own hooks have ten seconds.
const GRACE: Duration = Duration::from_secs(15);

/// Starts the run and follows it.
pub(super) async fn run(program: &Path, chosen: Chosen, signals: &mut Signals) -> anyhow::Result<u8> {
    let how = chosen.options.how.clone();
    // The program's tasks run in its own process, which is where their variables are.
    let mut request = request(chosen);
    request.options.env.clear();
    let mut asking = Asking::start(program, &request, &how.env)?;
    let mut state =
        State { how, started: None, ended: None, refused: None, actions: Vec::new(), positions: HashMap::new() };
    let mut view = View::new();
    let mut clock = tokio::time::interval(crate::progress::FRAME);
    loop {
        tokio::select! {
            biased;
            code = signals.next() => {
                view.settle()?;
                return interrupted(asking, &state, signals, code).await;
            }
            heard = asking.next() => match heard {
                Some(Heard::Line(line)) => view.pass_on(&line)?,
                Some(Heard::Event(event)) => state.take(event, &mut view)?,
                Some(Heard::Ended(status)) => return state.ended(&mut view, &end::said(&status), program),
                None => return state.ended(&mut view, "it is gone", program),
            },
            _ = clock.tick(), if view.is_live() => view.show(state.name(), &state.actions)?,
        }
    }
}

/// What is known of the run.
struct State {
    how: How,
    started: Option<Started>,
    ended: Option<end::End>,
    refused: Option<Trouble>,
    actions: Vec<ActionView>,
    /// Where each action is in the list.
    positions: HashMap<spanwise::ActionName, usize>,
}

impl State {
    fn name(&self) -> &str {
        self.started.as_ref().map_or("", |started| &started.run)
    }

    fn take(&mut self, event: Event, view: &mut View) -> anyhow::Result<()> {
        match event {
            Event::Started(started) => {
                view.say(&format!("run {} in this program", started.run));
                self.started = Some(started);
            }
            Event::Actions { actions } => {
                for action in actions {
                    match self.positions.get(&action.name) {
                        Some(position) => self.actions[*position] = action,
                        None => {
                            self.positions.insert(action.name, self.actions.len());
                            self.actions.push(action);
                        }
                    }
                }
                view.show(self.name(), &self.actions)?;
            }
            Event::Succeeded { output } => self.ended = Some(end::End::Succeeded(output)),
            Event::Failed(trouble) => {
                let phase = match () {
                    () if trouble.is(ErrorKind::TimedOut) => "TIMED_OUT",
                    () if trouble.is(ErrorKind::Aborted) => "ABORTED",
                    () => "FAILED",
                };
                self.ended = Some(end::End::Failed { phase: phase.to_owned(), trouble });
            }
            Event::Refused(trouble) => self.refused = Some(trouble),
        }
        Ok(())
    }

    fn ended(&self, view: &mut View, said: &str, program: &Path) -> anyhow::Result<u8> {
        view.settle()?;
        if let Some(trouble) = &self.refused {
            return Err(end::refused(trouble));
        }
        match (&self.started, &self.ended) {
            (Some(started), Some(ended)) => end::print(&self.how, started, ended),
            (Some(started), None) => {
                let run = &started.run;
                Err(anyhow!(
                    "{} ended before the run {run} did: {said}; the same command with --name {run} takes it up again",
                    program.display()
                ))
            }
            (None, _) => Err(anyhow!("{} ended without starting the run: {said}", program.display())),
        }
    }
}

/// Has the program end in good order; at a second signal it is killed.
async fn interrupted(mut asking: Asking, state: &State, signals: &mut Signals, code: u8) -> anyhow::Result<u8> {
    asking.leave();
    let gone = async {
        while let Some(heard) = asking.next().await {
            match heard {
                Heard::Line(line) => eprintln!("{line}"),
                Heard::Ended(_) => return,
                Heard::Event(_) => {}
            }
        }
    };
    tokio::select! {
        biased;
        _ = signals.next() => {}
        _ = tokio::time::timeout(GRACE, gone) => {}
    }
    match &state.started {
        Some(started) => {
            eprintln!("interrupted: the same command with --name {} takes the run up again", started.run);
        }
        None => eprintln!("interrupted before the run was started"),
    }
    Ok(code)
}
