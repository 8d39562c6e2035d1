//! The collector of a server.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use spanwise_collector::{Collector, Error as CollectorError};
use spanwise_engine::{Clock, LifecycleExporter};
use tokio::net::TcpListener;

use super::Error;
use crate::calls::Stored;
use crate::config::Config;
use crate::http;

/// A collector and where it listens by itself.
pub(super) struct Collecting {
    pub(super) collector: Collector,
    listeners: Vec<TcpListener>,
    pub(super) port: Option<u16>,
}

impl Collecting {
    /// Starts the collector, if there is to be one. A port that is taken is worth a warning: everything arrives at the server's port too.
    /// None, and a warning, if the stored spans cannot be opened now: they are worth less than what runs beside them, and are not thrown
    /// away for that.
    pub(super) async fn start(
        config: &Config,
        data: &Path,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Collecting>, Error> {
        let Some(settings) = &config.collector else { return Ok(None) };
        let clock = Clock::start();
        let collector = match Collector::open(data, config.durability, settings, move || clock.now()) {
            Err(CollectorError::Store(error)) if error.may_pass() => {
                let cause = std::error::Error::source(&error).map(|cause| format!(" ({cause})")).unwrap_or_default();
                warnings.push(format!("the collector is off until the server is started again: {error}{cause}"));
                return Ok(None);
            }
            opened => opened?,
        };
        warnings.extend(collector.set_aside());
        let address = SocketAddr::new(config.address, settings.port);
        let listeners = http::listen(address).await.unwrap_or_else(|(taken, error)| {
            warnings
                .push(format!("the collector does not listen on {taken}: {error}; the server's port takes gRPC too"));
            Vec::new()
        });
        let port = listeners.first().and_then(|listener| listener.local_addr().ok()).map(|address| address.port());
        Ok(Some(Collecting { collector, listeners, port }))
    }

    /// Lifecycle spans go into it too.
    pub(super) fn exporter(&self) -> Arc<dyn LifecycleExporter> {
        Arc::new(Stored(self.collector.clone()))
    }

    /// Its own listeners, once, and what it serves there.
    pub(super) fn listeners(&mut self) -> Vec<(TcpListener, Router)> {
        let router = http::guarded(http::received(&self.collector));
        self.listeners.drain(..).map(|listener| (listener, router.clone())).collect()
    }
}
