//! What of Flyte is there, in one table: of each field by which a caller asks for something, and of each RPC, whether it is honoured, and if
//! not, the sentence that says so. The warnings of a run, the answers to RPCs that are refused and `docs/compatibility.md` are made from it;
//! what Flyte has and the table has not is found by a test.

pub mod app;
pub mod methods;
pub mod run;
pub mod settings;
pub mod task;
mod warnings;

pub use warnings::{few, not_honoured};

/// What becomes of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is done. The sentence, if there is one, says what a reader of the documentation would not expect.
    Honoured(&'static str),
    /// It is stored and given back; nothing else follows from it.
    Stored(&'static str),
    /// It is accepted, not honoured, and said so with the run.
    Warned(&'static str),
    /// Whoever asks for it is refused, or the task fails, with an error that says why.
    Refused(&'static str),
}

impl Support {
    /// The word of the documentation.
    pub fn word(self) -> &'static str {
        match self {
            Support::Honoured(_) => "honoured",
            Support::Stored(_) => "stored",
            Support::Warned(_) => "warned",
            Support::Refused(_) => "refused",
        }
    }

    /// What is said about it; may be empty.
    pub fn sentence(self) -> &'static str {
        let (Support::Honoured(text) | Support::Stored(text) | Support::Warned(text) | Support::Refused(text)) = self;
        text
    }
}

/// What becomes of a field, and of all that is in it if nothing else is said of that.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// From the message down, such as `task_template.metadata.retries`.
    pub path: &'static str,
    /// How those who ask for it call it; empty for the path.
    pub called: &'static str,
    /// What becomes of it.
    pub support: Support,
}

impl Row {
    /// The word for it that whoever asked for it knows.
    pub fn name(&self) -> &'static str {
        if self.called.is_empty() { self.path } else { self.called }
    }
}

const fn row(path: &'static str, support: Support) -> Row {
    Row { path, called: "", support }
}

const fn called(path: &'static str, called: &'static str, support: Support) -> Row {
    Row { path, called, support }
}

#[cfg(test)]
mod tests;
