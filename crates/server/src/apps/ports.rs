//! Ports of apps. An app is given a free one, and told so; one that listens on the port of its definition all the same has that, if nobody
//! else does.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

/// The ports that apps have or are about to have.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports(Arc<Mutex<HashSet<u16>>>);

/// Ports that no other app is given as long as this is there.
#[derive(Debug)]
pub(super) struct Reserved {
    ports: Ports,
    /// The port that the app is given.
    pub(super) given: u16,
    /// The port of its definition, if it may have it too.
    pub(super) own: Option<u16>,
}

/// Of so many ports that the system chose one is no other app's.
const TRIED: usize = 32;

impl Ports {
    /// Ports for an app whose definition names `wanted`.
    pub(super) fn reserve(&self, wanted: u16) -> io::Result<Reserved> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..TRIED {
            let given = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if given != wanted && is_free(given) && taken.insert(given) {
                let own = (!taken.contains(&wanted) && is_free(wanted)).then_some(wanted);
                taken.extend(own);
                return Ok(Reserved { ports: self.clone(), given, own });
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// Reserves what a process has that an earlier server has started.
    pub(super) fn again(&self, given: u16, own: Option<u16>) -> Reserved {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(own.into_iter().chain([given]));
        Reserved { ports: self.clone(), given, own }
    }
}

/// True if nobody listens on a port of either address on which an app is looked for: what somebody else has there would get its requests.
fn is_free(port: u16) -> bool {
    let is_free = |ip: IpAddr| match TcpListener::bind((ip, port)) {
        Ok(_) => true,
        // A machine may have no such address at all.
        Err(error) => ip.is_ipv6() && error.kind() == io::ErrorKind::AddrNotAvailable,
    };
    is_free(Ipv4Addr::LOCALHOST.into()) && is_free(Ipv6Addr::LOCALHOST.into())
}

impl Reserved {
    /// The ports on which the app may answer.
    pub(super) fn all(&self) -> impl Iterator<Item = u16> + use<> {
        std::iter::once(self.given).chain(self.own)
    }

    /// The app answers on this one: others may have the other.
    pub(super) fn keep(&mut self, port: u16) {
        let other = if port == self.given { self.own.take() } else { None };
        let mut taken = self.ports.0.lock().unwrap_or_else(PoisonError::into_inner);
        other.map(|other| taken.remove(&other));
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut taken = self.ports.0.lock().unwrap_or_else(PoisonError::into_inner);
        for port in self.all() {
            taken.remove(&port);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_apps_never_have_one_port_and_the_second_does_not_get_what_the_first_may_take() {
        let ports = Ports::default();
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let wanted = holder.local_addr().unwrap().port();
        assert_eq!(ports.reserve(wanted).unwrap().own, None, "somebody listens there");
        drop(holder);
        // Nor where it is looked for by the other address; a machine without one has nobody there.
        if let Ok(holder) = TcpListener::bind((Ipv6Addr::LOCALHOST, wanted)) {
            assert_eq!(ports.reserve(wanted).unwrap().own, None, "somebody listens there");
            drop(holder);
        }
        let mut first = ports.reserve(wanted).unwrap();
        let second = ports.reserve(wanted).unwrap();
        assert_eq!((first.own, second.own), (Some(wanted), None));
        assert_ne!(first.given, second.given);
        first.keep(first.given);
        assert_eq!(ports.reserve(wanted).unwrap().own, Some(wanted));
        drop((first, second));
        assert!(ports.0.lock().unwrap().is_empty());
    }
}
