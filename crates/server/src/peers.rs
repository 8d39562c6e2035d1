//! Whose program is at the other end of a connection of this machine.
//!
//! There is no login, and every user of a machine reaches its loopback addresses. The kernel knows whose socket is at the other end,
//! so that the clients of one user need no setting, and those of the others are refused. Not every system tells what its kernel knows.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::str::FromStr;

use crate::os::{Owner, Sockets};

/// Whose connections a server takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Users {
    /// Those of the user that the server runs as, and of root, who may do everything anyway.
    #[default]
    Own,
    /// Those of every user of this machine.
    All,
}

impl FromStr for Users {
    type Err = String;

    fn from_str(text: &str) -> Result<Users, String> {
        match text {
            "own" => Ok(Users::Own),
            "all" => Ok(Users::All),
            other => Err(format!("`{other}` is neither own nor all")),
        }
    }
}

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Users::Own => "own",
            Users::All => "all",
        })
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The server's own user, or root.
    Admitted,
    /// Another user.
    Other(u32),
    /// Nobody any more: the socket was closed. Whose it was is not known, so nothing that it has sent is looked at.
    Gone,
    /// Somebody whose socket this system does not list, as in another network namespace, or a socket that is closed for good.
    Unlisted,
}

/// Asks the kernel about sockets.
#[derive(Debug)]
pub(crate) struct Peers {
    own: u32,
    sockets: Sockets,
}

impl Peers {
    /// None where the system cannot tell, as a connection to itself shows.
    pub(crate) fn new() -> Option<Peers> {
        let own = rustix::process::geteuid().as_raw();
        Sockets::ways().map(|sockets| Peers { own, sockets }).find(Peers::knows_itself)
    }

    fn knows_itself(&self) -> bool {
        let look = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let client = TcpStream::connect(listener.local_addr()?)?;
            self.sockets.owner(client.local_addr()?, client.peer_addr()?)
        };
        look().ok().flatten().is_some_and(|owner| owner.uid == self.own && owner.inode != 0)
    }

    /// False if an answer may take a while: the tables have every socket of the machine.
    pub(crate) fn is_quick(&self) -> bool {
        self.sockets.are_quick()
    }

    /// Who has the other end of a connection that was accepted.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub(crate) fn of(&self, peer: SocketAddr, local: SocketAddr) -> io::Result<Peer> {
        Ok(match self.sockets.owner(canonical(peer), canonical(local))? {
            None => Peer::Unlisted,
            // A socket that its process has closed is listed as root's.
            Some(Owner { inode: 0, .. }) => Peer::Gone,
            Some(Owner { uid, .. }) if uid == self.own || uid == 0 => Peer::Admitted,
            Some(Owner { uid, .. }) => Peer::Other(uid),
        })
    }
}

/// An IPv4 address that an IPv6 socket shows in its own form.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(all(target_os = "linux", not(spanwise_portable)))]
#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketType};

    use super::*;

    fn both() -> [Peers; 2] {
        let own = rustix::process::geteuid().as_raw();
        let both: Vec<Peers> = Sockets::ways().map(|sockets| Peers { own, sockets }).collect();
        both.try_into().unwrap()
    }

    #[test]
    fn both_ways_know_an_open_socket_and_one_that_is_closed() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            for peers in both() {
                let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                let (server, peer) = listener.accept().unwrap();
                let local = server.local_addr().unwrap();
                assert_eq!(peers.of(peer, local).unwrap(), Peer::Admitted, "{address} {peers:?}");
                let strict = Peers { own: peers.own + 1, sockets: peers.sockets };
                let expected = if peers.own == 0 { Peer::Admitted } else { Peer::Other(peers.own) };
                assert_eq!(strict.of(peer, local).unwrap(), expected, "{address} {strict:?}");
                drop(client);
                assert_eq!(strict.of(peer, local).unwrap(), Peer::Gone, "{address} {strict:?}");
                assert_eq!(strict.of("127.0.0.1:1".parse().unwrap(), local).ok(), Some(Peer::Unlisted));
            }
        }
    }

    #[test]
    fn an_ipv4_client_of_an_ipv6_socket_is_known() {
        use std::os::fd::AsFd as _;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Ok(client) = rustix::net::socket(AddressFamily::INET6, SocketType::STREAM, None) else { return };
        let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), port);
        rustix::net::connect(client.as_fd(), &mapped).unwrap();
        let (server, peer) = listener.accept().unwrap();
        for peers in both() {
            assert_eq!(peers.of(peer, server.local_addr().unwrap()).unwrap(), Peer::Admitted, "{peers:?}");
        }
    }
}
