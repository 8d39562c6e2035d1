//! Templates: what of them stands for something of the run. Flyte's are those of Go (`{{.Run.Name}}`); the SDK's own sender, for runs without a
//! server, has others (`{run.name}`), and its documentation mixes both.

use std::borrow::Cow;

use spanwise_core::text::shown;

/// The longest error that a message has, in bytes: that of a task may have many lines, and Slack takes 3000 characters.
const MAX_ERROR: usize = 2000;

/// What is known of a run that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// The organisation.
    pub org: String,
    /// The project.
    pub project: String,
    /// The domain.
    pub domain: String,
    /// The name of the run.
    pub run: String,
    /// The name of its task.
    pub task: String,
    /// The word of its phase, as `SUCCEEDED`.
    pub phase: String,
    /// What went wrong; empty if nothing did.
    pub error: String,
    /// How long it took, for people.
    pub duration: String,
    /// When it ended (RFC 3339).
    pub ended_at: String,
    /// Its page.
    pub url: String,
}

/// A variable, and what of a run it stands for.
type Variable = (&'static str, fn(&Ended) -> &str);

/// Every variable: within double braces with a dot before it, and those of the SDK's own sender within single ones.
pub const VARIABLES: [Variable; 15] = [
    (".Run.Org", |ended| &ended.org),
    (".Run.Project", |ended| &ended.project),
    (".Run.Domain", |ended| &ended.domain),
    (".Run.Name", |ended| &ended.run),
    (".Phase", |ended| &ended.phase),
    (".Error", |ended| &ended.error),
    ("task.name", |ended| &ended.task),
    ("run.name", |ended| &ended.run),
    ("run.phase", |ended| &ended.phase),
    ("run.error", |ended| &ended.error),
    ("run.duration", |ended| &ended.duration),
    ("run.timestamp", |ended| &ended.ended_at),
    ("run.url", |ended| &ended.url),
    ("project", |ended| &ended.project),
    ("domain", |ended| &ended.domain),
];

impl Ended {
    /// The same with an error that is short enough for a message.
    pub(super) fn shortened(&self) -> Cow<'_, Ended> {
        if self.error.len() <= MAX_ERROR {
            return Cow::Borrowed(self);
        }
        let end = self.error.floor_char_boundary(MAX_ERROR);
        let left_out = self.error.len() - end;
        let error =
            format!("{}… ({left_out} bytes are left out: the page of the run has all of it)", &self.error[..end]);
        Cow::Owned(Ended { error, ..self.clone() })
    }
}

/// A piece of a template.
enum Piece<'a> {
    Text(&'a str),
    Variable(&'a Variable),
    /// What stands in double braces and is no variable.
    Unknown(&'a str),
}

/// Functions of Adaptive Cards, which whoever shows the card evaluates.
const OF_CARDS: [&str; 2] = ["DATE(", "TIME("];

/// The first piece of a template that is not empty, and the rest.
fn next(template: &str) -> (Piece<'_>, &str) {
    let Some(begin) = template.find('{') else { return (Piece::Text(template), "") };
    if begin > 0 {
        return (Piece::Text(&template[..begin]), &template[begin..]);
    }
    if let Some(inner) = template.strip_prefix("{{") {
        let Some(end) = inner.find("}}") else { return (Piece::Unknown(inner), "") };
        let (inside, rest) = (&inner[..end], &inner[end + 2..]);
        // Go's marks for spaces around.
        let name = inside.strip_prefix("- ").unwrap_or(inside);
        let name = name.strip_suffix(" -").unwrap_or(name).trim();
        let whole = &template[..template.len() - rest.len()];
        let piece = match VARIABLES.iter().find(|(variable, _)| name == *variable && name.starts_with('.')) {
            Some(variable) => Piece::Variable(variable),
            None if OF_CARDS.iter().any(|function| name.starts_with(function)) => Piece::Text(whole),
            None => Piece::Unknown(inside),
        };
        return (piece, rest);
    }
    let inner = &template[1..];
    let variable = VARIABLES.iter().find(|(variable, _)| {
        !variable.starts_with('.') && inner.strip_prefix(variable).is_some_and(|rest| rest.starts_with('}'))
    });
    match variable {
        Some(variable) => (Piece::Variable(variable), &inner[variable.0.len() + 1..]),
        None => (Piece::Text(&template[..1]), inner),
    }
}

/// Whether everything in double braces is a variable.
pub(super) fn check(mut template: &str) -> Result<(), String> {
    while !template.is_empty() {
        let (piece, rest) = next(template);
        if let Piece::Unknown(name) = piece {
            let variables: Vec<String> = VARIABLES
                .iter()
                .filter(|(name, _)| name.starts_with('.'))
                .map(|(name, _)| format!("{{{{{name}}}}}"))
                .collect();
            let name = name.get(..name.floor_char_boundary(40)).unwrap_or_default();
            return Err(format!("`{{{{{}}}}}` stands for nothing: {} do", shown(name), variables.join(", ")));
        }
        template = rest;
    }
    Ok(())
}

/// The text with what its variables stand for, each escaped. What is put in is not looked at again. Where that makes more than `most` bytes, what does
/// not fit is left out, and in the place of the first of it stands how much that is.
pub(super) fn render(mut template: &str, ended: &Ended, most: usize, escape: &dyn Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(template.len());
    let mut room = most.saturating_sub(template.len());
    let (mut left_out, mut first) = (0, None);
    while !template.is_empty() {
        let (piece, rest) = next(template);
        match piece {
            Piece::Text(piece) => text.push_str(piece),
            Piece::Variable((_, value)) => {
                let escaped = escape(value(ended));
                match room.checked_sub(escaped.len()) {
                    Some(rest) => {
                        room = rest;
                        text.push_str(&escaped);
                    }
                    None => {
                        left_out += value(ended).len();
                        first.get_or_insert(text.len());
                    }
                }
            }
            Piece::Unknown(name) => {
                text.push_str("{{");
                text.push_str(name);
                text.push_str("}}");
            }
        }
        template = rest;
    }
    if let Some(first) = first {
        text.insert_str(first, &escape(&format!("… ({left_out} bytes are left out: a text has at most {most})")));
    }
    text
}
