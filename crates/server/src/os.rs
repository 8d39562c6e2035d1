//! What each system has in its own way: whose a socket is.
//!
//! `linux` asks the kernel. `portable` has nobody to ask, and whoever wants to know users apart has to say that they are not.
//! `--cfg spanwise_portable` chooses it on Linux too, as it does for processes.

#[cfg(all(target_os = "linux", not(spanwise_portable)))]
mod linux;
#[cfg(not(all(target_os = "linux", not(spanwise_portable))))]
mod portable;

#[cfg(all(target_os = "linux", not(spanwise_portable)))]
pub(crate) use linux::Sockets;
#[cfg(not(all(target_os = "linux", not(spanwise_portable))))]
pub(crate) use portable::Sockets;

/// The owner of a socket, and its inode: none (0) for one that no process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) inode: u64,
}
