//! The control plane: Flyte 2's API on one port, and tasks as processes of this machine.

pub mod process;
