//! Where an app answers: by a host name of its own, which is an origin of its own for a browser, and by a path of the server, for programs.

use spanwise_wire::apps::{AppDefinition, AppId};
use spanwise_wire::task::digest;

/// The longest label that a host name may have.
const LONGEST_LABEL: usize = 63;

/// What the host names of apps end with. Browsers take every such name for this machine.
const SUFFIX: &str = ".localhost";

/// The host names of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// `name-project-domain`, or what the app asks for as its subdomain, without the suffix.
    label: String,
    /// Its own name elsewhere; empty if it has none.
    cname: String,
}

impl Address {
    pub(crate) fn of(definition: &AppDefinition) -> Address {
        let label = match definition.subdomain.as_str() {
            "" => label(&definition.id),
            wanted => wanted.to_owned(),
        };
        Address { label, cname: definition.cname.clone() }
    }

    /// The names that no other app may have.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let own = format!("{}{SUFFIX}", self.label);
        std::iter::once(own).chain(Some(self.cname.clone()).filter(|name| !name.is_empty())).collect()
    }
}

/// A label that is this app's alone, as long as no app asks for another one's as its subdomain.
fn label(id: &AppId) -> String {
    let AppId { org: _, project, domain, name } = id;
    let plain = format!("{name}-{project}-{domain}").to_ascii_lowercase();
    let is_plain = plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    // Two apps could read the same in a row (`a-b` in `c`, `a` in `b-c`): only names without a hyphen are told apart by it.
    let is_clear = !project.contains('-') && !domain.contains('-');
    if is_plain && is_clear && plain.len() <= LONGEST_LABEL && id.org == spanwise_core::DEFAULT_ORG {
        return plain;
    }
    let whole = format!("{}/{project}/{domain}/{name}", id.org);
    let hash = &digest(whole.as_bytes())[..8];
    let name = &name[..name.len().min(LONGEST_LABEL - hash.len() - 1)];
    format!("{}-{hash}", name.trim_end_matches('-')).to_ascii_lowercase()
}

/// How apps are reached.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    /// `http://localhost:8585`.
    base: String,
    port: u16,
}

impl Addresses {
    pub(crate) fn new(base: &str, port: u16) -> Addresses {
        Addresses { base: base.to_owned(), port }
    }

    /// For programs, which need not find a name below `localhost`.
    pub(crate) fn by_path(&self, id: &AppId) -> String {
        format!("{}{}", self.base, path(id))
    }

    /// For browsers: an origin of its own.
    pub(crate) fn by_host(&self, address: &Address) -> String {
        let host = if address.cname.is_empty() { format!("{}{SUFFIX}", address.label) } else { address.cname.clone() };
        format!("http://{host}:{}", self.port)
    }
}

/// Below which path of the server an app answers to programs.
pub(super) fn path(id: &AppId) -> String {
    let AppId { project, domain, name, .. } = id;
    format!("/apps/{project}/{domain}/{name}")
}

/// The host that an authority names, without its port, if it could be that of an app.
pub(super) fn host(authority: &str) -> Option<String> {
    let host = authority.split(':').next()?.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty() && host != "localhost" && host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('['))
        .then_some(host)
}

/// True for a name that only an app of this server can have.
pub(super) fn is_below_localhost(host: &str) -> bool {
    host.ends_with(SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(org: &str, project: &str, domain: &str, name: &str) -> AppId {
        let [org, project, domain, name] = [org, project, domain, name].map(str::to_owned);
        AppId { org, project, domain, name }
    }

    #[test]
    fn every_app_has_a_label_of_its_own_that_a_host_name_can_have() {
        assert_eq!(label(&id("local", "flytesnacks", "development", "web")), "web-flytesnacks-development");
        let ids = [
            id("local", "c", "d", "a-b"),
            id("local", "b-c", "d", "a"),
            id("local", "b", "c-d", "a"),
            id("other", "c", "d", "a-b"),
            id("local", "C_1", "d", "a-b"),
            id("local", &"p".repeat(60), "d", &"a".repeat(63)),
            id("local", &"p".repeat(60), "e", &"a".repeat(63)),
        ];
        let labels: std::collections::BTreeSet<String> = ids.iter().map(label).collect();
        assert_eq!(labels.len(), ids.len(), "{labels:?}");
        let fits = |label: &String| {
            label.len() <= 63 && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        assert!(labels.iter().all(fits), "{labels:?}");
    }

    #[test]
    fn only_a_name_can_be_the_host_of_an_app() {
        for (authority, name) in
            [("Web-p-d.localhost:1", "web-p-d.localhost"), ("shop.example.com", "shop.example.com")]
        {
            assert_eq!(host(authority).as_deref(), Some(name));
        }
        for none in ["localhost", "LOCALHOST:80", "127.0.0.1:80", "[::1]:80", "", ":80"] {
            assert_eq!(host(none), None, "{none}");
        }
    }
}
