//! Every good form of `#[task]`.
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use spanwise::{Call, TaskEnvironment, Value, task};

static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new("compile"));
static PLAIN: std::sync::OnceLock<TaskEnvironment> = std::sync::OnceLock::new();

#[derive(Debug)]
struct OrderError;

impl std::fmt::Display for OrderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such order")
    }
}

impl std::error::Error for OrderError {}

#[derive(Serialize, Deserialize, Value)]
struct Order {
    id: u64,
    lines: Vec<String>,
    note: Option<String>,
}

#[derive(Serialize, Deserialize, Value)]
enum Priority {
    Low,
    High,
}

#[task(env = ENV)]
async fn no_arguments() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV)]
fn not_async(a: i64, b: i64) -> spanwise::Result<i64> {
    Ok(a + b)
}

/// Has a comment,
/// of two lines.
#[task(env = ENV)]
pub(super) async fn documented(name: String) -> spanwise::Result<String> {
    Ok(name)
}

#[task(env = ENV)]
pub(crate) async fn for_this_crate(order: Order, priority: Priority) -> spanwise::Result<Order> {
    match priority {
        Priority::Low => Ok(order),
        Priority::High => Ok(Order { note: None, ..order }),
    }
}

#[task(env = ENV)]
async fn twelve(
    a: u8,
    b: u16,
    c: u32,
    d: u64,
    e: i8,
    f: i16,
    g: i32,
    h: i64,
    i: f32,
    j: f64,
    k: bool,
    l: String,
) -> spanwise::Result<String> {
    Ok(format!("{a}{b}{c}{d}{e}{f}{g}{h}{i}{j}{k}{l}"))
}

#[task(env = ENV)]
async fn mutable(mut items: Vec<i64>, mut count: i64) -> spanwise::Result<Vec<i64>> {
    count += 1;
    items.push(count);
    Ok(items)
}

#[task(env = ENV)]
async fn own_error(id: u64) -> Result<Option<Order>, OrderError> {
    match id {
        0 => Err(OrderError),
        _ => Ok(None),
    }
}

#[task(env = ENV)]
async fn full_path(a: u64) -> std::result::Result<u64, std::num::ParseIntError> {
    Ok(a + "1".parse::<u64>()?)
}

#[task(env = ENV)]
async fn of_containers(map: HashMap<String, Vec<Option<f64>>>) -> spanwise::Result<HashMap<String, Vec<Option<f64>>>> {
    Ok(map)
}

#[task(
    env = ENV,
    name = "renamed",
    retries = 3,
    backoff(base = "10ms", factor = 1.5, cap = "1m"),
    timeout(max_runtime = "30s", max_queued_time = "1h30m", deadline = "1d"),
)]
async fn all_options() -> spanwise::Result<()> {
    Ok(())
}

#[task(
    env = ENV,
    cache(version = "v1", ignored_inputs = ["at"], serialize = true, max_age = "1h"),
    resources(cpu = "500m", memory = "1Gi", gpu = 1),
    secrets = ["api-key", secret("db-password", group = "team", as = "DB_PASSWORD"), secret("ca", file,)],
    env_vars = [("MODE", "fast"), ("EMPTY", "",)],
    queue = "gpu",
)]
async fn all_settings(at: u64) -> spanwise::Result<u64> {
    Ok(at)
}

#[task(env = ENV, cache = "auto", resources(cpu = 2), secrets = [], env_vars = [])]
async fn some_settings() -> spanwise::Result<()> {
    Ok(())
}

#[task(
    env = ENV,
    cache = "none",
    resources(cpu = 0.5, memory = "1e9"),
    triggers = [cron("0 9 * * *").tz("Europe/Berlin").name("daily"), spanwise::every("1h").name("hourly")],
)]
async fn other_settings() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = PLAIN.get_or_init(|| TaskEnvironment::new("plain")), timeout = "30s", backoff(base = "1s", factor = 2))]
async fn env_is_an_expression(_ignored: u64) -> spanwise::Result<()> {
    Ok(())
}

#[expect(clippy::needless_return, reason = "a return is what is tested")]
#[task(env = ENV)]
async fn with_an_attribute() -> spanwise::Result<()> {
    return Ok(());
}

mod inside {
    use super::ENV;

    #[spanwise::task(env = ENV)]
    pub(super) async fn r#match(r#type: String) -> spanwise::Result<String> {
        Ok(r#type)
    }
}

/// Makes a call of each.
pub(super) fn calls() {
    let _call: Call<()> = no_arguments();
    let _call: Call<i64> = not_async(1, 2);
    let _call: Call<String> = documented("x".to_owned());
    let _call: Call<Order> = for_this_crate(Order { id: 1, lines: Vec::new(), note: None }, Priority::Low);
    let _call: Call<Order> = for_this_crate(Order { id: 1, lines: Vec::new(), note: None }, Priority::High);
    let _call: Call<String> = twelve(1, 2, 3, 4, 5, 6, 7, 8, 9.0, 10.0, true, "x".to_owned());
    let _call: Call<Vec<i64>> = mutable(Vec::new(), 1);
    let _call: Call<Option<Order>> = own_error(1);
    let _call: Call<u64> = full_path(1);
    let _call = of_containers(HashMap::new());
    let _calls: [Call<()>; 3] = [all_options(), env_is_an_expression(1), with_an_attribute()];
    let _call: Call<u64> = all_settings(1);
    let _calls: [Call<()>; 2] = [some_settings(), other_settings()];
    let _call: Call<String> = inside::r#match("x".to_owned());
}
