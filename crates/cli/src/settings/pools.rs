//! What tasks may take up at one time: of the server, and of its queues.

use std::collections::BTreeMap;

use clap::Args;
use spanwise_server::{Config, QueueLimits, ServerResources, check_queue_name};
use spanwise_wire::task::{millis, quantity};

use super::BadSetting;

/// What tasks may take up.
#[derive(Args, Clone, Debug)]
pub(super) struct Pools {
    /// How many tasks may do something at one time; those that wait for children are not counted [default: 2 a processor].
    #[arg(long, env = "SPANWISE_MAX_TASKS")]
    max_tasks: Option<u32>,
    /// How many tasks that ask for no processor (`Resources(cpu=0)`: they sleep, or wait for others) may run beside those [default: 16 for
    /// each of them].
    #[arg(long, env = "SPANWISE_MAX_IDLE_TASKS")]
    max_idle_tasks: Option<u32>,
    /// Processors that tasks may ask for in all; without it nobody counts them.
    #[arg(long, env = "SPANWISE_MAX_CPU", value_name = "COUNT", value_parser = processors)]
    max_cpu: Option<u64>,
    /// Memory that tasks may ask for in all, such as 16Gi; without it nobody counts it.
    #[arg(long, env = "SPANWISE_MAX_MEMORY", value_name = "SIZE", value_parser = memory)]
    max_memory: Option<u64>,
    /// GPUs that tasks may ask for, by the names that CUDA has for them, such as 0,1: each task sees as many as it asks for, and no other
    /// task has them. Without it nobody counts them, and tasks see all.
    #[arg(long, env = "SPANWISE_GPUS", value_name = "NAME", value_delimiter = ',', value_parser = device)]
    gpus: Vec<String>,
    /// A queue that tasks and runs may name, with its limits: `NAME concurrency=2 depth=1000 priority=3 rate=100/m cpu=4 memory=8Gi
    /// concurrency_per_project=2 concurrency_per_key=1`, all of them optional; may be given several times. In a file: [queues.NAME].
    #[arg(long = "queue", env = "SPANWISE_QUEUES", value_name = "NAME KEY=VALUE..", value_delimiter = ',', value_parser = queue)]
    queues: Vec<Queue>,
}

/// A queue and its limits.
type Queue = (String, QueueLimits);

impl Pools {
    pub(super) fn apply(self, config: &mut Config) -> Result<(), BadSetting> {
        config.max_tasks = self.max_tasks.unwrap_or(config.max_tasks);
        config.max_idle_tasks = self.max_idle_tasks;
        if let Some(twice) = self.gpus.iter().enumerate().find(|(at, name)| self.gpus[..*at].contains(name)) {
            return Err(BadSetting::DeviceTwice(twice.1.clone()));
        }
        config.resources = ServerResources { cpu: self.max_cpu, memory: self.max_memory, gpus: self.gpus };
        let mut queues = BTreeMap::new();
        for (name, limits) in self.queues {
            if queues.insert(name.clone(), limits).is_some() {
                return Err(BadSetting::QueueTwice(name));
            }
        }
        config.queues = queues;
        Ok(())
    }
}

fn processors(text: &str) -> Result<u64, String> {
    let is_some = millis(text).filter(|millis| *millis > 0);
    is_some.ok_or_else(|| format!("`{text}` is no number of processors, such as 4, 0.5 or 500m"))
}

fn device(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.chars().all(|next| next.is_ascii_alphanumeric() || "-_:./".contains(next));
    is_name.then(|| text.to_owned()).ok_or_else(|| format!("`{text}` is no name of a device, such as 0 or GPU-5f3c"))
}

fn memory(text: &str) -> Result<u64, String> {
    quantity(text).ok_or_else(|| format!("`{text}` is no number of bytes, such as 512Mi or 2G"))
}

/// A name and pairs of keys and values, with blanks between them.
fn queue(text: &str) -> Result<Queue, String> {
    let mut words = text.split_whitespace();
    let name = words.next().ok_or_else(|| "a queue has a name".to_owned())?;
    check_queue_name(name).map_err(|error| error.to_string())?;
    let mut limits = QueueLimits::default();
    for word in words {
        let (key, value) =
            word.split_once('=').ok_or_else(|| format!("`{name}`: `{word}` is not of the form key=value"))?;
        set(&mut limits, key, value).map_err(|error| format!("`{name}`: `{key}`: {error}"))?;
    }
    Ok((name.to_owned(), limits))
}

