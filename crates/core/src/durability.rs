//! How safe a commit is: whether it outlives a crash of the process only, or also one of the machine.

/// What a commit survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The death of the process (`kill -9`); a power cut may take the last commits, never the order.
    #[default]
    Process,
    /// A power cut too: each commit waits for the disk.
    Disk,
}
