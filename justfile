# The menu; `just` lists it.
default:
    @just --list --unsorted

# Format and lints, warnings denied.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Every test.
test:
    cargo test --workspace

# What the overhead is, as ratios in one run.
bench:
    cargo bench -p spanwise-benches

# A traced workflow, live, then its trace as one tree.
demo:
    cargo run --release -- demo

# Flyte's messages, generated anew from the .proto files.
gen:
    SPANWISE_UPDATE=1 cargo test -p spanwise-proto generated

# The messages of the attributes, written anew: look at the difference.
messages:
    TRYBUILD=overwrite cargo test -p spanwise --test it compile::

# Crash tests alone, with what they measure.
crash:
    cargo test -p spanwise-e2e --test it crash:: -- --nocapture
