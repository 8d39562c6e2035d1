//! The attributes of Spanwise: `#[main]`, `#[task]`, `#[trace]`, `#[traced]` and `#[derive(Value)]`.
//!
//! They are sugar: each writes down what stands in the signature and calls documented functions of the crate `spanwise`. A
//! signature that does not fit is refused with a message at the place that has to change.

use proc_macro::TokenStream;

mod duration;
mod main_function;
mod settings;
mod signature;
mod task;
mod text;
mod trace;
mod traced;
mod value;

/// Makes an async function the `main` of a program with tasks: `spanwise::main` runs it.
///
/// ```text
/// #[spanwise::main]
/// async fn main() -> spanwise::Result<()> {
///     spanwise::init().await?;
///     ..
/// }
/// ```
///
/// It takes no arguments and returns a `Result` of nothing, whose error becomes a `spanwise::Error` as with `?`. See the function
/// `spanwise::main` for what happens on signals, at the end, and when a server starts the program; it is the one to call in a `main`
/// that has other things to do before the runtime is there.
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(main_function::expand(arguments.into(), item.into()))
}

/// Makes a function a task.
///
/// ```text
/// #[task(env = ENV, retries = 3, timeout = "30s")]
/// async fn fetch(url: String) -> spanwise::Result<u16> { .. }
/// ```
///
/// The function gives a `Call` of its output: inside a task a child action, anywhere else the plain function. Arguments are
/// owned values (`spanwise::Value`), the return type is a `Result`. A function that is not async runs on the pool for blocking
/// work.
///
/// - `env = ENV`: the `TaskEnvironment`, a static (usually in a `LazyLock`). Required.
/// - `retries = 3`: attempts after the first one.
/// - `backoff(base = "1s", factor = 2, cap = "30s")`: the pause before a retry; `factor` is 1 and `cap` none by default.
/// - `timeout = "30s"`: the limit of each attempt in RUNNING. Or `timeout(max_runtime = "30s", max_queued_time = "1m",
///   deadline = "1h")`.
/// - `cache = "auto"`: results are kept, and used again for the same inputs until the text of the function changes. Or a version of your
///   own, `cache = "v1"`, or `cache(version = "v1", ignored_inputs = ["at"], serialize = true, max_age = "1h")`. None are kept with
///   `cache = "disable"`. As in Python, `"on"`, `"yes"`, `"true"` and `"enable"` are `"auto"`, and `"off"`, `"no"`, `"false"` and `"none"` are
///   `"disable"`.
/// - `resources(cpu = 2, memory = "1Gi", gpu = 1)`: what an attempt needs; `cpu` may be `0.5` or `"500m"` as well.
/// - `secrets = ["db-password"]`: given as the variable `DB_PASSWORD`. Or `secret("db-password", group = "team", as = "DB")`, or
///   `secret("ca", file)`.
/// - `env_vars = [("MODE", "fast")]`: variables of the task's process.
/// - `queue = "gpu"`: a queue of the server's settings.
/// - `triggers = [cron("0 9 * * *").tz("Europe/Berlin").name("daily"), every("1h").name("hourly"), on_demand().name("by-hand")]`: what
///   starts runs of it once it is deployed.
/// - `name = "fetch"`: the second part of the task's name, if it is not the function's.
///
/// What stands from `cache` to `queue` can be said of the environment too, and of one call (`Overrides`). What becomes of them
/// in this process stands in the documentation of the crate.
///
/// A doc comment on an argument is what tools show of that input: `async fn fetch(/** Where. */ url: String)`.
///
/// Durations are numbers with `ms`, `s`, `m`, `h` or `d`, one after the other: `"1h30m"`.
#[proc_macro_attribute]
pub fn task(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(task::expand(arguments.into(), item.into()))
}

/// Makes an async function a step (Flyte's `flyte.trace`; for a span see `#[traced]`): inside a task its result is recorded once it is done, and not computed again by a retry or
/// after a crash.
///
/// A step is known by its name, the text of its code and its arguments; `#[trace(version = "2")]` takes a version instead of the
/// text. Tasks cannot be called inside a step; other steps can.
#[proc_macro_attribute]
pub fn trace(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(trace::expand(arguments.into(), item.into()))
}

/// Runs a function in an OpenTelemetry span (to record a step see `#[trace]`) of the program's own tracer provider, and carries the span to the tasks that it
/// calls: `#[traced("fetch")]`. Without a name the span has the function's.
///
/// On a task it stands below `#[task]`.
#[proc_macro_attribute]
pub fn traced(arguments: TokenStream, item: TokenStream) -> TokenStream {
    finish(traced::expand(arguments.into(), item.into()))
}

/// Makes a struct, or an enum, a value that tasks take and give. Needs `serde::Serialize` and `serde::Deserialize`.
#[proc_macro_derive(Value)]
pub fn value(item: TokenStream) -> TokenStream {
    finish(value::expand(item.into()))
}

fn finish(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded.unwrap_or_else(|error| error.to_compile_error()).into()
}
