//! The whole of it from outside: programs that are killed, and the state of the repository itself.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops with the reason")]

mod blame;
mod browser;
mod cargo;
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
mod journal;
mod lifecycle;
mod lifecycle_embedded;
mod lifecycle_tls;
mod log;
mod lost_files;
mod placing;
mod python;
mod readme;
mod remote;
mod restart;
mod retention;
mod run_command;
mod second_process;
mod serve;
mod stock_sdk;
mod tap;
mod tidy;
mod workload;
