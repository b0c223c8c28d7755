//! `foreseal serve`.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::rustls::ServerConfig;

use super::EXIT_POISONED;
use super::arguments::Serve;
use super::config::{Config, LogFormat};
use super::files;
use super::init::{create, open_failure};
use super::output::{Failure, fail, status, warning};
use super::tls;
use crate::api::http::{Listener, ListenerLimits};
use crate::disk::{Disk, system_text};
use crate::ledger::clock::SystemClock;
use crate::ledger::layout::Layout;
use crate::ledger::{Ledger, LedgerOptions, OpenReport};
use crate::policy::Bundle;
use crate::record::limits;
use crate::service::{Caller, Service};

/// How often the service looks whether a failed write has stopped it.
const POISON_CHECK: Duration = Duration::from_millis(50);
/// Reads of the disk at once; each may have a file open.
const BLOCKING_THREADS_MAX: usize = 128;
/// Time for answers already on their way when the service stops because of a failed write.
const POISON_GRACE: Duration = Duration::from_millis(500);
/// Time for closing what can be closed after a failed write. A disk that hangs does not keep the process.
const POISON_CLOSE: Duration = Duration::from_secs(5);

pub(super) fn run(arguments: Serve) -> Result<ExitCode, Failure> {
    let config = Config::settle(arguments)?;
    start_logging(config.log_format);
    // Before anything is made or sealed.
    let tls = config.tls.as_ref().map(tls::read).transpose()?;
    let layout = Layout::new(&config.data, config.keys.as_deref());
    if is_missing(&*files::disk(), &layout)? {
        let made = create(&layout, config.origin.as_deref())?;
        status(&format!("made a new ledger in {}; its public key: {}", layout.data.display(), made.verifier));
    }
    let (ledger, report) = open(&layout)?;
    log_opening(&ledger, &report);
    let service = with_solver(Service::new(Arc::new(ledger), config.public_log));
    let service = Arc::new(service.with_policy_authors(config.policy_authors.clone()));
    let ledger = Arc::clone(service.ledger());
    let ended = runtime()?.block_on(serve(&config, service, tls));
    if ledger.poisoned().is_some() {
        // Before anything was served: the first entries could not be written.
        end_poisoned(&ledger, true);
    }
    ended
}

/// With the solver that proves what bundles demand, where there is one.
#[cfg(feature = "prove")]
fn with_solver(service: Service) -> Service {
    match super::solver::Cvc5::of_environment() {
        Some(solver) => service.with_solver(Arc::new(solver)),
        None => service,
    }
}

#[cfg(not(feature = "prove"))]
const fn with_solver(service: Service) -> Service {
    service
}

/// The runtime of the service's front.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .enable_all()
        .build();
    runtime.map_err(|error| Failure::new(format!("starting threads: {error}"), "see the message"))
}

/// As many connections as the table says, or as the process may open files for beside the ledger's own: a journal that
/// finds no file left would end the service.
fn listener_limits() -> ListenerLimits {
    let limits = ListenerLimits::default();
    let Some(files) = open_files_max() else { return limits };
    let connections = limits.connections.min(files.saturating_sub(limits::FILES_KEPT_FREE)).max(1);
    if connections < limits.connections {
        tracing::info!(
            "this process may open {files} files, so it takes {connections} connections and not {}; raise it with ulimit -n",
            limits.connections
        );
    }
    ListenerLimits { connections, ..limits }
}

/// The soft limit of open files, where the system says it.
fn open_files_max() -> Option<usize> {
    let text = system_text(Path::new("/proc/self/limits")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Opens a ledger with the machine's clock and disk.
pub(super) fn open(layout: &Layout) -> Result<(Ledger, OpenReport), Failure> {
    Ledger::open(&files::disk(), layout, &LedgerOptions::new(Arc::new(SystemClock)))
        .map_err(|e| open_failure(&e))
}

/// Whether there is nothing at all where the ledger should be.
pub(super) fn is_missing(disk: &dyn Disk, layout: &Layout) -> Result<bool, Failure> {
    disk.exists(&layout.data)
        .map(|exists| !exists)
        .map_err(|error| Failure::new(format!("{}: {error}", layout.data.display()), "check the path"))
}

async fn serve(
    config: &Config,
    service: Arc<Service>,
    tls: Option<Arc<ServerConfig>>,
) -> Result<ExitCode, Failure> {
    // Before anyone is told that it is ready: from then on a signal drains.
    let signals = stop_signal()?;
    if let Some(directory) = &config.policies {
        activate(&service, files::read_bundle(directory)?).await?;
    }
    service.check_active_author().map_err(|error| {
        let hint = "give --policies DIR with a bundle that one of --policy-author signed";
        Failure::new(format!("the sealed policy may not decide: {error}"), hint)
    })?;
    if service.policy().is_none() {
        warning("no policy is active, so every call is denied; start with --policies DIR");
    }
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        Failure::new(format!("listening on {}: {error}", config.listen), "give another address with --listen")
    })?;
    let address =
        listener.local_addr().map_err(|error| Failure::new(error.to_string(), "see the message"))?;
    let mut listener = Listener::from(listener).with_limits(listener_limits());
    if let Some(tls) = tls {
        listener = listener.with_tls(tls);
    } else if !address.ip().is_loopback() {
        warning(&format!(
            "{address} is not loopback and has no TLS: tokens and payloads cross the network in the clear; give --tls-cert and --tls-key"
        ));
    }
    let published = service.published();
    status(&format!(
        "foreseal ready on {}://{address}, log {} of size {}",
        if config.tls.is_some() { "https" } else { "http" },
        service.ledger().origin(),
        published.size
    ));
    let supervisor = tokio::spawn(tell_supervisor(Arc::clone(service.ledger())));
    let ended = serve_until_stopped(listener, service, signals).await;
    supervisor.abort();
    ended
}

