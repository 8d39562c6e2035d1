//! The demo in a pseudo terminal, which `script` (util-linux) makes.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Spanwise, needs, text};

const HIDE: &str = "\x1b[?25l";
const SHOW: &str = "\x1b[?25h";

/// What a test of the terminal begins with; none where it has to be left out.
fn with_terminal(test: &str) -> Option<Spanwise> {
    needs::has(&["script"], "bsdutils", &format!("terminal::{test}")).then(Spanwise::new)
}

/// `spanwise demo` in a terminal of that size.
fn in_terminal(spanwise: &Spanwise, columns: u16, rows: u16) -> Command {
    let mut command = spanwise.environment("script");
    let line = format!("stty cols {columns} rows {rows}; exec {} demo", env!("CARGO_BIN_EXE_spanwise"));
    command.env("TERM", "xterm-256color").args(["-qec", &line, "/dev/null"]);
    command
}

fn shown(command: &mut Command) -> String {
    let output = command.output().expect("`script` of util-linux is there");
    let stdout = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{stdout}");
    stdout
}

/// The escape sequences in the text, without their parameters: `K`, `A`, `m`.
fn sequences(text: &str) -> Vec<char> {
    let after = text.split("\x1b[").skip(1);
    after.filter_map(|rest| rest.chars().find(|c| c.is_ascii_alphabetic())).collect()
}

/// What the text of a terminal's lines is without escape sequences.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        plain.push_str(&piece[end + 1..]);
    }
    plain
}

#[test]
fn on_a_terminal_progress_is_redrawn_in_place_and_the_cursor_comes_back() {
    let Some(spanwise) = with_terminal("on_a_terminal_progress_is_redrawn_in_place_and_the_cursor_comes_back") else {
        return;
    };
    let shown = shown(&mut in_terminal(&spanwise, 100, 30));
    assert_eq!((shown.matches(HIDE).count(), shown.matches(SHOW).count()), (1, 1));
    assert!(shown.find(HIDE) < shown.find(SHOW));
    assert!(sequences(&shown).contains(&'m'));
    let frames = shown.matches("\x1b[J").count();
    assert!(frames > 4, "{frames} frames");
    let text = plain(&shown);
    assert!(text.contains("score ×"), "{text}");
    assert!(text.contains("publish  waits for attempt 2"), "{text}");
    // The last frame stays, the trace follows.
    let (live, after) = shown.split_once(SHOW).unwrap();
    let last = plain(live.rsplit("\x1b[?25l").next().unwrap().rsplit_once("A\r").unwrap().1);
    for piece in
        ["✓ main  succeeded", "✓ score ×20  20 succeeded", "✓ publish  succeeded, attempt 2", "✓ render  recorded"]
    {
        assert!(last.contains(piece), "`{piece}` is not in:\n{last}");
    }
    assert!(plain(after).contains("└─ main"), "{after}");
    assert!(plain(after).contains("✓ The trace is whole"), "{after}");
}

#[test]
fn no_color_takes_the_colours_and_keeps_the_progress() {
    let Some(spanwise) = with_terminal("no_color_takes_the_colours_and_keeps_the_progress") else { return };
    let shown = shown(in_terminal(&spanwise, 100, 30).env("NO_COLOR", "1"));
    let sequences = sequences(&shown);
    assert!(!sequences.contains(&'m'), "{shown:?}");
    assert!(sequences.contains(&'A') && sequences.contains(&'J'));
}

#[test]
fn a_dumb_terminal_gets_plain_lines() {
    let Some(spanwise) = with_terminal("a_dumb_terminal_gets_plain_lines") else { return };
    let shown = shown(in_terminal(&spanwise, 100, 30).env("TERM", "dumb"));
    assert!(!shown.contains('\x1b'), "{shown:?}");
    assert!(shown.contains("publish: waits for attempt 2"), "{shown}");
}

#[test]
fn no_line_is_wider_and_no_frame_is_higher_than_the_terminal() {
    let Some(spanwise) = with_terminal("no_line_is_wider_and_no_frame_is_higher_than_the_terminal") else { return };
    let shown = shown(&mut in_terminal(&spanwise, 30, 5));
    let text = plain(&shown);
    let in_a_tree = |line: &&str| ["main", "─", "…", "workflow_run"].iter().any(|mark| line.contains(mark));
    assert!(text.lines().filter(in_a_tree).count() > 20);
    for line in text.lines().filter(in_a_tree) {
        let width = line.trim_matches('\r').chars().count();
        assert!(width <= 30, "{width}: {line}");
    }
    let (live, _) = shown.split_once(SHOW).unwrap();
    for frame in live.split("\x1b[J") {
        assert!(frame.matches("\x1b[K").count() < 5, "{frame:?}");
    }
}

#[test]
fn ctrl_c_gives_the_cursor_back() {
    let Some(spanwise) = with_terminal("ctrl_c_gives_the_cursor_back") else { return };
    let mut child = in_terminal(&spanwise, 100, 30).stdin(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut shown, mut buffer) = (Vec::new(), [0; 4096]);
    while !String::from_utf8_lossy(&shown).contains("score") {
        let count = screen.read(&mut buffer).unwrap();
        assert!(count > 0, "it ended before it was interrupted");
        shown.extend_from_slice(&buffer[..count]);
    }
    let began = Instant::now();
    keys.write_all(b"\x03").unwrap();
    screen.read_to_end(&mut shown).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let shown = text(&shown);
    let (_, after) = shown.rsplit_once(SHOW).unwrap();
    assert!(!after.contains(HIDE));
    assert!(plain(after).contains("interrupted"), "{after}");
}
