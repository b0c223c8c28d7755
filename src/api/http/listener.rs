//! Taking connections, as many as there is place for, and closing them when the service stops.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::connection::{Activity, Counted, Patience, Routes, Verdict, Watch};
use crate::api::failures::RareWarning;
use crate::record::limits;

/// Looks at a connection in the time that a head may take.
const TICKS_OF_HEAD: u32 = 10;
/// How long nothing is accepted after the system had no means to.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);
/// How often a client of HTTP/2 is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// What one stream of HTTP/2, and one connection, may send ahead of what is read.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 512 << 10;
/// What waits for a slow reader of HTTP/2, for each of its streams.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// How much a listener takes, and how long it waits for what. The default is the table of [`limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Open connections.
    pub connections: usize,
    /// A TLS handshake.
    pub handshake: Duration,
    /// The head of a request.
    pub head: Duration,
    /// A connection between two requests.
    pub idle: Duration,
    /// An answer of which the client takes nothing.
    pub stalled: Duration,
    /// Open connections when the service is told to stop.
    pub drain: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            handshake: Duration::from_millis(limits::HANDSHAKE_MAX_MS),
            head: Duration::from_millis(limits::HEAD_MAX_MS),
            idle: Duration::from_millis(limits::IDLE_MAX_MS),
            stalled: Duration::from_millis(limits::STALLED_MAX_MS),
            drain: Duration::from_millis(limits::DRAIN_MAX_MS),
        }
    }
}

/// An address that is listened on, in the clear or with TLS.
pub struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: ListenerLimits,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener")
            .field("tcp", &self.tcp)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl From<TcpListener> for Listener {
    fn from(tcp: TcpListener) -> Self {
        Self { tcp, tls: None, limits: ListenerLimits::default() }
    }
}

/// How far the service is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Requests are finished, and connections closed.
    Draining,
    /// Whatever is still open is cut.
    Over,
}

/// What all connections share.
#[derive(Debug)]
struct Common {
    builder: Builder<TokioExecutor>,
    routes: Router,
    tick: Duration,
    patience: Patience,
    handshake: Duration,
    phase: watch::Receiver<Phase>,
}

impl Listener {
    /// Connections speak TLS, as configured here.
    #[must_use]
    pub fn with_tls(self, config: Arc<ServerConfig>) -> Self {
        Self { tls: Some(TlsAcceptor::from(config)), ..self }
    }

    /// Other limits than those of the table.
    #[must_use]
    pub fn with_limits(self, limits: ListenerLimits) -> Self {
        Self { limits, ..self }
    }

    /// Serves until `stop` resolves, then takes no more connections and lets those that are open finish.
    pub async fn serve(self, routes: Router, stop: impl Future<Output = ()> + Send) {
        let Self { tcp, tls, limits } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let (told, phase) = watch::channel(Phase::Open);
        let common = Arc::new(Common::new(routes, &limits, phase));
        {
            let mut stop = pin!(stop);
            loop {
                let next = async {
                    // First a place, then a connection: whoever finds none waits in the system's queue.
                    let place = place(&places).await;
                    (accept(&tcp).await, place)
                };
                let (stream, place) = tokio::select! {
                    biased;
                    () = &mut stop => break,
                    next = next => next,
                };
                let Some(place) = place else { break };
                tokio::spawn(connection(Arc::clone(&common), stream, tls.clone(), place));
            }
        }
        drop(tcp);
        told.send_replace(Phase::Draining);
        let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
        // All places are free when all connections have ended.
        let _ = tokio::time::timeout(limits.drain, places.acquire_many(all)).await;
        told.send_replace(Phase::Over);
    }
}

