//! Where the time of a run went: a bar of its uses and a table of who used the most.

use std::time::Duration;

use spanwise_core::lifecycle::{Explanation, Use};
use spanwise_engine::RunHandle;

use super::format::length;
use super::view::View;
use crate::trace::timeline::Timeline;

/// Width of the bar, in units of the drawing.
const WIDTH: f64 = 1000.0;

/// The explanation of a run, for the page.
pub(super) struct Explained {
    pub(super) wall: String,
    pub(super) running: bool,
    pub(super) shares: Vec<ShareRow>,
    /// Time that a later attempt has spent again; empty if there is none.
    pub(super) retried: String,
}

pub(super) struct ShareRow {
    pub(super) class: &'static str,
    pub(super) word: &'static str,
    pub(super) what: &'static str,
    pub(super) time: String,
    pub(super) percent: String,
    pub(super) x: String,
    pub(super) width: String,
    pub(super) largest: Vec<Largest>,
}

/// An action with its part of a use.
pub(super) struct Largest {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) time: String,
}

/// The class, the word and the sentence for a use.
fn words(used_for: Use) -> (&'static str, &'static str, &'static str) {
    match used_for {
        Use::Code => ("u-code", "Your code", "tasks and steps at work"),
        Use::Queue => ("u-queue", "Queue", "waiting for an executor or a place"),
        Use::StartUp => ("u-start", "Start-up", "from the launch to the first sign of life"),
        Use::Backoff => ("u-backoff", "Backoff", "pauses after failed attempts"),
        Use::Cache => ("u-cache", "Cache", "asking the cache, or waiting for who computes the same"),
        Use::Waiting => ("u-wait", "Waiting", "for conditions and timers"),
        Use::Engine => ("u-engine", "Engine", "between the parts"),
    }
}

impl Explained {
    pub(super) fn of(run: &RunHandle, timeline: &Timeline, view: &View) -> Explained {
        let explanation = &timeline.explained().explanation;
        let wall = explanation.wall.as_secs_f64().max(1e-9);
        let mut x = 0.0;
        let mut shares = Vec::new();
        // While the run goes on all of them are there, so that nothing moves when one is needed.
        let running = !run.is_finished();
        for share in explanation.shares.iter().filter(|share| running || !share.time.is_zero()) {
            let (class, word, what) = words(share.used_for);
            let part = share.time.as_secs_f64() / wall;
            shares.push(ShareRow {
                class,
                word,
                what,
                time: length(share.time),
                percent: percent(part),
                x: format!("{x:.1}"),
                width: format!("{:.1}", part * WIDTH),
                largest: largest(run, share, view),
            });
            x += part * WIDTH;
        }
        Explained { wall: length(explanation.wall), running: !run.is_finished(), shares, retried: retried(explanation) }
    }
}

fn retried(explanation: &Explanation) -> String {
    if explanation.retried == Duration::ZERO { String::new() } else { length(explanation.retried) }
}

fn largest(run: &RunHandle, share: &spanwise_core::lifecycle::Share, view: &View) -> Vec<Largest> {
    let largest = |who: &spanwise_core::lifecycle::Contributor| {
        // A step can be the page's choice as well as its action.
        let is_there = run.action(&who.action).is_some();
        Largest {
            name: who.task.short().to_owned(),
            href: view.with(|view| {
                view.selected = Some(who.action).filter(|_| is_there);
                view.span = None;
                view.attempt = None;
            }),
            time: length(who.time),
        }
    };
    share.largest.iter().map(largest).collect()
}

fn percent(part: f64) -> String {
    match part * 100.0 {
        nothing if nothing <= 0.0 => "0 %".to_owned(),
        small if small < 0.1 => "< 0.1 %".to_owned(),
        small if small < 10.0 => format!("{small:.1} %"),
        large => format!("{large:.0} %"),
    }
}
