//! Connections: whose are taken, how many there may be, and how long one may say nothing.
//!
//! Whoever is slow is slow at their own cost: a connection without a request, and a body that does not come, end after a while, and
//! connections never take the descriptors that tasks and files need.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use hyper::body::Incoming;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::peers::{Peer, Peers, Users};

mod body;
mod written;

pub(crate) use body::is_too_slow;
use body::{AnswerBody, Paced};
use written::Written;

/// How patient a server is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// A connection that has no request under way for this long, and at most for twice as long, is closed: one that keeps quiet, and
    /// one whose headers do not come to their end.
    pub(crate) quiet: Duration,
    /// What a body has from its beginning, beside the time for what has come of it.
    pub(crate) body: Duration,
    /// Bytes a second that a body comes at, at least.
    pub(crate) rate: u64,
}

impl Patience {
    const USUAL: Patience = Patience { quiet: Duration::from_secs(60), body: Duration::from_secs(60), rate: 1024 };
}

/// How many who are refused are told why at one time; the others are only refused.
const TOLD_AT_ONCE: usize = 16;

/// How long whoever is refused has to take the answer, and whose quiet connection is closed to end it.
const LEAVE: Duration = Duration::from_secs(1);

/// After the system refused a connection. What it wants for comes back when others end.
const PAUSE: Duration = Duration::from_millis(50);

/// Between two lines of the log about the same trouble.
const QUIET_LOG: Duration = Duration::from_secs(60);

/// What all listeners of a server have in common.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// None: everybody is let in.
    peers: Option<Arc<Peers>>,
    room: Arc<Semaphore>,
    most: usize,
    telling: Arc<Semaphore>,
    patience: Patience,
    said: Mutex<Vec<(&'static str, Instant)>>,
}

impl Entrance {
    /// An entrance for these users, of a process that may have so many descriptors. The warning is there if the system cannot tell
    /// users apart.
    pub(crate) fn new(users: Users, descriptors: u64) -> (Entrance, Option<String>) {
        let peers = if users == Users::Own { Peers::new() } else { None };
        let warning = (users == Users::Own && peers.is_none()).then(|| {
            "this system does not tell whose connections they are: every user of this machine can use the server"
                .to_owned()
        });
        // The other half is for files, processes and the journal.
        let most = usize::try_from(descriptors / 2).unwrap_or(usize::MAX).clamp(16, Semaphore::MAX_PERMITS);
        (Entrance::with(peers, most, Patience::USUAL), warning)
    }

    fn with(peers: Option<Peers>, most: usize, patience: Patience) -> Entrance {
        let (room, telling) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(TOLD_AT_ONCE)));
        let peers = peers.map(Arc::new);
        Entrance { peers, room, most, telling, patience, said: Mutex::default() }
    }

    /// True once in a while for each kind of trouble, so that it does not fill the log.
    fn may_say(&self, what: &'static str) -> bool {
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match said.iter_mut().find(|(said_of, _)| *said_of == what) {
            Some((_, at)) if at.elapsed() < QUIET_LOG => return false,
            Some((_, at)) => *at = Instant::now(),
            None => said.push((what, Instant::now())),
        }
        true
    }

    /// Waits for room for one more connection.
    async fn room(&self) -> Option<OwnedSemaphorePermit> {
        if self.room.available_permits() == 0 && self.may_say("room") {
            tracing::warn!(
                connections = self.most,
                "as many connections are open as there may be: others wait (see `ulimit -n`)"
            );
        }
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// The next connection that may come in; the others are refused here.
    async fn next(&self, listener: &TcpListener) -> TcpStream {
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if self.may_say("accept") {
                        tracing::error!(%error, "no connection can be taken at the moment; runs go on");
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            match self.peer(&stream, peer).await {
                Peer::Admitted => return stream,
                Peer::Gone => {}
                Peer::Unlisted if self.may_say("unlisted") => tracing::warn!(
                    %peer,
                    "a connection is refused because this system does not tell whose it is: it was closed at once, or comes from \
                     another network namespace, as a container's may (--users all allows those)"
                ),
                Peer::Unlisted => {}
                Peer::Other(user) => self.refuse(stream, user),
            }
        }
    }

    async fn peer(&self, stream: &TcpStream, peer: SocketAddr) -> Peer {
        let Some(peers) = &self.peers else { return Peer::Admitted };
        let admitted = match stream.local_addr() {
            Ok(local) if peers.is_quick() => peers.of(peer, local),
            Ok(local) => {
                let peers = Arc::clone(peers);
                let answer = tokio::task::spawn_blocking(move || peers.of(peer, local)).await;
                answer.unwrap_or_else(|error| Err(io::Error::other(error)))
            }
            Err(error) => Err(error),
        };
        // What cannot be known is refused: it could be known at the start.
        admitted.unwrap_or_else(|error| {
            if self.may_say("peer") {
                tracing::error!(%error, "it is not known whose a connection is: it is refused");
            }
            Peer::Gone
        })
    }

    fn refuse(&self, stream: TcpStream, user: u32) {
        if self.may_say("refuse") {
            tracing::warn!(user, "a connection of another user of this machine is refused (--users all allows them)");
        }
        if let Ok(permit) = Arc::clone(&self.telling).try_acquire_owned() {
            tokio::spawn(async move {
                let _ = tokio::time::timeout(LEAVE, tell(stream)).await;
                drop(permit);
            });
        }
    }
}

