//! Durable tasks for Rust that keep one trace whole.
//!
//! A task is an async function with [`#[task]`](task). Called inside a task it becomes a child action: recorded in a
//! journal, retried by its policy, found again after a crash. Called anywhere else it is the plain function that you wrote.
//!
//! ```
//! use std::sync::LazyLock;
//! use spanwise::{task, TaskEnvironment};
//!
//! static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("hello"));
//!
//! #[task(env = ENV, retries = 3)]
//! async fn greet(name: String) -> spanwise::Result<String> {
//!     Ok(format!("Hello, {name}!"))
//! }
//!
//! #[task(env = ENV)]
//! async fn main_task(name: String) -> spanwise::Result<String> {
//!     greet(name).await // a child action
//! }
//!
//! #[spanwise::main]
//! async fn main() -> spanwise::Result<()> {
//! #   let directory = std::env::temp_dir().join(format!("spanwise-doc-{}", std::process::id()));
//! #   spanwise::init_with(spanwise::Config::new().data_dir(&directory)).await?;
//! #   #[cfg(any())]
//!     spanwise::init().await?;
//!     let run = spanwise::with_runcontext().run(main_task("world".to_owned())).await?;
//!     assert_eq!(run.output().await?, "Hello, world!");
//! #   std::fs::remove_dir_all(directory)?;
//!     Ok(())
//! }
//! ```
//!
//! # Context
//!
//! A string map, the [`CustomContext`], is given to a run and reaches every action of it. A task sees it as
//! `ctx().custom_context()` and may override keys for a part of its body with [`custom_context`]. A call carries the map of
//! the place **where the call was written**, so it does not matter who polls it: `tokio::spawn(fetch(url))`, a `JoinSet` and
//! `tokio::join!` all carry the scope in which `fetch(url)` stands. (The stock Python SDK captures when the call is first
//! awaited.) W3C `traceparent`, `tracestate` and `baggage` ride in this map; see the `otel` module.
//!
//! What a call captures is not what a plain `tokio::spawn(async { fetch(url).await })` captures: there the call is written
//! inside another tokio task, which knows of no action. Use [`spawn`] and [`spawn_blocking`] for that.
//!
//! # What a task asks for
//!
//! The cache, resources, secrets, variables and a queue are said of a task, of its environment, or of one call; what is said last counts as a
//! whole, as in Flyte:
//!
//! ```
//! use std::sync::LazyLock;
//! use spanwise::{Cache, Overrides, Resources, TaskEnvironment, task};
//!
//! static ENV: LazyLock<TaskEnvironment> =
//!     LazyLock::new(|| TaskEnvironment::new("train").resources(Resources::new().cpu(2).memory("1Gi")));
//!
//! #[task(env = ENV, cache = "auto", queue = "gpu")]
//! async fn square(number: i64) -> spanwise::Result<i64> {
//!     Ok(number * number)
//! }
//!
//! #[task(
//!     env = ENV,
//!     cache(version = "v1", ignored_inputs = ["at"], max_age = "1d"),
//!     resources(cpu = "500m", memory = "8Gi", gpu = 1),
//!     secrets = ["api-key", secret("db-password", group = "team", as = "DB_PASSWORD"), secret("ca", file)],
//!     env_vars = [("MODE", "fast")],
//! )]
//! async fn train(epochs: i64, at: String) -> spanwise::Result<i64> {
//!     let _ = (std::env::var("API_KEY")?, at);
//!     square(epochs).override_with(Overrides::new().cache(Cache::off()).queue("cpu")).await
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> spanwise::Result<()> {
//! # let client = spanwise::Client::open(spanwise::Config::new().in_memory())?;
//! let first = client.with_runcontext().run(square(7)).await?.output().await?;
//! let kept = client.with_runcontext().run(square(7)).await?.output().await?; // not computed again
//! assert_eq!((first, kept), (49, 49));
//! # let missing = client.with_runcontext().run(train(1, "now".to_owned())).await?.output().await.unwrap_err();
//! # assert_eq!(missing.code(), "VariableNotSet");
//! # client.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! | | on a server | by the engine of this process |
//! |---|---|---|
//! | cache | kept in project and domain | kept in its journal |
//! | resources | what the pools count; memory is the limit of the process | noted, and told once to be no limit |
//! | secrets | given | looked for in the variable or the file; one that is missing fails the task by its name |
//! | env_vars | set | a task fails by the name of one that this process does not have so: it has one environment for all |
//! | queue | one of its settings | noted, and told once to be none |
//!
//! A deployed task has no queue, as Flyte's definitions have none: whoever calls it names one (`Overrides::queue`). Outside of a task a call
//! is the plain function, and asks for nothing. `cache = "auto"` is by the text of the function - its signature, its body and its attributes,
//! however they are set, without comments - and not of what that calls.
//!
//! Which secrets and variables a call asks for is not kept with a run of this process: [`resume`] and [`RunContext::rerun`] look for those of the
//! root's task. To go on with those of the call, start the interrupted run again with it: `.name("n").run(call)`.
//!
//! A timer and a condition have limits in time alone: what else is said of such a call is refused by its name.
//!
//! # Triggers
//!
//! What starts runs of a task by a schedule, or by a name, is said with the task and deployed with it ([`deploy`]). A server fires it; by the
//! engine of this process nothing is fired.
//!
//! ```
//! use std::sync::LazyLock;
//! use std::time::SystemTime;
//! use spanwise::{TaskEnvironment, task};
//!
//! static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("reports"));
//!
//! #[task(
//!     env = ENV,
//!     triggers = [
//!         cron("0 9 * * *").tz("Europe/Berlin").name("daily").time_input("at").input("pages", 3_i64),
//!         every("90m").name("often").time_input("at").input("pages", 1_i64).paused(),
//!         on_demand().name("by-hand").input("at", SystemTime::UNIX_EPOCH).input("pages", 1_i64),
//!     ],
//! )]
//! async fn report(at: SystemTime, pages: i64) -> spanwise::Result<String> {
//!     Ok(format!("{pages} pages for {at:?}"))
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> spanwise::Result<()> {
//! # let client = spanwise::Client::open(spanwise::Config::new().in_memory())?;
//! # let refused = client.deploy().await.unwrap_err();
//! # assert!(refused.message().contains("tasks are deployed on a server"));
//! # #[cfg(any())]
//! spanwise::deploy().await?; // `spanwise triggers ls` lists them, `spanwise triggers fire by-hand` starts a run
//! # client.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Conditions
//!
//! A task waits for somebody outside of it, without a slot and across restarts; [`Run::signal`] answers, and on a server so do
//! `spanwise signal` and the run's page:
//!
//! ```
//! use std::sync::LazyLock;
//! use std::time::Duration;
//! use spanwise::{TaskEnvironment, condition, task};
//!
//! static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("release"));
//!
//! #[task(env = ENV)]
//! async fn ship(version: String) -> spanwise::Result<String> {
//!     let prompt = format!("Ship {version}?");
//!     let yes = condition::<bool>("approve").prompt(prompt).timeout(Duration::from_secs(3600)).await?;
//!     Ok(if yes { format!("{version} is out") } else { "not today".to_owned() })
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> spanwise::Result<()> {
//! # let client = spanwise::Client::open(spanwise::Config::new().in_memory())?;
//! let run = client.with_runcontext().run(ship("v2".to_owned())).await?;
//! # while run.actions().await?.len() < 2 { tokio::task::yield_now().await }
//! run.signal("approve", true).await?; // once it waits; before that it is `ErrorKind::NotFound`
//! assert_eq!(run.output().await?, "v2 is out");
//! # client.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Running again what failed
//!
//! [`RunContext::recover`] runs the task of an earlier run again and takes over what has succeeded there; [`RunContext::rerun`] takes over nothing.
//!
//! ```
//! use std::sync::LazyLock;
//! use std::sync::atomic::{AtomicU32, Ordering};
//!
//! use spanwise::{Error, TaskEnvironment, task};
//!
//! static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("again"));
//! static LOADED: AtomicU32 = AtomicU32::new(0);
//! static TRIES: AtomicU32 = AtomicU32::new(0);
//!
//! #[task(env = ENV)]
//! async fn load(day: i64) -> spanwise::Result<i64> {
//!     LOADED.fetch_add(1, Ordering::Relaxed);
//!     Ok(100 * day)
//! }
//!
//! #[task(env = ENV)]
//! async fn report_of(day: i64) -> spanwise::Result<String> {
//!     let rows = load(day).await?;
//!     match TRIES.fetch_add(1, Ordering::Relaxed) {
//!         0 => Err(Error::terminal("no room")),
//!         _ => Ok(format!("{rows} rows")),
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() -> spanwise::Result<()> {
//! # let client = spanwise::Client::open(spanwise::Config::new().in_memory())?;
//! let failed = client.with_runcontext().name("monday").run(report_of(1)).await?;
//! assert!(failed.output().await.is_err());
//! let again = client.with_runcontext().recover::<String>("monday").await?;
//! assert_eq!(again.output().await?, "100 rows");
//! assert_eq!(LOADED.load(Ordering::Relaxed), 1);
//! # client.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod any_parent;
mod backend;
mod blocking;
mod body;
mod call;
mod call_site;
mod client;
mod condition;
mod config;
mod ctx;
mod describe;
mod effective;
mod embedded;
mod entry;
mod environment;
mod error;
mod error_context;
mod init;
mod launch;
mod map;
#[cfg(not(feature = "remote"))]
mod no_remote;
pub mod notify;
#[cfg(feature = "otel")]
pub mod otel;
mod overrides;
mod panic;
mod parent;
mod payload;
mod purpose;
mod question;
#[cfg(feature = "remote")]
mod remote;
pub mod report;
mod run;
mod run_context;
mod step;
mod tabs;
mod task;
mod timer;
mod trigger;
mod value;
mod wait;

#[doc(hidden)]
pub mod __private;

#[cfg(not(feature = "remote"))]
use no_remote as remote;

pub use call::Call;
pub use client::{Client, Deployment, deploy};
pub use condition::{Answer, Condition, condition};
pub use config::Config;
pub use ctx::{Ctx, CustomContextScope, Group, TaskContext, ctx, custom_context, group, spawn, spawn_blocking};
pub use entry::{ExitCode, at_exit, main};
pub use environment::TaskEnvironment;
pub use error::{Error, ErrorKind, Result, Terminal};
pub use error_context::ErrorContext;
pub use init::{init, init_with};
pub use map::{Map, MapOver, map};
pub use overrides::Overrides;
#[cfg(feature = "remote")]
pub use remote::{FlyteConfig, RemoteTask, remote_task};
pub use run::{Run, RunUrl};
pub use run_context::{RunContext, resume, with_runcontext};
pub use spanwise_core::ContextError;
pub use spanwise_core::notification::Notification;
pub use spanwise_core::settings::{Cache, CacheVersion, Resources, Secret};
pub use spanwise_wire::CustomContext;
pub use task::{Arguments, TaskOutput};
pub use timer::{sleep, sleep_until};
pub use trigger::{Trigger, cron, every, on_demand};
pub use value::{Value, ValueError};

pub use spanwise_core::{
    ActionKind, ActionName, AttemptNo, Backoff, InvalidName, Phase, RunId, RunName, TaskName, Timeouts, Timestamp,
};
pub use spanwise_engine::{ActionView, Durability, Relation, Retention};
pub use spanwise_macros::{Value, main, task, trace, traced};
pub use spanwise_proto::Image;
