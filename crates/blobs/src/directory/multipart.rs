//! Multipart uploads: parts that arrive in any order and are joined to one blob at the end. All of it is on the disk, so an upload
//! outlives a restart of the server.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;

use super::read::OpenBlob;
use super::{Directory, UPLOADS};
use crate::{Announced, BlobUri, Body, Error, Mode, Object, Part, Uploads};

/// The file of an upload that holds the key of its blob.
const TARGET: &str = "key";

#[async_trait]
impl Uploads for Directory {
    async fn begin_upload(&self, uri: &BlobUri) -> Result<String, Error> {
        let id = random_id().map_err(|error| self.failed("begin a multipart upload of", uri, error))?;
        let key = Bytes::copy_from_slice(uri.key().as_bytes());
        let content = stream::iter([Ok::<_, io::Error>(key)]);
        let staged = self.stage(&uri.to_string(), content, &Announced::default()).await?;
        let target = StorePath::from_iter([UPLOADS, &id, TARGET]);
        let done = self.inner.store.rename(&staged.path, &target).await;
        done.map_err(|error| self.failed("begin a multipart upload of", uri, error))?;
        Ok(id)
    }

    async fn put_part(
        &self,
        uri: &BlobUri,
        id: &str,
        number: u32,
        body: Body<'_>,
        announced: &Announced,
    ) -> Result<String, Error> {
        self.check_upload(uri, id).await?;
        let name = format!("{uri} part {number}");
        let staged = self.stage(&name, body, announced).await?;
        let done = self.inner.store.rename(&staged.path, &part_path(id, number)).await;
        done.map_err(|error| self.failed("store", &name, error))?;
        let part = self.open_part(id, number).await?;
        Ok(part.object.etag)
    }

    async fn complete_upload(&self, uri: &BlobUri, id: &str, parts: Vec<Part>, mode: Mode) -> Result<Object, Error> {
        self.check_upload(uri, id).await?;
        for part in &parts {
            let stored = self.open_part(id, part.number).await?;
            if part.etag.as_ref().is_some_and(|etag| *etag != stored.object.etag) {
                return Err(Error::BadPart { id: id.to_owned(), number: part.number });
            }
        }
        let body = self.clone().joined(uri.to_string(), id.to_owned(), parts);
        let staged = self.stage(&uri.to_string(), body, &Announced::default()).await?;
        let object = self.publish(&staged, uri, mode).await?;
        if let Err(error) = self.remove_upload(uri, id).await {
            // The blob is there, and that is what was asked for; the parts go when the upload's time is over.
            tracing::warn!(error = &error as &dyn std::error::Error, "the parts of a completed upload stay");
        }
        Ok(object)
    }

    async fn abort_upload(&self, uri: &BlobUri, id: &str) -> Result<(), Error> {
        self.check_upload(uri, id).await?;
        self.remove_upload(uri, id).await
    }
}

impl Directory {
    /// The contents of parts one after the other.
    fn joined(self, name: String, id: String, parts: Vec<Part>) -> BoxStream<'static, Result<Bytes, Error>> {
        let open = move |part: Part| {
            let (directory, name, id) = (self.clone(), name.clone(), id.clone());
            async move {
                let part = directory.open_part(&id, part.number).await?;
                let size = part.object.size;
                let failed = move |error| directory.failed("read a part of", &name, error);
                Ok::<_, Error>(part.read(0..size).map_err(failed))
            }
        };
        stream::iter(parts).then(open).try_flatten().boxed()
    }

    async fn remove_upload(&self, uri: &BlobUri, id: &str) -> Result<(), Error> {
        let directory = self.inner.directory.join(UPLOADS).join(id);
        let name = format!("the multipart upload of {uri}");
        self.blocking("remove", name, move || std::fs::remove_dir_all(directory)).await
    }

    /// An id comes from outside: only one that was given out leads to a directory.
    async fn check_upload(&self, uri: &BlobUri, id: &str) -> Result<(), Error> {
        let no_upload = || Error::NoUpload { uri: uri.clone(), id: id.to_owned() };
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(no_upload());
        }
        let target = self.inner.directory.join(UPLOADS).join(id).join(TARGET);
        let key = tokio::fs::read(target).await.map_err(|_| no_upload())?;
        if key == uri.key().as_bytes() { Ok(()) } else { Err(no_upload()) }
    }

    async fn open_part(&self, id: &str, number: u32) -> Result<OpenBlob, Error> {
        let found = self.open_path(&part_path(id, number)).await?;
        found.ok_or_else(|| Error::BadPart { id: id.to_owned(), number })
    }
}

fn part_path(id: &str, number: u32) -> StorePath {
    StorePath::from_iter([UPLOADS, id, &number.to_string()])
}

/// Not to be guessed: who knows the id of an upload can add to it.
fn random_id() -> io::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(HEXLOWER.encode(&bytes))
}
