//! The whole of it from outside: real programs, that are killed too.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod away;
mod blame;
mod browser;
mod chaos;
mod chaos_disk;
mod collector;
mod command_line;
mod crash;
mod dev_server;
mod doors;
mod flyte_config;
mod full_disk;
mod golden;
mod guide;
mod hello;
mod hostile;
mod images;
mod interpreters;
mod interrupted;
mod journal;
mod large_outputs;
mod lifecycle;
mod lifecycle_embedded;
mod lifecycle_tls;
mod log;
mod lost_files;
mod needs;
mod placing;
mod python;
mod readme;
mod remote;
mod restart;
mod retention;
mod run_command;
mod schedule_oracle;
mod second_process;
mod serve;
mod stock_sdk;
mod tap;
mod told;
mod triggers;
mod waiting;
mod workload;

use spanwise_e2e::cargo;
