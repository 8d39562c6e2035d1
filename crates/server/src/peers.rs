//! Whose program is at the other end of a connection of this machine.
//!
//! There is no login, and every user of a machine reaches its loopback addresses. The kernel knows whose socket is at the other end,
//! so that the clients of one user need no setting, and those of the others are refused.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

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
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// `sock_diag`: one question about one socket.
    Diag(Mutex<Diag>),
    /// The tables in `/proc/net`, where that is not to be had.
    Tables,
}

/// A socket of `sock_diag`, and the number of the last question.
#[derive(Debug)]
struct Diag {
    socket: OwnedFd,
    asked: u32,
}

/// The owner of a socket, and its inode: none for one that no process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    inode: u64,
}

impl Peers {
    /// None where the system cannot tell, as a connection to itself shows.
    pub(crate) fn new() -> Option<Peers> {
        let own = rustix::process::geteuid().as_raw();
        let diag = Diag::open().ok().map(|diag| Way::Diag(Mutex::new(diag)));
        diag.into_iter().chain([Way::Tables]).map(|way| Peers { own, way }).find(Peers::knows_itself)
    }

    fn knows_itself(&self) -> bool {
        let look = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let client = TcpStream::connect(listener.local_addr()?)?;
            self.owner(client.local_addr()?, client.peer_addr()?)
        };
        look().ok().flatten().is_some_and(|owner| owner.uid == self.own && owner.inode != 0)
    }

    /// False if an answer may take a while: the tables have every socket of the machine.
    pub(crate) fn is_quick(&self) -> bool {
        matches!(self.way, Way::Diag(_))
    }

    /// Who has the other end of a connection that was accepted.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub(crate) fn of(&self, peer: SocketAddr, local: SocketAddr) -> io::Result<Peer> {
        Ok(match self.owner(canonical(peer), canonical(local))? {
            None => Peer::Unlisted,
            // A socket that its process has closed is listed as root's.
            Some(Owner { inode: 0, .. }) => Peer::Gone,
            Some(Owner { uid, .. }) if uid == self.own || uid == 0 => Peer::Admitted,
            Some(Owner { uid, .. }) => Peer::Other(uid),
        })
    }

    /// The owner of the socket that is bound to `from` and connected to `to`.
    fn owner(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        match &self.way {
            Way::Diag(diag) => diag.lock().unwrap_or_else(PoisonError::into_inner).ask(from, to),
            Way::Tables => look_up(from, to),
        }
    }
}

/// An IPv4 address that an IPv6 socket shows in its own form.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn netlink_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?)
}

const HEADER: usize = 16;
/// Where `nlmsg_seq` stands.
const SEQUENCE: usize = 8;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const TCP: u8 = 6;
/// Where `idiag_uid` and `idiag_inode` stand in an `inet_diag_msg`.
const UID: usize = HEADER + 64;
const INODE: usize = UID + 4;

/// One question: `struct nlmsghdr` and `struct inet_diag_req_v2`, see sock_diag(7).
fn question(number: u32, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let family = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut message = Vec::with_capacity(72);
    message.extend(72u32.to_ne_bytes());
    message.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend(NLM_F_REQUEST.to_ne_bytes());
    message.extend(number.to_ne_bytes());
    message.extend([0; 4]);
    message.extend([family.as_raw() as u8, TCP, 0, 0]);
    message.extend(u32::MAX.to_ne_bytes());
    message.extend(from.port().to_be_bytes());
    message.extend(to.port().to_be_bytes());
    for address in [from.ip(), to.ip()] {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        message.extend_from_slice(&octets);
        message.resize(message.len() + 16 - octets.len(), 0);
    }
    // Any interface, any cookie.
    message.extend([0; 4]);
    message.extend([u8::MAX; 8]);
    message
}

impl Diag {
    fn open() -> io::Result<Diag> {
        Ok(Diag { socket: netlink_socket()?, asked: 0 })
    }

    /// Asks one question. After one that went wrong nothing of it is left for the next one.
    fn ask(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        let answer = self.answer(from, to);
        if answer.is_err() {
            *self = Diag { socket: netlink_socket()?, asked: self.asked };
        }
        answer
    }

    fn answer(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        self.asked = self.asked.wrapping_add(1);
        send(&self.socket, &question(self.asked, from, to), SendFlags::empty())?;
        let mut answer = [0; 1024];
        loop {
            // The kernel answers before it returns from the question.
            let (length, _) = recv(&self.socket, &mut answer, RecvFlags::DONTWAIT)?;
            let answer = &answer[..length.min(1024)];
            // The answer to an earlier question is about another connection.
            if answer.get(SEQUENCE..SEQUENCE + 4) == Some(&self.asked.to_ne_bytes()[..]) {
                return understood(answer);
            }
        }
    }
}