/// Whether an error is about the connection that was taken, and not about the next ones.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn tell(mut stream: TcpStream) -> io::Result<()> {
    const TEXT: &str = "this server takes connections of its own user only: its user can start it with `--users all`\n";
    let length = TEXT.len();
    let answer = format!(
        "HTTP/1.1 403 Forbidden\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{TEXT}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    // What is not read would take the answer with it.
    tokio::io::copy(&mut stream.take(1 << 16), &mut tokio::io::sink()).await?;
    Ok(())
}

/// Serves until `closing`, then until the connections have ended.
pub(crate) async fn serve(listener: TcpListener, router: Router, entrance: Arc<Entrance>, closing: CancellationToken) {
    let connections = TaskTracker::new();
    let accept = async {
        while let Some(room) = entrance.room().await {
            let stream = entrance.next(&listener).await;
            // Small answers must not wait for a peer's delayed acknowledgement (40 ms).
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection stays with Nagle's algorithm");
            }
            let (router, closing, patience) = (router.clone(), closing.clone(), entrance.patience);
            connections.spawn(async move {
                connection(stream, router, patience, closing).await;
                drop(room);
            });
        }
    };
    tokio::select! {
        () = closing.cancelled() => {}
        () = accept => {}
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// The requests of a connection.
#[derive(Debug, Default)]
struct Requests {
    under_way: AtomicU32,
    begun: AtomicU32,
    /// An answer waits for its reader: the request has ended for everybody but the client.
    is_unwritten: AtomicBool,
}

/// A request that is under way until its answer is sent.
#[derive(Debug)]
struct UnderWay(Arc<Requests>);

impl Requests {
    fn begin(self: &Arc<Requests>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(self))
    }

    fn is_quiet(&self) -> bool {
        self.under_way.load(Ordering::Relaxed) == 0 && !self.is_unwritten.load(Ordering::Relaxed)
    }

    /// Returns when there has been no request for a while. Nothing wakes for a request: the time is looked at from time to time.
    async fn quiet(&self, patience: Duration) {
        let mut before = None;
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            if self.is_quiet() && before == Some(begun) {
                return;
            }
            before = self.is_quiet().then_some(begun);
            tokio::time::sleep(patience).await;
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(stream: TcpStream, router: Router, patience: Patience, closing: CancellationToken) {
    let requests = Arc::new(Requests::default());
    let (inner, counted) = (TowerToHyperService::new(router), Arc::clone(&requests));
    let service = service_fn(move |request: http::Request<Incoming>| {
        let under_way = counted.begin();
        let answer = inner.call(request.map(|body| Paced::new(body, patience)));
        async move { Ok::<_, Infallible>(answer.await?.map(|body| AnswerBody::new(body, under_way))) }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    let mut served = pin!(
        builder.serve_connection_with_upgrades(Written::new(TokioIo::new(stream), Arc::clone(&requests)), service)
    );
    tokio::select! {
        // How it ended is the client's business.
        _ = served.as_mut() => return,
        () = closing.cancelled() => {}
        () = requests.quiet(patience.quiet) => {}
    }
    served.as_mut().graceful_shutdown();
    loop {
        tokio::select! {
            _ = served.as_mut() => return,
            // A request may have come at the last moment.
            () = tokio::time::sleep(LEAVE) => if requests.is_quiet() { return },
        }
    }
}

#[cfg(test)]
mod tests;
