//! S8: values cross a border unchanged, or are refused with their name and the limit.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use spanwise::{ErrorKind, TaskEnvironment, Value, task};

use crate::{ENV, memory};

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, Value)]
struct Order {
    id: u64,
    lines: Vec<Line>,
    note: Option<String>,
    priority: Priority,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, Value)]
struct Line {
    name: String,
    price: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize, Value)]
enum Priority {
    Low,
    High,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, Value)]
enum Shape {
    Circle { radius: f64 },
    Point,
}

/// A task that gives back what it takes, and a test that puts values through it and through a child of it.
macro_rules! echoes {
    ($($name:ident: $kind:ty = $values:expr;)+) => {
        $(mod $name {
            use super::*;

            static ENV: LazyLock<TaskEnvironment> = LazyLock::new(|| TaskEnvironment::new(stringify!($name)));

            #[task(env = ENV)]
            async fn echo(value: $kind) -> spanwise::Result<$kind> {
                Ok(value)
            }

            #[task(env = ENV)]
            async fn through_a_child(value: $kind) -> spanwise::Result<$kind> {
                echo(value).await
            }

            #[tokio::test]
            async fn s8_come_back_as_they_went() {
                for value in $values {
                    let value: $kind = value;
                    let run = memory().with_runcontext().run(through_a_child(value.clone())).await.unwrap();
                    assert_eq!(run.output().await.unwrap(), value);
                }
            }
        })+
    };
}

fn order() -> Order {
    let line = Line { name: "größe 🦀".to_owned(), price: -0.5 };
    Order { id: 7, lines: vec![line.clone(), line], note: None, priority: Priority::High }
}

echoes! {
    integers: i64 = [i64::MIN, -1, 0, 1, i64::MAX];
    small_integers: u8 = [0, 255];
    unsigned: u64 = [0, i64::MAX as u64];
    floats: f64 = [0.0, -1.5, f64::MAX, f64::INFINITY];
    narrow_floats: f32 = [0.1, f32::MIN];
    booleans: bool = [true, false];
    strings: String = [String::new(), "zażółć 🦀\0\n".to_owned()];
    blobs: Bytes = [Bytes::new(), Bytes::from_static(&[0, 255, 128])];
    options: Option<i64> = [None, Some(0), Some(-3)];
    optional_lists: Option<Vec<String>> = [None, Some(vec![]), Some(vec!["a".to_owned()])];
    lists: Vec<Vec<f64>> = [vec![], vec![vec![], vec![1.0, 2.0]]];
    maps: HashMap<String, i64> = [HashMap::new(), HashMap::from([("é".to_owned(), 3), (String::new(), 4)])];
    sorted_maps: BTreeMap<String, Vec<bool>> = [BTreeMap::from([("k".to_owned(), vec![true])])];
    times: SystemTime = [UNIX_EPOCH, UNIX_EPOCH - Duration::from_nanos(1), UNIX_EPOCH + Duration::new(1_700_000_000, 123_456_789)];
    durations: Duration = [Duration::ZERO, Duration::new(5, 1), Duration::from_secs(1 << 40)];
    structures: Order = [order(), Order { note: Some(String::new()), lines: vec![], ..order() }];
    enums: Priority = [Priority::Low, Priority::High];
    enums_with_fields: Shape = [Shape::Point, Shape::Circle { radius: 2.0 }];
    lists_of_structures: Vec<Option<Line>> = [vec![None, Some(Line { name: String::new(), price: 1.0 })]];
}

#[task(env = ENV)]
async fn nothing() -> spanwise::Result<()> {
    Ok(())
}

#[task(env = ENV)]
async fn takes_unsigned(count: u64, names: Vec<u64>) -> spanwise::Result<u64> {
    Ok(count + names.len() as u64)
}

#[task(env = ENV)]
async fn takes_text(small: String, large: String) -> spanwise::Result<u64> {
    Ok((small.len() + large.len()) as u64)
}

#[task(env = ENV)]
async fn gives_text(size: u64) -> spanwise::Result<String> {
    Ok("x".repeat(size as usize))
}

#[tokio::test]
async fn s8_a_unit_is_no_output() {
    use spanwise_engine::{Durability, Engine, EngineConfig, RunQuery, Storage};
    let directory = tempfile::tempdir().unwrap();
    let client = spanwise::Client::open(spanwise::Config::new().data_dir(directory.path())).unwrap();
    client.with_runcontext().name("unit").run(nothing()).await.unwrap().output().await.unwrap();
    client.with_runcontext().name("text").run(gives_text(1)).await.unwrap().output().await.unwrap();
    client.shutdown().await;
    drop(client);
    let storage = Storage::Directory { path: directory.path().to_owned(), durability: Durability::Process };
    let engine = Engine::open(EngineConfig::embedded(storage, Default::default())).unwrap();
    for (_, row) in engine.runs(&RunQuery::newest(2)).unwrap() {
        let run = engine.resume(&row.id).unwrap();
        let (_, outputs) = run.payloads(&spanwise::ActionName::ROOT).await.unwrap();
        // A message without fields has no bytes.
        assert_eq!(outputs.unwrap().is_empty(), row.id.name.as_str() == "unit", "{}", row.id.name);
    }
}

#[tokio::test]
async fn s8_a_value_that_does_not_fit_is_named() {
    let error = memory().with_runcontext().run(takes_unsigned(u64::MAX, vec![])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert!(error.message().starts_with("`count`: 18446744073709551615 does not fit"), "{error}");
    let error = memory().with_runcontext().run(takes_unsigned(1, vec![1, u64::MAX])).await.unwrap_err();
    assert!(error.message().starts_with("`names.1`:"), "{error}");
}

#[tokio::test]
async fn s8_an_input_over_10_mib_names_the_field_and_the_limit() {
    let call = takes_text("s".to_owned(), "x".repeat(11 << 20));
    let error = memory().with_runcontext().run(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert!(error.message().contains("`large`") && error.message().contains("limit is 10485760"), "{error}");
}

#[tokio::test]
async fn s8_an_output_over_10_mib_fails_the_task_with_the_limit() {
    let run = memory().with_runcontext().run(gives_text(11 << 20)).await.unwrap();
    let error = run.output().await.unwrap_err();
    assert!(error.message().contains("limit is 10485760"), "{error}");
}

#[tokio::test]
async fn s8_nine_mib_go_through_and_survive_on_disk() {
    let directory = tempfile::tempdir().unwrap();
    let client = spanwise::Client::open(spanwise::Config::new().data_dir(directory.path())).unwrap();
    let run = client.with_runcontext().name("large").run(gives_text(9 << 20)).await.unwrap();
    assert_eq!(run.output().await.unwrap().len(), 9 << 20);
    assert_eq!(client.resume::<String>("large").await.unwrap().output().await.unwrap().len(), 9 << 20);
}
