//! The journal and what is beside it when a server begins.

use std::sync::Arc;

use spanwise_blobs::Directory;
use spanwise_engine::{Clock, Engine, EngineConfig, Export, ExportLimits, LifecycleExporter, RunKey, Storage};

use super::Error;
use crate::config::Config;
use crate::layout::{self, DataDir};
use crate::privacy::{self, Ownership};
use crate::running;

/// Opens the journal, which is repaired first if that is asked for.
pub(super) fn open(config: &Config, data: &DataDir, warnings: &mut Vec<String>) -> Result<Engine, Error> {
    if config.repair {
        let repaired = spanwise_store::Sqlite::repair(data.path(), Clock::start().now());
        warnings.extend(repaired.map_err(|source| Error::Repair(Box::new(source)))?);
    }
    let storage = Storage::Directory { path: data.path().to_owned(), durability: config.durability };
    let engine = Engine::open(EngineConfig {
        storage,
        retention: config.retention.clone(),
        limits: config.limits(),
        attempts_outlive_the_process: true,
        waits_for_room: true,
    });
    engine.map_err(|source| match running::read(data.path()) {
        Some(holder) if source.is_in_use() => Error::InUse { holder: Box::new(holder), source },
        _ => Error::Engine(source),
    })
}

/// Compares the journal with what runs have left beside it. A journal without runs beside the files of some is not theirs; one that is
/// behind them gives none of their keys again, and takes nothing of them for a leftover.
pub(super) fn follow(engine: &Engine, data: &DataDir, repair: bool) -> Result<Option<String>, Error> {
    let failed = |source| Error::Io { doing: "look what runs have left in the data directory", source };
    let mut last_beside = 0;
    for directory in [data.all_logs(), data.all_work()] {
        let keys = layout::by_key(&directory).map_err(failed)?;
        last_beside = keys.into_iter().map(|(key, _)| key.0).max().unwrap_or(0).max(last_beside);
    }
    let last = engine.last_key()?.0;
    // Inputs of a root alone are uploads of a program whose run was never made.
    let has_blobs = || !Directory::has_only(&data.blobs(), layout::RUNS, layout::INPUTS_OF_ROOT);
    let is_another = last == 0 && (last_beside > 0 || has_blobs());
    if is_another && !repair {
        let what = format!(
            "`{}` knows no run, but the files of runs are beside it (`{}`, `{}`): it is not the journal that made them",
            data.path().join("journal.db").display(),
            data.all_logs().display(),
            data.blobs_of_runs().display(),
        );
        return Err(Error::Lost(Box::new(spanwise_store::Error::Lost { directory: data.path().to_owned(), what })));
    }
    if !is_another && last_beside <= last {
        return Ok(None);
    }
    engine.follows_another(RunKey(last_beside))?;
    Ok(Some(format!(
        "the journal of `{}` is older than the files of runs beside it (it ends at run {last}, they at run {last_beside}): \
         runs are missing from it; nothing of theirs is deleted",
        data.path().display()
    )))
}

/// Closes a data directory to other users, and says so if it was open to them. What lies deep in it follows.
pub(super) fn close(data: &DataDir, ownership: Ownership) -> Result<Option<String>, Error> {
    let warning = privacy::close(data, ownership)
        .map_err(|source| Error::Io { doing: "close the data directory to other users", source })?;
    if ownership != Ownership::Foreign {
        let below = data.clone();
        tokio::task::spawn_blocking(move || {
            let closed = privacy::close_below(&below);
            if closed > 0 {
                tracing::info!(closed, "files of the data directory that other users could read are closed to them");
            }
        });
    }
    Ok(warning)
}

/// An exporter, and the export of lifecycle spans that goes by it.
type Exporting = (Arc<dyn LifecycleExporter>, Export);

/// Sends lifecycle spans to the receiver that the settings or the environment name, if they name one.
pub(super) fn lifecycle_export(config: &Config, engine: &Engine) -> Result<Option<Exporting>, Error> {
    let endpoint = config.trace_endpoint.as_deref();
    if endpoint.is_none() && !spanwise_otel::otlp::is_configured() {
        return Ok(None);
    }
    let limits = ExportLimits { give_up_after: config.trace_patience, ..ExportLimits::default() };
    let exporter = spanwise_otel::otlp::exporter(endpoint, |trouble| tracing::warn!("{trouble}"))?;
    let export = engine.export_lifecycle(Arc::clone(&exporter), limits)?;
    Ok(Some((exporter, export)))
}
