//! Types that are no values.

use serde::{Deserialize, Serialize};
use spanwise::Value;

#[derive(Serialize, Deserialize, Value)]
struct Tuple(u64, String);

#[derive(Serialize, Deserialize, Value)]
struct Unit;

#[derive(Serialize, Deserialize, Value)]
struct Generic<T> {
    item: T,
}

#[derive(Serialize, Deserialize, Value)]
enum Empty {}

#[derive(Clone, Copy, Value)]
union Bits {
    whole: u64,
    half: u32,
}

fn main() {}
