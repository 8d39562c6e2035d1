//! Reports: pages that tasks make for people while they run, one for each attempt, in tabs.
//!
//! ```
//! use std::sync::LazyLock;
//!
//! use spanwise::{TaskEnvironment, report, task};
//!
//! static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("training"));
//!
//! #[task(env = ENV)]
//! async fn train(epochs: i64) -> spanwise::Result<f64> {
//!     let mut loss = 1.0;
//!     for epoch in 1..=epochs {
//!         loss /= 2.0;
//!         report::log(format!("<p>epoch {epoch}: {loss}</p>"));
//!         report::tab("last").replace(format!("<b>{loss}</b>"));
//!         report::flush().await?; // seen while the task runs
//!     }
//!     Ok(loss)
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> spanwise::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let client = spanwise::Client::open(spanwise::Config::new().data_dir(folder.path()))?;
//! let run = client.with_runcontext().run(train(3)).await?;
//! run.output().await?;
//! let page = run.report().await?.unwrap_or_default();
//! assert!(page.contains("epoch 3: 0.125") && page.contains("<b>0.125</b>"));
//! # client.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What is added is HTML, and stands in the page as it is: escape what comes from elsewhere. What was not [flushed](flush) when the body ends, well or not, is
//! written then; if that fails, the log says so, and the task has ended as it has. The console shows the page beside the attempt, of an engine in this process once
//! `spanwise dev` has its data directory. An engine in memory keeps no reports. Outside of a task nothing is kept either.

use std::sync::Arc;

use crate::ctx::{Ambient, RunningTask};
use crate::error::{Error, Result};
use crate::parent::Parent;

/// The tab that content goes to which names none.
const FIRST: &str = "main";

/// A larger report is refused: no browser would show it.
const MAX_REPORT: usize = 64 << 20;

/// Adds HTML to the first tab.
pub fn log(html: impl Into<String>) {
    tab(FIRST).log(html);
}

/// Puts HTML in the place of what the first tab has.
pub fn replace(html: impl Into<String>) {
    tab(FIRST).replace(html);
}

/// A tab by its name, made where it is used first. Tabs stand in the order in which they were made.
pub fn tab(name: impl Into<String>) -> Tab {
    Tab { name: name.into() }
}

/// Writes the report as it is now, so that it is seen while the task goes on. What has not changed is not written again.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::ErrorKind::Usage) if it is larger than 64 MiB; [`ErrorKind::System`](crate::ErrorKind::System) if it cannot be written.
pub async fn flush() -> Result<()> {
    match Ambient::current() {
        Some(ambient) => write_on(ambient.task).await,
        None => Ok(()),
    }
}

/// A tab of the report of the attempt that runs here.
#[derive(Clone, Debug)]
pub struct Tab {
    name: String,
}

impl Tab {
    /// Adds HTML to it.
    pub fn log(&self, html: impl Into<String>) {
        self.change(|content| content.push(html.into()));
    }

    /// Puts HTML in the place of what it has.
    pub fn replace(&self, html: impl Into<String>) {
        self.change(|content| *content = vec![html.into()]);
    }

    fn change(&self, change: impl FnOnce(&mut Vec<String>)) {
        if let Some(ambient) = Ambient::current() {
            change(ambient.task.report.get_or_init(Box::default).tabs().of(&self.name));
        }
    }
}

/// Goes on if nobody waits for it any more: what comes after it would else be written beside it.
async fn write_on(task: Arc<RunningTask>) -> Result<()> {
    if task.report.get().is_none() {
        return Ok(());
    }
    let written = tokio::spawn(async move { write(&task).await }).await;
    written.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Err(Error::from(std::io::Error::other(error))),
    })
}

async fn write(task: &RunningTask) -> Result<()> {
    let Some(report) = task.report.get() else { return Ok(()) };
    let mut written = report.written.lock().await;
    let (revision, page) = {
        let tabs = report.tabs();
        if tabs.revision == *written {
            return Ok(());
        }
        (tabs.revision, tabs.page(task.task.as_str()))
    };
    if page.len() > MAX_REPORT {
        return Err(Error::usage(format!("the report has {} bytes, {MAX_REPORT} are the limit", page.len())));
    }
    task.parent.write_report(page).await?;
    *written = revision;
    Ok(())
}

/// Writes what is not written when the body of an attempt is over.
pub(crate) async fn finish(task: Arc<RunningTask>) {
    if let Err(error) = write_on(Arc::clone(&task)).await {
        eprintln!("warning: the report of task `{}` is not written: {error}", task.task);
    }
}
