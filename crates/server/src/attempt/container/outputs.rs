//! Outputs from the files that a container has left. What is a link out of the directory is no output: nobody but the container sees its root as it does.

use std::error::Error as StdError;
use std::fs;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use spanwise_blobs::{Announced, BlobUri, Blobs, Mode};
use spanwise_core::Failure;
use spanwise_wire::shown;
use spanwise_wire::task::ContainerTask;
use spanwise_wire::task::container::{Collected, ERROR_FILE, Kind, Output};
use tokio_util::io::ReaderStream;

use super::super::results::Left;
use super::super::trouble::{is_passing, patiently};
use super::super::verdict::{MAX_OUTPUTS, too_large};

/// What the wrapper of `flyte.extras.shell` keeps of what its script says, which is in no log.
const STDERR: &str = "_stderr";

/// How much of a text an error shows.
const MOST_SAID: u64 = 4096;

/// What keeps an output from being taken: the machine, or the container.
enum Trouble {
    Machine(Box<dyn StdError + Send + Sync>),
    Container(Failure),
}

impl<E: StdError + Send + Sync + 'static> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Machine(error.into())
    }
}

/// The result of a container that has ended with a code. As long as the store does not take it, the attempt is not over.
pub(super) async fn left_by(
    blobs: &Blobs,
    task: &ContainerTask,
    (directory, code): (Option<&Path>, i32),
    base: &BlobUri,
) -> Left {
    let Some(directory) = directory else { return (code == 0).then(|| Ok(Collected::default().encode())) };
    let error_file = directory.join(ERROR_FILE);
    if let Ok(said) = tail(&error_file) {
        let said =
            if said.trim().is_empty() { "it left an empty file `_ERROR`".to_owned() } else { said.trim().to_owned() };
        return Some(Err(Failure::user("ContainerError", said)));
    }
    if code != 0 {
        return None;
    }
    let take = || async {
        match outputs(blobs, task, directory, base).await {
            Ok(outputs) => Ok(Ok(outputs)),
            Err(Trouble::Container(failure)) => Ok(Err(failure)),
            Err(Trouble::Machine(error)) => Err(error),
        }
    };
    Some(patiently("take the outputs of a container", take).await)
}

/// The end of what a script of `flyte.extras.shell` has said, which its wrapper writes into a file.
pub(super) fn said(directory: &Path) -> Option<String> {
    tail(&directory.join(STDERR)).ok().filter(|said| !said.trim().is_empty())
}

fn tail(file: &Path) -> io::Result<String> {
    if !fs::symlink_metadata(file)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut file = fs::File::open(file)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_SAID)))?;
    let mut bytes = Vec::new();
    file.take(MOST_SAID).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

async fn outputs(blobs: &Blobs, task: &ContainerTask, directory: &Path, base: &BlobUri) -> Result<Bytes, Trouble> {
    let mut collected = Collected::default();
    for output in task.wanted() {
        collect(blobs, &output, (directory, base), &mut collected).await?;
    }
    let outputs = collected.encode();
    match outputs.len() as u64 > MAX_OUTPUTS {
        true => Err(Trouble::Container(too_large(outputs.len() as u64))),
        false => Ok(outputs),
    }
}

async fn collect(
    blobs: &Blobs,
    output: &Output,
    (directory, base): (&Path, &BlobUri),
    collected: &mut Collected,
) -> Result<(), Trouble> {
    let name = output.name.as_str();
    if output.kind == Kind::Nothing {
        collected.missing(output);
        return Ok(());
    }
    let what = if output.kind == Kind::Directory { "directory" } else { "file" };
    let path = match within(directory, &directory.join(name))? {
        Some(path) => path,
        None if output.is_optional => {
            collected.missing(output);
            return Ok(());
        }
        None => {
            return Err(bad(format!("output `{name}`: the container has left no {what} `{name}` among its outputs")));
        }
    };
    let metadata = fs::metadata(&path)?;
    if metadata.is_dir() != (output.kind == Kind::Directory) || !(metadata.is_dir() || metadata.is_file()) {
        return Err(bad(format!("output `{name}`: what the container has left is no {what}")));
    }
    match output.kind {
        Kind::Text => text(output, (&path, metadata.len()), collected),
        Kind::File => {
            let uri = named(base, name)?;
            put(blobs, &path, &uri).await?;
            collected.stored(output, &uri.to_string());
            Ok(())
        }
        Kind::Directory | Kind::Nothing => {
            let uri = named(base, name)?;
            put_all(blobs, (directory, &path), &uri).await?;
            collected.stored(output, &uri.to_string());
            Ok(())
        }
    }
}

fn text(output: &Output, (path, size): (&Path, u64), collected: &mut Collected) -> Result<(), Trouble> {
    if size > MAX_OUTPUTS {
        return Err(Trouble::Container(too_large(size)));
    }
    let text = String::from_utf8(fs::read(path)?);
    let text = text.map_err(|_| bad(format!("output `{}`: its file is no text in UTF-8", output.name)))?;
    collected.text(output, &text).map_err(|error| bad(error.to_string()))
}

/// Another attempt may leave something else.
fn bad(message: String) -> Trouble {
    Trouble::Container(Failure::user("InvalidContainerOutput", message))
}

fn named(base: &BlobUri, name: &str) -> Result<BlobUri, Trouble> {
    base.join(name).map_err(|error| bad(format!("output `{}` cannot be stored: {error}", shown(name))))
}

/// A path with its links followed, if it is there; it must be in the directory of outputs.
fn within(directory: &Path, path: &Path) -> Result<Option<PathBuf>, Trouble> {
    let found = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // A link to itself, or to what nobody may read: it stays like that.
        Err(error) if !is_passing(&error) => {
            return Err(bad(format!("output `{}` cannot be read: {error}", name_of(path))));
        }
        found => found?,
    };
    match found.starts_with(fs::canonicalize(directory)?) {
        true => Ok(Some(found)),
        false => Err(bad(format!("output `{}` is a link out of the directory of outputs", name_of(path)))),
    }
}

fn name_of(path: &Path) -> String {
    shown(&path.file_name().unwrap_or_default().to_string_lossy())
}

async fn put(blobs: &Blobs, file: &Path, uri: &BlobUri) -> Result<(), Trouble> {
    let content = match tokio::fs::File::open(file).await {
        Err(error) if !is_passing(&error) => {
            return Err(bad(format!("output `{}` cannot be read: {error}", name_of(file))));
        }
        content => content?,
    };
    blobs.put_stream(uri, ReaderStream::new(content), &Announced::default(), Mode::Replace).await?;
    Ok(())
}

/// Stores all that is below a directory, level by level.
async fn put_all(blobs: &Blobs, (outputs, top): (&Path, &Path), base: &BlobUri) -> Result<(), Trouble> {
    let mut open = vec![(top.to_owned(), base.clone())];
    while let Some((directory, base)) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| bad(format!("`{}` is no name in UTF-8", shown(&name.to_string_lossy()))))?;
            let uri = named(&base, &name)?;
            // A link that leads nowhere is nothing.
            let Some(path) = within(outputs, &entry.path())? else { continue };
            let metadata = fs::metadata(&path)?;
            if metadata.is_file() {
                put(blobs, &path, &uri).await?;
            } else if metadata.is_dir() && !entry.file_type()?.is_symlink() {
                open.push((path, uri));
            } else {
                return Err(bad(format!("`{}` in an output is neither a file nor a directory", shown(&name))));
            }
        }
    }
    Ok(())
}
