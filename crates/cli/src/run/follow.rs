//! A run on a server, followed to its end; and how a run that is under way is shown.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use spanwise::__private::launch::{Started, Trouble};
use spanwise::{ActionName, ActionView, Phase};
use spanwise_proto::flyteidl2::workflow::{ActionDetails, action_details, error_info};
use spanwise_wire::{RunId, requests, view as view_of};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::end::{self, End};
use super::{How, Output};
use crate::Signals;
use crate::client::{self, Ending, Server, Target, explain};
use crate::progress::{self, Seen};
use crate::terminal::{Line, Screen, Style};

/// The pause between two looks at a run; a list of many actions takes the server longer, and is asked for less often.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_IN_ANSWERS: u32 = 4;

/// A server that is started again is waited for this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// Follows a run to its end, unless that is not wanted.
pub(super) async fn run(target: &Target, how: &How, run: Started, signals: &mut Signals) -> anyhow::Result<u8> {
    if how.detach {
        match how.output {
            Output::Text => client::say(format!("{}  {}", run.run, run.url))?,
            Output::Json => client::print_json(&json!(run))?,
        }
        return Ok(0);
    }
    let target =
        Target { project: run.project.clone(), domain: run.domain.clone(), org: run.org.clone(), ..target.clone() };
    let mut view = View::new();
    view.say(&format!("run {}  {}", run.run, run.url));
    let ended = tokio::select! {
        biased;
        code = signals.next() => {
            view.settle()?;
            eprintln!("interrupted: the run goes on; `spanwise abort {}` ends it, `spanwise get {0}` shows it", run.run);
            return Ok(code);
        }
        ended = to_its_end(&target, &run, &mut view) => ended,
    };
    view.settle()?;
    end::print(how, &run, &ended?)
}

async fn to_its_end(target: &Target, run: &Started, view: &mut View) -> anyhow::Result<End> {
    let (server, id) = (target.server()?, target.run(&run.run)?);
    let mut clock = tokio::time::interval(progress::FRAME);
    let mut actions = Vec::new();
    let (changed, _watch) = watch_root(&server, &id).await;
    loop {
        let began = Instant::now();
        actions = list(&server, target, &id, view, actions).await?;
        view.show(&run.run, &actions)?;
        if actions.first().is_some_and(|root| root.phase.is_terminal()) {
            return end_of(&server, target, &id).await;
        }
        let pause = tokio::time::sleep(PAUSE.max(began.elapsed() * PAUSE_IN_ANSWERS));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = changed.notified() => break,
                () = &mut pause => break,
                _ = clock.tick(), if view.is_live() => view.show(&run.run, &actions)?,
            }
        }
    }
}

/// Tells at once when the root has changed, for as long as the second is kept. If it breaks off, pauses still end by themselves.
async fn watch_root(server: &Server, run: &RunId) -> (Arc<Notify>, JoinSet<()>) {
    let (changed, mut watching) = (Arc::new(Notify::new()), JoinSet::new());
    let request = requests::watch_action(run, &ActionName::ROOT);
    if let Ok(mut watch) = server.runs().watch_action_details(request).await {
        let tell = Arc::clone(&changed);
        watching.spawn(async move {
            while let Ok(Some(_)) = watch.message().await {
                tell.notify_one();
            }
        });
    }
    (changed, watching)
}

/// The actions as they are now. A server that does not answer is asked again for a while.
async fn list(
    server: &Server,
    target: &Target,
    run: &RunId,
    view: &mut View,
    last: Vec<ActionView>,
) -> anyhow::Result<Vec<ActionView>> {
    let began = Instant::now();
    let mut is_said = false;
    loop {
        match client::actions(server, target, run).await {
            Ok(actions) => return Ok(actions.iter().filter_map(view_of).collect()),
            Err(error) if error.is::<client::Unreachable>() && began.elapsed() < PATIENCE => {
                if !std::mem::replace(&mut is_said, true) {
                    view.say("the server does not answer; waiting for it");
                }
                tokio::time::sleep(PAUSE).await;
                if view.is_live() {
                    view.show(run.name.as_str(), &last)?;
                }
            }
            Err(error) => {
                let name = &run.name;
                return Err(error.context(format!("the run {name} may go on; `spanwise get {name}` shows it")));
            }
        }
    }
}

