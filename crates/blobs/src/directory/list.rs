//! Listing blobs in S3's order, a page at a time, without visiting what lies before or after the page.
//!
//! The file system gives the names of a directory in no order. Each directory is sorted on its own, a sub-directory under its name with
//! `/`: what this walk meets is then sorted by whole keys.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::{Directory, failed, read};
use crate::uri::{decode, encode};
use crate::{BUCKET, BlobUri, Error, Listed, Page, Query};

impl Directory {
    pub(super) async fn page(&self, query: Query) -> Result<Page, Error> {
        let root = self.inner.directory.join(BUCKET);
        let name = format!("s3://{BUCKET}/{}", query.prefix);
        self.blocking("list", name, move || walk(&root, query)).await
    }
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
            Ok(metadata) => read::object(&metadata)?,
            Err(error) if failed::is_absent(&error) => return Ok(ControlFlow::Continue(())),
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
        self.last = Query::after_all_of(&prefix);
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
        Err(error) if failed::is_absent(&error) => return Ok(Vec::new()),
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
