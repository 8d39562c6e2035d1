//! Inputs and outputs as HTML.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use askama::Template;
use spanwise_blobs::BlobUri;

use crate::blobs::signed::{Right, Signer};
use spanwise_wire::display::Tree;

/// Links last this long at least, and change as seldom.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Makes links to blobs.
#[derive(Clone)]
pub(super) struct Links {
    signer: Signer,
    expires_at: SystemTime,
}

impl Links {
    pub(super) fn new(signer: &Signer) -> Links {
        let lifetimes = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / LIFETIME.as_secs();
        // The same for an hour, so that a page that is loaded again does not differ for nothing.
        let expires_at = UNIX_EPOCH + Duration::from_secs((lifetimes + 2) * LIFETIME.as_secs());
        Links { signer: signer.clone(), expires_at }
    }

    pub(super) fn to(&self, uri: &BlobUri) -> String {
        self.signer.sign(Right::Read, uri, self.expires_at)
    }

    /// A link to a file of this server's blob store.
    fn of(&self, kind: &str, uri: &str) -> Option<String> {
        let file = kind != "dir" && !uri.ends_with('/');
        uri.parse::<BlobUri>().ok().filter(|_| file).map(|uri| self.to(&uri))
    }
}

#[derive(Template)]
#[template(path = "value.html")]
pub(super) struct Value<'a> {
    pub(super) tree: &'a Tree,
    pub(super) links: &'a Links,
}

impl<'a> Value<'a> {
    fn of(&self, tree: &'a Tree) -> Value<'a> {
        Value { tree, links: self.links }
    }

    fn link(&self, kind: &str, uri: &str) -> Option<String> {
        self.links.of(kind, uri)
    }
}