/// Tells systemd, where it started the service, that it is ready, and then that it lives for as long as it seals. One that
/// has poisoned itself falls silent; it is about to end by itself.
async fn tell_supervisor(ledger: Arc<Ledger>) {
    let tell = |state| {
        // A supervisor that cannot be told restarts the service, which loses nothing.
        if let Err(error) = sd_notify::notify(&[state]) {
            tracing::warn!("telling the supervisor: {error}");
        }
    };
    tell(NotifyState::Ready);
    let Some(patience) = sd_notify::watchdog_enabled() else { return };
    while ledger.poisoned().is_none() {
        tell(NotifyState::Watchdog);
        tokio::time::sleep(patience / 3).await;
    }
}

/// Serves until a signal or a failed write, then seals what is in hand.
pub(super) async fn serve_until_stopped(
    listener: impl Into<Listener>,
    service: Arc<Service>,
    signals: impl Future<Output = ()> + Send + 'static,
) -> Result<ExitCode, Failure> {
    let ledger = Arc::clone(service.ledger());
    let watched = Arc::clone(&ledger);
    let stop = async move {
        tokio::select! {
            () = signals => {
                tracing::info!("stopping");
                let _ = sd_notify::notify(&[NotifyState::Stopping]);
            }
            () = poisoned(&watched) => {}
        }
    };
    let serving = crate::api::http::serve(listener, service, stop);
    tokio::select! {
        () = serving => {}
        () = async { poisoned(&ledger).await; tokio::time::sleep(POISON_GRACE).await } => {}
    }
    let stopping = Arc::clone(&ledger);
    let mut stopped = tokio::task::spawn_blocking(move || stopping.stop());
    let ended = tokio::select! {
        ended = &mut stopped => ended,
        () = poisoned(&ledger) => {
            let closed = tokio::time::timeout(POISON_CLOSE, stopped).await;
            end_poisoned(&ledger, closed.is_ok())
        }
    };
    if ledger.poisoned().is_some() {
        end_poisoned(&ledger, true);
    }
    match ended {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(Failure::new(error.to_string(), "report this as a defect")),
    }
}

/// Ends the process here and now: whatever still holds the ledger would wait for a thread that may never come back.
fn end_poisoned(ledger: &Ledger, closed: bool) -> ! {
    let reason = ledger.poisoned().unwrap_or("unknown");
    let hanging = if closed { "" } else { " (a thread of the ledger does not end; it was left behind)" };
    let _ = fail(&Failure::new(
        format!("sealing stopped after a failed write: {reason}{hanging}"),
        "check the disk, run `foreseal fsck`, then start again: recovery verifies what is on disk",
    ));
    std::process::exit(EXIT_POISONED.into())
}

async fn poisoned(ledger: &Ledger) {
    while ledger.poisoned().is_none() {
        tokio::time::sleep(POISON_CHECK).await;
    }
}

/// Resolves at SIGTERM or SIGINT, which from this call on no longer end the process by themselves.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()> + Send + use<>, Failure> {
    let failure =
        |error: std::io::Error| Failure::new(format!("listening for signals: {error}"), "see the message");
    let mut terminate = signal(SignalKind::terminate()).map_err(failure)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failure)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Activates a bundle as the first operator, who holds the key directory.
pub(super) async fn activate(service: &Service, files: BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    let warnings = Bundle::load(files.clone())
        .map(|bundle| bundle.warnings().iter().map(std::string::ToString::to_string).collect::<Vec<_>>());
    for text in warnings.unwrap_or_default() {
        tracing::warn!(policy = text);
    }
    let active = service.activate_policy(&Caller::Operator(0), files, None).await.map_err(|error| {
        Failure::new(
            error.to_string(),
            error.hint.unwrap_or("correct the bundle; the active policy is untouched"),
        )
    })?;
    tracing::info!(
        index = active.index,
        digest = active.digest,
        mode = active.mode,
        unchanged = active.unchanged,
        "policy sealed"
    );
    Ok(())
}

fn log_opening(ledger: &Ledger, report: &OpenReport) {
    tracing::info!(
        origin = ledger.origin(),
        size = report.size,
        from_snapshot = report.from_snapshot,
        frames_replayed = report.journal.frames,
        rows_indexed = report.indexed,
        "ledger open"
    );
    if let Some(tail) = &report.journal.truncated {
        tracing::warn!(position = %tail.position, "a frame that was never acknowledged was cut off: {:?}", tail.why);
    }
}

fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("FORESEAL_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second subscriber in one process is no reason to stop.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
