//! Inputs as files, for a container that is about to start.

use std::io;
use std::path::Path;

use spanwise_blobs::{BlobUri, Blobs};
use spanwise_core::Failure;
use spanwise_wire::shown;
use spanwise_wire::task::container::Entry;

use super::super::trouble::unstored;
use super::system;

/// Makes what is below the directory of inputs, anew if it is there.
pub(super) async fn stage(blobs: &Blobs, directory: &Path, entries: Vec<Entry>) -> Result<(), Failure> {
    let failed = |error: io::Error| system("write the inputs of a container", &error);
    match tokio::fs::remove_dir_all(directory).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    tokio::fs::create_dir_all(directory).await.map_err(failed)?;
    for entry in entries {
        match entry {
            Entry::Directory(path) => tokio::fs::create_dir_all(directory.join(path)).await.map_err(failed)?,
            Entry::File(path, content) => tokio::fs::write(directory.join(path), content).await.map_err(failed)?,
            Entry::Stored { path, uri, is_directory } => {
                let from = own(&path, &uri)?;
                let to = directory.join(&path);
                match is_directory {
                    true => fetch_all(blobs, (&path, &from), &to).await?,
                    false => fetch(blobs, (&path, &from), &to).await?,
                }
            }
        }
    }
    Ok(())
}

/// The name of something in the store of this server.
fn own(path: &str, uri: &str) -> Result<BlobUri, Failure> {
    uri.trim_end_matches('/').parse().map_err(|_| {
        let message = format!(
            "input `{path}` is at `{}`, from where nothing is fetched for a container: only what this server stores is (s3://spanwise/..); have a \
             Python task fetch it and pass it on",
            shown(uri)
        );
        Failure::user("InputNotFetched", message).terminal()
    })
}

async fn fetch(blobs: &Blobs, (path, from): (&str, &BlobUri), to: &Path) -> Result<(), Failure> {
    let found = blobs.export(from, to).await.map_err(|error| unstored("fetch an input of a container", &error))?;
    found.map(|_| ()).ok_or_else(|| not_there(path, from))
}

/// A directory that nothing is stored of is there and empty: a store has no directories.
async fn fetch_all(blobs: &Blobs, (path, from): (&str, &BlobUri), to: &Path) -> Result<(), Failure> {
    let listed = blobs.list(from).await.map_err(|error| unstored("fetch an input of a container", &error))?;
    let failed = |error: io::Error| system("write the inputs of a container", &error);
    tokio::fs::create_dir_all(to).await.map_err(failed)?;
    for blob in listed {
        let below = blob.uri.key().strip_prefix(from.key()).unwrap_or_default().trim_start_matches('/');
        let file = to.join(below);
        if let Some(parent) = file.parent() {
            tokio::fs::create_dir_all(parent).await.map_err(failed)?;
        }
        fetch(blobs, (path, &blob.uri), &file).await?;
    }
    Ok(())
}

fn not_there(path: &str, uri: &BlobUri) -> Failure {
    let message = format!("input `{path}`: nothing is stored at `{uri}` any more");
    Failure::user("InputNotFound", message).terminal()
}
