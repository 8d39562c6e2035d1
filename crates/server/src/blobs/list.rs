//! Listing blobs in S3's order, a page at a time, without visiting what lies before or after the page.
//!
//! The file system gives the names of a directory in no order. Each directory is sorted on its own, a sub-directory under its name with
//! `/`: what this walk meets is then sorted by whole keys.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::uri::{decode, encode};
use super::{BUCKET, BlobUri, Blobs, Error, Object, error};

/// A blob in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub uri: BlobUri,
    /// What is known of it.
    pub object: Object,
}

/// Which blobs to list.
#[derive(Debug, Clone, Default)]
pub(super) struct Query {
    /// What the keys begin with; any text.
    pub(super) prefix: String,
    /// Only keys after this one.
    pub(super) after: String,
    /// Whether keys with a `/` behind the prefix are folded into what they have in common up to that `/`.
    pub(super) fold: bool,
    /// How many blobs and folded prefixes at most.
    pub(super) limit: usize,
}

#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) blobs: Vec<Listed>,
    pub(super) prefixes: Vec<String>,
    /// Where the next page begins ([`Query::after`]), if there is more.
    pub(super) next: Option<String>,
}

impl Blobs {
    /// All blobs below a name, sorted by their keys; the blob of that very name is not among them.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] if the file system fails.
    pub async fn list(&self, prefix: &BlobUri) -> Result<Vec<Listed>, Error> {
        let prefix = format!("{}/", prefix.key());
        let query = Query { prefix, limit: usize::MAX, ..Query::default() };
        Ok(self.page(query).await?.blobs)
    }

    /// The directories that lie exactly so many levels below one.
    pub(crate) async fn directories(&self, top: &'static str, levels: usize) -> Result<Vec<BlobUri>, Error> {
        let root = self.inner.directory.join(BUCKET).join(top);
        self.blocking("list", format!("s3://{BUCKET}/{top}"), move || {
            let mut level = vec![(format!("{top}/"), root)];
            for _ in 0..levels {
                let mut below = Vec::new();
                for (base, directory) in level {
                    below.extend(entries(&directory, &base)?.into_iter().filter(|(key, _)| key.ends_with('/')));
                }
                level = below;
            }
            Ok(level.iter().filter_map(|(key, _)| BlobUri::from_key(key.trim_end_matches('/')).ok()).collect())
        })
        .await
    }

    pub(super) async fn page(&self, query: Query) -> Result<Page, Error> {
        let root = self.inner.directory.join(BUCKET);
        let name = format!("s3://{BUCKET}/{}", query.prefix);
        self.blocking("list", name, move || walk(&root, query)).await
    }
}

/// Greater than every key that begins with `prefix`, for the last code point of Unicode stands for no character.
pub(super) fn after_all_of(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

fn walk(root: &Path, query: Query) -> io::Result<Page> {
    let mut page = Page::default();
    if query.limit == 0 {
        return Ok(page);
    }
    let base = query.prefix.rfind('/').map_or("", |end| &query.prefix[..=end]).to_owned();
    if base.is_empty()
        || BlobUri::from_key(base.trim_end_matches('/')).is_ok_and(|uri| uri.key().len() + 1 == base.len())
    {
        let directory = base.split_terminator('/').fold(root.to_owned(), |path, segment| path.join(encode(segment)));
        let _ = Walk { query, page: &mut page, last: String::new() }.visit(&directory, &base)?;
    }
    Ok(page)
}

struct Walk<'a> {
    query: Query,
    page: &'a mut Page,
    /// What was listed last, as a place to go on from.
    last: String,
}

impl Walk<'_> {
    /// Lists what lies in a directory whose keys begin with `base`; breaks when the page is full.
    fn visit(&mut self, directory: &Path, base: &str) -> io::Result<ControlFlow<()>> {
        for (key, path) in entries(directory, base)? {
            let is_prefix = key.ends_with('/');
            if !key.starts_with(&self.query.prefix) || !self.reaches(&key, is_prefix) {
                continue;
            }
            let flow = match is_prefix {
                false => self.blob(key, &path)?,
                true if self.query.fold => self.folded(key, &path)?,
                true => self.visit(&path, &key)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether something at a key, or below it, comes after the place to go on from.
    fn reaches(&self, key: &str, is_prefix: bool) -> bool {
        let after = self.query.after.as_str();
        key > after || (is_prefix && after.starts_with(key))
    }

    fn blob(&mut self, key: String, path: &Path) -> io::Result<ControlFlow<()>> {
        let object = match path.metadata() {
            Ok(metadata) => Object::of(&metadata)?,
            Err(error) if error::is_absent(&error) => return Ok(ControlFlow::Continue(())),
            Err(error) => return Err(error),
        };
        let Ok(uri) = BlobUri::from_key(&key) else { return Ok(ControlFlow::Continue(())) };
        if self.is_full() {
            return Ok(ControlFlow::Break(()));
        }
        self.page.blobs.push(Listed { uri, object });
        self.last = key;
        Ok(ControlFlow::Continue(()))
    }

    fn folded(&mut self, prefix: String, path: &Path) -> io::Result<ControlFlow<()>> {
        let query = Query { prefix: prefix.clone(), after: self.query.after.clone(), fold: false, limit: 1 };
        let mut first = Page::default();
        let _ = Walk { query, page: &mut first, last: String::new() }.visit(path, &prefix)?;
        if first.blobs.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        if self.is_full() {
            return Ok(ControlFlow::Break(()));
        }
        self.last = after_all_of(&prefix);
        self.page.prefixes.push(prefix);
        Ok(ControlFlow::Continue(()))
    }

    /// Called with one more at hand, so a full page is known to have a successor.
    fn is_full(&mut self) -> bool {
        let full = self.page.blobs.len() + self.page.prefixes.len() >= self.query.limit;
        if full {
            self.page.next = Some(self.last.clone());
        }
        full
    }
}

/// What lies in a directory, sorted by key; a directory's key ends with `/`. A directory that is not there is empty.
fn entries(directory: &Path, base: &str) -> io::Result<Vec<(String, PathBuf)>> {
    let found = match std::fs::read_dir(directory) {
        Ok(found) => found,
        Err(error) if error::is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for entry in found {
        let entry = entry?;
        let Some(segment) = entry.file_name().to_str().and_then(decode) else { continue };
        let slash = if entry.file_type()?.is_dir() { "/" } else { "" };
        entries.push((format!("{base}{segment}{slash}"), entry.path()));
    }
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests;