impl Common {
    fn new(routes: Router, limits: &ListenerLimits, phase: watch::Receiver<Phase>) -> Self {
        let mut builder = Builder::new(TokioExecutor::new());
        // Without a timer of its own: heads and pauses are watched for both versions alike, by one timer a connection.
        builder.http1().max_buf_size(limits::HEAD_MAX_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(Duration::from_millis(limits::PING_MAX_MS))
            .max_concurrent_streams(limits::CONNECTION_REQUESTS_MAX)
            .max_header_list_size(u32::try_from(limits::HEAD_MAX_BYTES).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES);
        let tick = limits.head / TICKS_OF_HEAD;
        let ticks = |patience: Duration| {
            let ticks = patience.as_nanos().div_ceil(tick.as_nanos().max(1));
            u32::try_from(ticks).unwrap_or(u32::MAX)
        };
        let patience =
            Patience { head: TICKS_OF_HEAD, idle: ticks(limits.idle), stalled: ticks(limits.stalled) };
        Self { builder, routes, tick, patience, handshake: limits.handshake, phase }
    }
}

/// A free place; `None` cannot be, for nobody closes them.
async fn place(places: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    static FULL: RareWarning = RareWarning::new();
    if let Ok(place) = Arc::clone(places).try_acquire_owned() {
        return Some(place);
    }
    if let Some(left_out) = FULL.due() {
        tracing::warn!(
            left_out,
            "as many connections are open as are taken; the next one waits until one ends"
        );
    }
    Arc::clone(places).acquire_owned().await.ok()
}

/// The next connection. What the system cannot give now is asked for again after a pause.
async fn accept(tcp: &TcpListener) -> TcpStream {
    static FAILED: RareWarning = RareWarning::new();
    loop {
        match tcp.accept().await {
            Ok((stream, _)) => return stream,
            // Of that one connection, which is gone.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted
                        | io::ErrorKind::ConnectionReset
                        | io::ErrorKind::ConnectionRefused
                        | io::ErrorKind::Interrupted
                ) => {}
            Err(error) => {
                if let Some(left_out) = FAILED.due() {
                    tracing::warn!(left_out, "accepting a connection: {error}");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves a connection to its end. `place` is given back then, and not before.
async fn connection(
    common: Arc<Common>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    place: OwnedSemaphorePermit,
) {
    // An answer is written whole; waiting for more of it would only delay its end.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(&common, stream).await,
        Some(acceptor) => {
            let mut phase = common.phase.clone();
            let shaken = tokio::select! {
                shaken = tokio::time::timeout(common.handshake, acceptor.accept(stream)) => shaken,
                // Nothing was asked yet.
                _ = phase.wait_for(|phase| *phase != Phase::Open) => return,
            };
            match shaken {
                Ok(Ok(stream)) => serve(&common, stream).await,
                Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
                Err(_) => tracing::debug!("a TLS handshake did not end in time"),
            }
        }
    }
    drop(place);
}

async fn serve(common: &Common, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let activity = Arc::new(Activity::default());
    let mut watch = Watch::new(Arc::clone(&activity), common.patience);
    let mut phase = common.phase.clone();
    let mut ticks = tokio::time::interval(common.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one is now.
    ticks.tick().await;
    let io = TokioIo::new(Counted::new(stream, Arc::clone(&activity)));
    let routes = Routes { routes: common.routes.clone(), activity: Arc::clone(&activity) };
    let mut served = pin!(common.builder.serve_connection(io, routes));
    loop {
        let verdict = tokio::select! {
            biased;
            served = &mut served => {
                if let Err(error) = served {
                    tracing::debug!("a connection ended: {error}");
                }
                return;
            }
            changed = phase.changed() => match *phase.borrow_and_update() {
                Phase::Over => Verdict::Cut,
                _ if changed.is_err() => Verdict::Cut,
                Phase::Open => Verdict::GoOn,
                Phase::Draining => {
                    activity.make_haste();
                    Verdict::Finish
                }
            },
            _ = ticks.tick() => watch.tick(),
        };
        match verdict {
            Verdict::GoOn => {}
            Verdict::Cut => return,
            Verdict::Finish => {
                watch.finishing();
                served.as_mut().graceful_shutdown();
            }
        }
    }
}
