//! Random cron expressions in every time zone, against `croniter` and Python's `zoneinfo`: neither the dates nor the zones are ours.

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use spanwise_core::Timestamp;
use spanwise_core::schedule::{Automation, Schedule};

use crate::python::{oracle_python, programs};

/// Slots that are compared of each expression.
const SLOTS: usize = 6;

/// From 2000 to 2026: what was decided about clocks since then may not be in both databases.
const FROM: u64 = 946_684_800;
const SECONDS: u64 = 820_000_000;

fn specs() -> usize {
    let given = std::env::var("SPANWISE_SCHEDULE_SPECS").ok();
    given.map_or(300, |number| number.parse().expect("SPANWISE_SCHEDULE_SPECS is a number"))
}

/// Numbers that look random and are the same in every run of this test.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    /// A field of numbers from `least` to `most`, in one of the forms that both understand alike: a list that names all of them is `*`
    /// to one and not to the other.
    fn field(&mut self, least: usize, most: usize, names: &[&str]) -> String {
        let count = most - least + 1;
        let value = |random: &mut Random| least + random.below(count);
        match self.below(7) {
            0 | 1 => "*".to_owned(),
            2 => format!("*/{}", 2 + self.below(count / 2)),
            3 => {
                let from = least + self.below(count / 2);
                // A range of one value is all of them to `croniter`.
                format!("{from}-{}", from + 1 + self.below(count / 2 - 1))
            }
            4 => {
                let from = least + self.below(count / 2);
                format!("{from}-{}/{}", most - 1, 2 + self.below(3))
            }
            5 if !names.is_empty() => self.one_of(names).to_owned(),
            5 => value(self).to_string(),
            _ => format!("{},{}", value(self), value(self)),
        }
    }

    fn expression(&mut self) -> String {
        let months = ["jan", "FEB", "Mar", "apr", "oct", "nov", "DEC"];
        let days = ["sun", "MON", "Tue", "fri", "sat"];
        // Hours around the change of clocks come often.
        let hour = if self.below(3) == 0 { self.below(5).to_string() } else { self.field(0, 23, &[]) };
        let (minute, day) = (self.field(0, 59, &[]), self.field(1, 28, &[]));
        format!("{minute} {hour} {day} {} {}", self.field(1, 12, &months), self.field(0, 6, &days))
    }
}

fn ask_oracle(arguments: &[&str], input: &str) -> Vec<Value> {
    let mut command = Command::new(oracle_python());
    command.arg(programs().join("schedule_oracle.py")).args(arguments);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn s11_1_slots_are_those_of_croniter_in_every_zone() {
    let zones: Vec<String> = serde_json::from_value(ask_oracle(&["zones"], "").remove(0)).unwrap();
    assert!(zones.len() > 500, "{zones:?}");
    let mut random = Random(0x5eed_cafe_f00d_0001);
    let offset = random.below(zones.len());
    let questions: Vec<Value> = (0..specs())
        .map(|index| {
            let zone = &zones[(offset + index * 7) % zones.len()];
            let after = FROM + random.below(SECONDS as usize) as u64;
            json!({"expression": random.expression(), "zone": zone, "after": after, "count": SLOTS})
        })
        .collect();
    let input: String = questions.iter().map(|question| format!("{question}\n")).collect();
    let answers = ask_oracle(&[], &input);
    assert_eq!(answers.len(), questions.len());
    let mut problems = Vec::new();
    for (question, expected) in questions.iter().zip(&answers) {
        let text = |key: &str| question[key].as_str().unwrap().to_owned();
        let automation = Automation::Cron { expression: text("expression"), zone: text("zone") };
        let after = Timestamp(question["after"].as_i64().unwrap() * 1_000_000);
        let found = match Schedule::new(&automation, after) {
            Ok(schedule) => {
                let schedule = schedule.unwrap();
                let slots = schedule.between(after, Timestamp(i64::MAX)).take(SLOTS);
                json!(slots.map(|slot| slot.0 / 1_000_000).collect::<Vec<_>>())
            }
            Err(error) => json!(error.to_string()),
        };
        if found != *expected {
            problems.push(format!("{question}: {found} and not {expected}"));
        }
    }
    assert!(
        problems.is_empty(),
        "{} of {}:\n{}",
        problems.len(),
        questions.len(),
        problems[..problems.len().min(20)].join("\n")
    );
}

/// The names that are built in are those of the database.
#[test]
fn every_zone_has_its_name_here() {
    let zones: Vec<String> = serde_json::from_value(ask_oracle(&["zones"], "").remove(0)).unwrap();
    let unknown = |zone: &&String| {
        let automation = Automation::Cron { expression: "@daily".to_owned(), zone: (*zone).clone() };
        Schedule::new(&automation, Timestamp(0)).is_err()
    };
    let unknown: Vec<&String> = zones.iter().filter(unknown).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
