//! Linux tells whose a socket is: by `sock_diag`, one message for one socket, or by the tables in `/proc/net`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with};

use super::Owner;

/// A way to ask about sockets.
#[derive(Debug)]
pub(crate) enum Sockets {
    /// `sock_diag`: one question about one socket.
    Diag(Mutex<Diag>),
    /// The tables in `/proc/net`, where that is not to be had.
    Tables,
}

/// A socket of `sock_diag`, and the number of the last question.
#[derive(Debug)]
pub(crate) struct Diag {
    socket: OwnedFd,
    sequence: u32,
}

impl Sockets {
    /// The ways there are, the better one first.
    pub(crate) fn ways() -> impl Iterator<Item = Sockets> {
        let diag = Diag::open().ok().map(|diag| Sockets::Diag(Mutex::new(diag)));
        diag.into_iter().chain([Sockets::Tables])
    }

    /// False if an answer may take a while: the tables have every socket of the machine.
    pub(crate) fn are_quick(&self) -> bool {
        matches!(self, Sockets::Diag(_))
    }

    /// The owner of the socket that is bound to `from` and connected to `to`; none if there is no such socket.
    ///
    /// # Errors
    /// If the kernel does not answer.
    pub(crate) fn owner(&self, from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        match self {
            Sockets::Diag(diag) => diag.lock().unwrap_or_else(PoisonError::into_inner).ask(from, to),
            Sockets::Tables => look_up(from, to),
        }
    }
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
        Ok(Diag { socket: netlink_socket()?, sequence: 0 })
    }

    /// Asks one question. After one that went wrong nothing of it is left for the next one.
    fn ask(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        let answer = self.answer(from, to);
        if answer.is_err() {
            *self = Diag { socket: netlink_socket()?, sequence: self.sequence };
        }
        answer
    }

    fn answer(&mut self, from: SocketAddr, to: SocketAddr) -> io::Result<Option<Owner>> {
        self.sequence = self.sequence.wrapping_add(1);
        send(&self.socket, &question(self.sequence, from, to), SendFlags::empty())?;
        let mut answer = [0; 1024];
        loop {
            // The kernel answers before it returns from the question.
            let (length, _) = recv(&self.socket, &mut answer, RecvFlags::DONTWAIT)?;
            let answer = &answer[..length.min(1024)];
            // The answer to an earlier question is about another connection.
            if answer.get(SEQUENCE..SEQUENCE + 4) == Some(&self.sequence.to_ne_bytes()[..]) {
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
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn an_answer_that_nobody_has_taken_is_not_the_next_ones() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let local = server.local_addr().unwrap();
        let mut diag = Diag::open().unwrap();
        let entry = diag.ask(peer, local).unwrap().unwrap();
        assert_ne!(entry.inode, 0);
        // About a socket that is not there.
        let other = "127.0.0.1:1".parse().unwrap();
        send(&diag.socket, &question(diag.sequence, other, local), SendFlags::empty()).unwrap();
        assert_eq!(diag.ask(peer, local).unwrap(), Some(entry));
        assert_eq!(diag.ask(other, local).unwrap(), None);
        // A socket that is of no use is replaced.
        diag.socket = client.into();
        assert!(diag.ask(peer, local).is_err());
        assert!(diag.ask(other, local).unwrap().is_none());
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