fn set(limits: &mut QueueLimits, key: &str, value: &str) -> Result<(), String> {
    let count = || {
        let count = value.parse().ok().filter(|count: &u32| *count > 0);
        count.map(Some).ok_or_else(|| format!("`{value}` is no number from 1 on"))
    };
    match key {
        "concurrency" => limits.concurrency = count()?,
        "concurrency_per_project" => limits.concurrency_per_project = count()?,
        "concurrency_per_key" => limits.concurrency_per_key = count()?,
        "depth" => limits.depth = count()?,
        "priority" => limits.priority = value.parse().map_err(|_| format!("`{value}` is no whole number"))?,
        "rate" => limits.rate = Some(value.parse().map_err(|error: spanwise_server::NotARate| error.to_string())?),
        "cpu" => limits.cpu = Some(processors(value)?),
        "memory" => limits.memory = Some(memory(value)?),
        _ => return Err(format!("it is none of {}", KEYS.join(", "))),
    }
    Ok(())
}

const KEYS: [&str; 8] =
    ["concurrency", "concurrency_per_project", "concurrency_per_key", "depth", "priority", "rate", "cpu", "memory"];

/// The tables of a file as the argument has them.
pub(super) fn text_of(queues: &toml::Table) -> Result<String, String> {
    let queue = |(name, limits): (&String, &toml::Value)| {
        check_queue_name(name).map_err(|error| format!("`queues`: {error}"))?;
        let limits = limits.as_table().ok_or_else(|| format!("`queues.{name}` is a table"))?;
        let pairs = limits.iter().map(|(key, value)| match value {
            toml::Value::String(text) if !text.contains([' ', ',']) => Ok(format!("{key}={text}")),
            toml::Value::Integer(number) => Ok(format!("{key}={number}")),
            toml::Value::Float(number) => Ok(format!("{key}={number}")),
            other => Err(format!("`queues.{name}.{key}`: `{other}` is no number and no text of one word")),
        });
        let pairs = pairs.collect::<Result<Vec<_>, _>>()?;
        Ok([vec![name.clone()], pairs].concat().join(" "))
    };
    Ok(queues.iter().map(queue).collect::<Result<Vec<_>, String>>()?.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s14_7_a_queue_is_a_name_and_its_limits() {
        let text = "gpu concurrency=2 depth=1000 priority=-3 rate=100/m cpu=0.5 memory=8Gi concurrency_per_key=1";
        let (name, limits) = queue(text).unwrap();
        let expected = QueueLimits {
            concurrency: Some(2),
            depth: Some(1000),
            priority: -3,
            rate: Some("100/m".parse().unwrap()),
            cpu: Some(500),
            memory: Some(8 << 30),
            concurrency_per_key: Some(1),
            ..QueueLimits::default()
        };
        assert_eq!((name.as_str(), limits), ("gpu", expected));
        assert_eq!(queue("etl").unwrap().1, QueueLimits::default());
        for (wrong, named) in [
            ("", "a name"),
            ("server", "`server`"),
            ("a/b", "`a/b`"),
            ("gpu 2", "`2`"),
            ("gpu concurrency=0", "`concurrency`: `0`"),
            ("gpu depth=-1", "`depth`: `-1`"),
            ("gpu priority=high", "`priority`: `high`"),
            ("gpu rate=fast", "`rate`: `fast`"),
            ("gpu cpu=0", "`cpu`: `0`"),
            ("gpu memory=much", "`memory`: `much`"),
            ("gpu speed=1", "`speed`: it is none of concurrency"),
        ] {
            let refused = queue(wrong).unwrap_err();
            assert!(refused.contains(named), "{wrong}: {refused}");
        }
    }

    #[test]
    fn s14_7_the_tables_of_a_file_say_the_same() {
        let file: toml::Table = toml::from_str("[gpu]\nconcurrency = 2\nrate = \"100/m\"\ncpu = 0.5\n[etl]\n").unwrap();
        assert_eq!(text_of(&file).unwrap(), "etl,gpu concurrency=2 cpu=0.5 rate=100/m");
        for (wrong, named) in [
            ("gpu = 2", "`queues.gpu` is a table"),
            ("[\"a b\"]", "`a b`"),
            ("[gpu]\nrate = \"1/m depth=2\"", "`queues.gpu.rate`"),
            ("[gpu]\ndepth = [1]", "`queues.gpu.depth`"),
        ] {
            let refused = text_of(&toml::from_str(wrong).unwrap()).unwrap_err();
            assert!(refused.contains(named), "{wrong}: {refused}");
        }
    }
}
