//! Rounds that take turns, and the table that they end in.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::future::Future;
use std::time::{Duration, Instant};

/// The times of one thing, over the rounds, for one unit of work.
pub struct Figure {
    name: &'static str,
    samples: Vec<Duration>,
}

impl Figure {
    /// A thing that has not been measured yet.
    pub fn new(name: &'static str) -> Figure {
        Figure { name, samples: Vec::new() }
    }

    /// Measures once; `units` is how many units of work that is.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn measure<T>(&mut self, units: u32, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let begin = Instant::now();
        let done = work.await?;
        self.add(begin.elapsed() / units);
        Ok(done)
    }

    /// Adds a time that was measured elsewhere.
    pub fn add(&mut self, sample: Duration) {
        self.samples.push(sample);
    }

    /// The shortest time: the one that the machine disturbed least.
    pub fn min(&self) -> Duration {
        self.samples.iter().min().copied().unwrap_or_default()
    }

    /// The time in the middle.
    pub fn median(&self) -> Duration {
        let mut sorted = self.samples.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }
}

/// Prints a figure beside its yardstick.
pub fn row(figure: &Figure, yardstick: Option<(&str, &Figure, f64)>) {
    let times = format!("{:>10.2?} {:>10.2?}", figure.min(), figure.median());
    match yardstick {
        None => println!("{:<46} {times}", figure.name),
        Some((name, other, factor)) => {
            let ratio = |own: Duration, other: Duration| own.as_secs_f64() / (other.as_secs_f64() * factor);
            let (min, median) = (ratio(figure.min(), other.min()), ratio(figure.median(), other.median()));
            println!("{:<46} {times}   {min:>5.2}x {median:>5.2}x  {name}", figure.name);
        }
    }
}

/// The head of the table.
pub fn head() {
    println!("{:<46} {:>10} {:>10}   {:>6} {:>6}  of", "", "min", "median", "min", "median");
}
