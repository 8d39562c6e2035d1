# The menu; `just` lists it.
default:
    @just --list --unsorted

# Format and lints, warnings denied.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo check
    cargo clippy --package spanwise --no-default-features -- -D warnings
    cargo clippy --package spanwise-server --features fuzzing -- -D warnings

# Every test; installs what they drive, if it may.
test:
    scripts/test

# What needs neither Python nor a browser, in a minute after a build.
quick:
    cargo test --workspace --lib --bins --test it --test tidy -- --skip warm:: --skip environments:: --skip compile:: \
        --skip obstore_ --skip the_stock_sdk_ --skip without_the_pair --skip limits_hold

# What the overhead is, as ratios in one run.
bench:
    cargo bench -p spanwise-benches

# A traced workflow, live, then its trace as one tree.
demo:
    cargo run -- demo

# Flyte's messages, generated anew from the .proto files.
gen:
    SPANWISE_UPDATE=1 cargo test -p spanwise-proto generated

# The messages of the attributes, written anew: look at the difference.
messages:
    TRYBUILD=overwrite cargo test -p spanwise --test it compile::

# One decoder of foreign bytes under libFuzzer, or all of them one after the other. No sanitizer: there is no unsafe code.
fuzz TARGET="requests definitions inputs outputs error names uri token listing msgpack log carrier spans" SECONDS="60":
    #!/usr/bin/env bash
    set -euo pipefail
    cd fuzz
    counters="-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
    export RUSTFLAGS="-Cpasses=sancov-module $counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
    cargo build --release --target "$(rustc -vV | sed -n 's/^host: //p')"
    program=$(find "${CARGO_TARGET_DIR:-target}"/*/release -maxdepth 1 -name spanwise-fuzz)
    for target in {{TARGET}}; do
        mkdir -p "corpus/$target" "artifacts/$target"
        SPANWISE_FUZZ=$target "$program" "corpus/$target" -max_total_time={{SECONDS}} -artifact_prefix="artifacts/$target/" -timeout=10
    done

# A server that is killed, and one whose disk is full, again and again while runs go on: for hours, by hand or at night.
# Needs the right to mount. SPANWISE_SEED repeats what a seed that was printed has done, as far as time permits.
chaos KILLS="200" FULL="20" AWAY="60":
    SPANWISE_CHAOS_KILLS={{KILLS}} SPANWISE_CHAOS_FULL={{FULL}} SPANWISE_CHAOS_AWAY_SECONDS={{AWAY}} \
        cargo test -p spanwise-e2e --test e2e chaos -- --nocapture --test-threads 1

# Schedules against croniter, for as many random expressions in all zones; triggers under as many random kills.
schedules SPECS="10000" SEEDS="10000":
    SPANWISE_SCHEDULE_SPECS={{SPECS}} cargo test -p spanwise-e2e --test e2e schedule_oracle:: -- --nocapture
    SPANWISE_TRIGGER_SEEDS={{SEEDS}} cargo test -p spanwise-core --lib trigger::

# Pools and shares under as many random stories with kills.
admission STORIES="200000":
    SPANWISE_ADMISSION_STORIES={{STORIES}} cargo test -p spanwise-core --lib admission::

# Crash tests alone, with what they measure.
crash:
    cargo test -p spanwise-e2e --test e2e crash:: -- --nocapture

# A server that is away for so many seconds while tasks begin and end, so many times.
away SECONDS="180" TIMES="10":
    SPANWISE_AWAY_SECONDS={{SECONDS}} SPANWISE_AWAY_REPETITIONS={{TIMES}} cargo test -p spanwise-e2e --test e2e away:: -- --nocapture