async fn end_of(server: &Server, target: &Target, run: &RunId) -> anyhow::Result<End> {
    let request = requests::run_details(run);
    let details = server.runs().get_run_details(request).await.map_err(|error| explain(target, error))?;
    let ended = details.into_owned().details.into_option().unwrap_or_default().action.into_option().unwrap_or_default();
    match client::ending(ended.status.phase) {
        Ending::WithOutputs => Ok(End::Succeeded(client::output(server, target, run).await?)),
        Ending::WithoutOutputs | Ending::Open => {
            Ok(End::Failed { trouble: trouble(&ended), phase: client::phase(ended.status.phase) })
        }
    }
}

fn trouble(root: &ActionDetails) -> Trouble {
    // A Rust task's causes are in the text, because the wire has no other place for them.
    let of = |kind: &str, code: &str, message: String| {
        let mut parts = message.split("\n  caused by: ").map(str::to_owned);
        let message = parts.next().unwrap_or_default();
        Trouble { kind: kind.to_owned(), code: code.to_owned(), message, causes: parts.collect() }
    };
    match &root.result {
        Some(action_details::Result::ErrorInfo(error)) => {
            let kind = match error.kind.as_known() {
                _ if client::known_phase(root.status.phase) == Some(Phase::TimedOut) => "TimedOut",
                Some(error_info::Kind::KIND_SYSTEM) => "System",
                _ => "User",
            };
            of(kind, &error.code, error.message.trim_end().to_owned())
        }
        Some(action_details::Result::AbortInfo(abort)) => of("Aborted", "Aborted", abort.reason.clone()),
        _ => of("System", "UnknownError", "the server does not say what went wrong".to_owned()),
    }
}

/// What is shown while a run is under way: on a terminal a tree in place, anywhere else a line for each change. The lines go to
/// standard error, so that standard output has the result alone.
pub(super) struct View {
    screen: Screen,
    seen: Seen,
    frame: usize,
}

impl View {
    pub(super) fn new() -> View {
        View { screen: Screen::stdout(), seen: Seen::default(), frame: 0 }
    }

    pub(super) fn is_live(&self) -> bool {
        self.screen.is_live()
    }

    /// Says something that stays.
    pub(super) fn say(&mut self, text: &str) {
        // What cannot be drawn away is left.
        let _ = self.clear();
        eprintln!("{}", Line::new().add(Style::Plain, text).paint(false, usize::MAX));
    }

    /// Passes on what the program prints, as it is.
    pub(super) fn pass_on(&mut self, line: &str) -> anyhow::Result<()> {
        self.clear()?;
        eprintln!("{line}");
        Ok(())
    }

    fn clear(&mut self) -> std::io::Result<()> {
        if self.is_live() { self.screen.draw(&[]) } else { Ok(()) }
    }

    /// Shows the actions as they are now.
    pub(super) fn show(&mut self, run: &str, actions: &[ActionView]) -> anyhow::Result<()> {
        if !self.is_live() {
            for line in self.seen.changes(actions) {
                eprintln!("{}", line.paint(false, usize::MAX));
            }
            return Ok(());
        }
        self.frame += 1;
        let now = progress::now();
        let mut lines = vec![progress::summary(run, actions, now)];
        lines.extend(progress::tree(actions, now, self.frame));
        Ok(self.screen.draw(&lines)?)
    }

    /// Leaves what is shown.
    pub(super) fn settle(&mut self) -> anyhow::Result<()> {
        Ok(self.screen.settle()?)
    }
}