fn understood(answer: &[u8]) -> io::Result<Option<Owner>> {
    let number = |at: usize| answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_ne_bytes);
    let kind = answer.get(4..6).and_then(|bytes| bytes.try_into().ok()).map(u16::from_ne_bytes);
    match (kind, number(UID), number(INODE)) {
        (Some(SOCK_DIAG_BY_FAMILY), Some(uid), Some(inode)) => Ok(Some(Owner { uid, inode: inode.into() })),
        (Some(NLMSG_ERROR), ..) => {
            let code = number(HEADER).map_or(0, |code| code.cast_signed().wrapping_neg());
            let error = io::Error::from_raw_os_error(code);
            if error.kind() == io::ErrorKind::NotFound { Ok(None) } else { Err(error) }
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "sock_diag answers what is no answer")),
    }
}

/// Reads the tables. A socket for IPv6 that speaks IPv4 is in the other one.
fn look_up(from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
    let mut tables = vec![("/proc/net/tcp6", in_table(from, true), in_table(to, true))];
    if from.is_ipv4() {
        tables.insert(0, ("/proc/net/tcp", in_table(from, false), in_table(to, false)));
    }
    for (table, from, to) in tables {
        match std::fs::read_to_string(table) {
            Ok(text) => {
                if let Some(owner) = text.lines().find_map(|line| entry(line, &from, &to)) {
                    return Ok(Some(owner));
                }
            }
            // A machine without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// An address as the tables write it: words in the order of the machine.
fn in_table(address: SocketAddr, as_v6: bool) -> String {
    let octets = match address.ip() {
        IpAddr::V4(ip) if as_v6 => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words: String = octets
        .chunks_exact(4)
        .map(|word| format!("{:08X}", u32::from_ne_bytes([word[0], word[1], word[2], word[3]])))
        .collect();
    format!("{words}:{:04X}", address.port())
}

fn entry(line: &str, from: &str, to: &str) -> Option<Owner> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != from || words.next()? != to {
        return None;
    }
    // State, queues, timer, retransmissions; then whose it is, a timeout, and the inode.
    let uid = words.nth(4)?.parse().ok()?;
    Some(Owner { uid, inode: words.nth(1)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> [Peers; 2] {
        let own = rustix::process::geteuid().as_raw();
        let diag = Way::Diag(Mutex::new(Diag::open().unwrap()));
        [diag, Way::Tables].map(|way| Peers { own, way })
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
                let strict = Peers { own: peers.own + 1, way: peers.way };
                let expected = if peers.own == 0 { Peer::Admitted } else { Peer::Other(peers.own) };
                assert_eq!(strict.of(peer, local).unwrap(), expected, "{address} {strict:?}");
                drop(client);
                assert_eq!(strict.of(peer, local).unwrap(), Peer::Gone, "{address} {strict:?}");
                assert_eq!(strict.of("127.0.0.1:1".parse().unwrap(), local).ok(), Some(Peer::Unlisted));
            }
        }
    }

    #[test]
    fn an_answer_that_nobody_has_taken_is_not_the_next_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let local = server.local_addr().unwrap();
        let mut diag = Diag::open().unwrap();
        let known = diag.ask(peer, local).unwrap().unwrap();
        assert_ne!(known.inode, 0);
        // About a socket that is not there.
        let other = "127.0.0.1:1".parse().unwrap();
        send(&diag.socket, &question(diag.asked, other, local), SendFlags::empty()).unwrap();
        assert_eq!(diag.ask(peer, local).unwrap(), Some(known));
        assert_eq!(diag.ask(other, local).unwrap(), None);
        // A socket that is of no use is replaced.
        diag.socket = client.into();
        assert!(diag.ask(peer, local).is_err());
        assert!(diag.ask(other, local).unwrap().is_none());
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

    #[test]
    fn a_line_of_a_table_is_understood() {
        let line =
            "   1: 0100007F:52EE 0100007F:2189 01 00000000:00000000 00:00000000 00000000  1000        0 30989 1 x";
        assert_eq!(entry(line, "0100007F:52EE", "0100007F:2189"), Some(Owner { uid: 1000, inode: 30989 }));
        assert_eq!(entry(line, "0100007F:2189", "0100007F:52EE"), None);
        if cfg!(target_endian = "little") {
            assert_eq!(in_table("127.0.0.1:8585".parse().unwrap(), false), "0100007F:2189");
            let mapped = in_table("127.0.0.1:8585".parse().unwrap(), true);
            assert_eq!(mapped, "0000000000000000FFFF00000100007F:2189");
            assert_eq!(in_table("[::1]:8585".parse().unwrap(), true), "00000000000000000000000001000000:2189");
        }
    }
}
