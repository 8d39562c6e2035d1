//! This program as a blob: uploaded once for each content, and started from there by the server.

use base64::Engine as _;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::{Digest, Md5};
use spanwise_core::{RetryPolicy, Scope, Timeouts};
use spanwise_proto::flyteidl2::task::TaskSpec;
use spanwise_wire::requests;
use spanwise_wire::task::NewTask;

use super::attempt::{self, Contract};
use super::connection::{Connection, SHORT, error, persist};
use crate::effective::Effective;
use crate::error::{Error, ErrorKind, Result};
use crate::task::AnyTask;

/// A program in a server's blob store.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Where it is.
    pub(crate) uri: String,
    /// The version of its tasks: the digest of its content.
    pub(crate) version: String,
}

impl Program {
    /// The program of an attempt, which the server has.
    pub(super) fn of_attempt(contract: &Contract) -> Program {
        Program { uri: contract.program.clone(), version: contract.version.clone() }
    }

    /// The definition of a task of this program, with which a server starts it as a process.
    pub(super) fn task_spec(
        &self,
        (task, effective): (&dyn AnyTask, &Effective),
        (retry, timeouts): (&RetryPolicy, &Timeouts),
        scope: &Scope,
    ) -> TaskSpec {
        let (name, environment) = (task.described().name.as_str(), task.environment());
        NewTask {
            scope,
            name,
            version: &self.version,
            function: task.function(),
            environment: environment.name(),
            // What the image is made of matters to tasks that need more than their own program.
            image: environment.described_image().and_then(|image| image.uri().ok()).unwrap_or_default(),
            arguments: attempt::arguments(&self.uri, &self.version, name),
            interface: task.interface(),
            docs: task.docs(),
            retry,
            timeouts,
            settings: &effective.settings,
            cache_version: effective.cache_version.as_deref(),
        }
        .into_spec()
    }
}

/// Uploads this program, unless the server has it.
pub(super) async fn upload(connection: &Connection, scope: &Scope) -> Result<Program> {
    let read = tokio::task::spawn_blocking(read_self).await;
    let (name, content, digest) = read.map_err(Error::from)?.map_err(|source| {
        let doing = format!("read this program to upload it: {source}");
        Error::of(ErrorKind::System, "ProgramUnreadable", std::io::Error::new(source.kind(), doing))
    })?;
    let request = requests::upload_location(scope, &name, &digest, content.len());
    let data = connection.data();
    let location = persist(SHORT, || data.create_upload_location(request.clone())).await;
    let location = location.map_err(|source| error("ask where to upload this program", &source))?.into_owned();
    let program = Program { uri: location.native_url, version: HEXLOWER.encode(&digest) };
    // A server whose store cannot be asked in this way takes the upload.
    if connection.size(&program.uri).await.is_ok_and(|size| size == u64::try_from(content.len()).ok()) {
        return Ok(program);
    }
    let digest = base64::engine::general_purpose::STANDARD.encode(digest);
    let mut headers: Vec<(String, String)> = location.headers.into_iter().collect();
    headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-md5"));
    headers.push(("content-md5".to_owned(), digest));
    let put = || connection.put_signed(&location.signed_url, content.clone(), &headers);
    persist(SHORT, put).await.map_err(|source| error("upload this program", &source))?;
    Ok(program)
}

/// The program that runs, also if its file has been replaced since: what is uploaded must be what is running.
fn read_self() -> std::io::Result<(String, Bytes, [u8; 16])> {
    let path = std::env::current_exe()?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let content = std::fs::read("/proc/self/exe").or_else(|_| std::fs::read(&path))?;
    let digest = Md5::digest(&content).into();
    // Of a file that is gone, Linux says so in its name.
    Ok((name.trim_end_matches(" (deleted)").to_owned(), content.into(), digest))
}
