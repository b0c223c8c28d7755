//! A ledger with agents and rules, made for the bench and removed after it, and servers on loopback.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::super::output::Failure;
use super::super::serve::{activate, runtime};
use super::super::{files, init, serve};
use super::load::Requests;
use super::unexpected;
use super::workload::{Documents, Numbers, bundle, sign};
use crate::api::http;
use crate::ledger::clock::{Clock as _, SystemClock};
use crate::ledger::keyring::random;
use crate::ledger::layout::Layout;
use crate::note::TrustPolicy;
use crate::record::statement::AgentKey;
use crate::service::{Caller, NewAgent, Service};

/// The agent that sends its token alone.
const AGENT: &str = "bench-agent";
/// The agent that signs.
const SIGNER: &str = "bench-signer";
/// Rules that judge one call.
pub(super) const RULES_IN_SLICE: usize = 12;
/// How long open connections may take to end.
const STOPPING: Duration = Duration::from_secs(20);

/// Something that answers on loopback, on a runtime of its own as large as the service's.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl Server {
    pub(super) fn start(routes: Router) -> Result<Self, Failure> {
        let runtime = runtime()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).map_err(unexpected)?;
        let address = listener.local_addr().map_err(unexpected)?;
        let (stop, stopped) = oneshot::channel();
        runtime.spawn(http::serve_routes(listener, routes, async move {
            let _ = stopped.await;
        }));
        Ok(Self { address, stop: Some(stop), runtime: Some(runtime) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(STOPPING);
        }
    }
}

/// A running service with two agents.
pub(super) struct Fixture {
    pub(super) service: Arc<Service>,
    pub(super) server: Server,
    pub(super) trust: TrustPolicy,
    token: String,
    signer_token: String,
    key: SigningKey,
}

impl Fixture {
    /// A new ledger in `directory`, and the service over it.
    pub(super) fn make(directory: &Path) -> Result<Self, Failure> {
        let layout = Layout::new(&directory.join("ledger"), None);
        init::create(&layout, Some("bench.foreseal.local"))?;
        let trust =
            files::trust(Some(&layout.trust()))?.ok_or_else(|| unexpected("no trust policy was made"))?;
        let (ledger, _) = serve::open(&layout)?;
        let service = Arc::new(Service::new(Arc::new(ledger), false));
        let server = Server::start(http::router(Arc::clone(&service)))?;
        let key = SigningKey::from_bytes(&*random::<32>().map_err(unexpected)?);
        let public_key = STANDARD.encode(key.verifying_key().as_bytes());
        let own = runtime()?;
        own.block_on(activate(&service, rules()))?;
        let register = |name: &str, public_key: Option<String>| {
            let new = NewAgent { name: name.to_owned(), roles: vec!["support".to_owned()], public_key };
            let registered = own.block_on(service.register_agent(&Caller::Operator(0), new));
            registered.map_err(unexpected)?.token.ok_or_else(|| unexpected("an agent without a token"))
        };
        let (token, signer_token) = (register(AGENT, None)?, register(SIGNER, Some(public_key))?);
        Ok(Self { service, server, trust, token, signer_token, key })
    }

    /// Intents authenticated by their token.
    pub(super) fn requests(&self) -> Requests {
        Requests::Fresh { documents: Documents::of(AGENT, SystemClock.now()), token: self.token.clone() }
    }

    /// The key that signed intents verify under.
    pub(super) fn public_key(&self) -> Result<AgentKey, Failure> {
        AgentKey::from_bytes(self.key.verifying_key().as_bytes()).map_err(unexpected)
    }

    /// `count` intents signed by their agent, now: they stand for five minutes.
    pub(super) fn signed_requests(&self, count: usize) -> Result<Requests, Failure> {
        let now = SystemClock.now();
        let documents = Documents::of(SIGNER, now);
        let mut numbers = Numbers::from(u64::try_from(now.as_millis()).unwrap_or_default());
        let key_id = self.public_key()?.key_id();
        let origin = self.service.ledger().origin();
        let mut ready = Vec::with_capacity(count);
        for number in 0..count {
            let body = documents.with_id(number as u64, numbers.id(now));
            let seed = *random::<32>().map_err(unexpected)?;
            ready.push(sign(body, &self.key, &key_id, origin, seed)?);
        }
        Ok(Requests::Signed { ready, token: self.signer_token.clone(), next: 0.into() })
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.service.ledger().stop();
    }
}

/// The rules of the workload: of 93, 12 speak about its tool.
pub(super) fn rules() -> BTreeMap<String, Vec<u8>> {
    bundle(10, 10 * (RULES_IN_SLICE - 3) + 3)
}
