//! The place where an environment is made, and the programs that take part.

use std::io;
use std::path::{Path, PathBuf};

use super::record::SOURCE;
use super::{Base, Build, Error};
use crate::step::{self, Failed};
use crate::unfinished::Unfinished;
use crate::{Launch, Limits, append};

/// Appends a line to a log.
pub(super) fn say(log: &Path, line: &str) -> Result<(), Error> {
    append(log, line).map_err(|source| Error::Io { doing: "write to log", path: log.to_owned(), source })
}

/// An environment that is being made.
pub(super) struct Site<'a> {
    /// The interpreter that it is made from, whatever becomes of the server's meanwhile.
    pub(super) base: &'a Base,
    pub(super) build: &'a Build<'a>,
    pub(super) unfinished: Unfinished,
    /// Whether it gets the SDK.
    pub(super) has_sdk: bool,
}

impl Site<'_> {
    pub(super) fn directory(&self) -> &Path {
        &self.unfinished.directory
    }

    pub(super) fn python(&self) -> String {
        self.directory().join("bin/python").display().to_string()
    }

    /// The files that came with the image.
    pub(super) fn context(&self) -> PathBuf {
        self.directory().join("context")
    }

    /// Where files go that came with the image.
    pub(super) fn source(&self) -> PathBuf {
        self.directory().join(SOURCE)
    }

    /// The SDK that it gets, as installers have it.
    pub(super) fn requirement(&self) -> Option<String> {
        let wanted = self.build.plan.sdk.as_ref().map(|version| format!("{}=={version}", self.base.sdk().name));
        wanted.or_else(|| self.base.requirement()).filter(|_| self.has_sdk)
    }

    /// What is installed with other packages, so that they go together with it.
    pub(super) fn beside(&self) -> Option<String> {
        self.base.requirement().filter(|_| self.has_sdk)
    }

    pub(super) fn io(&self, doing: &'static str, source: io::Error) -> Error {
        Error::Io { doing, path: self.directory().to_owned(), source }
    }

    pub(super) fn say(&self, line: &str) -> Result<(), Error> {
        say(self.build.log, line)
    }

    /// Runs a program to its end, which must be a good one. Its words go to the log.
    pub(super) async fn run(&mut self, doing: &str, argv: Vec<String>) -> Result<(), Error> {
        let launch = Launch {
            argv,
            env: self.env(),
            directory: self.directory().to_owned(),
            log: self.build.log.to_owned(),
            limits: Limits::default(),
            // Several programs take part one after the other; the caller notes each.
            claim: None,
            mounted: None,
            container: None,
        };
        let done = step::run(&launch, &mut self.unfinished, self.build.started, self.build.hidden).await;
        done.map_err(|failed| match failed {
            Failed::Start(source) => Error::Start { doing: doing.to_owned(), source },
            Failed::Ended { ending, last_lines } => Error::Step { doing: doing.to_owned(), ending, last_lines },
        })
    }

    /// The programs' environment: nobody is there to answer a question or to watch a bar.
    fn env(&self) -> Vec<(String, String)> {
        let bin = self.directory().join("bin").display().to_string();
        let directory = self.directory().display().to_string();
        let mut env = self.build.env.clone();
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
        let set = [
            ("PATH", format!("{bin}:{path}")),
            ("VIRTUAL_ENV", directory),
            ("PIP_DISABLE_PIP_VERSION_CHECK", "1".to_owned()),
            ("PIP_NO_INPUT", "1".to_owned()),
            ("PIP_PROGRESS_BAR", "off".to_owned()),
            ("PIP_ROOT_USER_ACTION", "ignore".to_owned()),
            ("UV_NO_PROGRESS", "1".to_owned()),
            ("PYTHONUNBUFFERED", "1".to_owned()),
        ];
        // What would make the installer look or write elsewhere.
        let misleading =
            ["PYTHONPATH", "PYTHONHOME", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_PYTHON", "UV_PYTHON"];
        env.retain(|(name, _)| !misleading.contains(&name.as_str()) && set.iter().all(|(own, _)| name != own));
        env.extend(set.map(|(name, value)| (name.to_owned(), value)));
        env
    }
}
