//! Fields that are no values, and a value that serde does not know.

use serde::{Deserialize, Serialize};
use spanwise::Value;

#[derive(Serialize, Deserialize)]
struct Inner {
    id: u64,
}

#[derive(Serialize, Deserialize, Value)]
struct Outer {
    inner: Inner,
}

#[derive(Value)]
struct WithoutSerde {
    id: u64,
}

fn main() {}
