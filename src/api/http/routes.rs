//! The one table of routes. A handler comes in only with its description, so a route without one cannot exist.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Query, Request, State};
use axum::handler::Handler;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::on;

use super::openapi::operation::{Needs, Operation, Place};
use super::openapi::{self, operations as described, parties as of_parties, policies as of_policies};
use super::{
    App, Problem, admin, credentials, exports, health, intents, log, metrics, no_method, no_route, parties,
    policies, sessions, time_out,
};
use crate::api::grpc;
use crate::record::limits;
use crate::service::{ErrorCode, Service, ServiceError};

type Routed = Router<Arc<Service>>;

/// Routes and what is said of them.
struct Described {
    router: Routed,
    operations: Vec<&'static Operation>,
}

impl Described {
    fn new() -> Self {
        Self { router: Router::new(), operations: Vec::new() }
    }

    /// Takes a handler, with its description.
    fn with<T: 'static>(
        mut self,
        operation: &'static Operation,
        handler: impl Handler<T, Arc<Service>>,
    ) -> Self {
        self.operations.push(operation);
        Self { router: self.router.route(operation.path, on(operation.method.filter(), handler)), ..self }
    }

    fn layered(self, layer: impl FnOnce(Routed) -> Routed) -> Self {
        Self { router: layer(self.router), ..self }
    }

    fn and(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        Self { router: self.router.merge(other.router), ..self }
    }
}

/// In the order of the documentation.
fn routes() -> Described {
    let intents = Described::new()
        .with(&described::SUBMIT, intents::submit)
        .with(&described::GET_INTENT, intents::get)
        .with(&described::GET_RECEIPT, intents::receipt)
        .with(&described::GET_PAYLOAD, intents::payload)
        .with(&of_parties::OPEN_SESSION, sessions::open)
        .with(&of_parties::TAKE_TURN, sessions::take_turn)
        .with(&of_parties::REPORT_OUTCOME, sessions::report);
    let log = Described::new()
        .with(&described::CHECKPOINT, log::checkpoint)
        .with(&described::TILE, log::tile)
        // Bundles and checkpoints compress well; tiles of hashes do not, and cost little.
        .layered(|router| router.layer(tower_http::compression::CompressionLayer::new().gzip(true)));
    let rest = Described::new()
        .with(&described::INCLUSION, log::inclusion)
        .with(&described::CONSISTENCY, log::consistency)
        .with(&described::REGISTER_AGENT, admin::register_agent)
        .with(&described::AGENTS, admin::agents)
        .with(&described::ROTATE_AGENT, admin::rotate_agent)
        .with(&described::REVOKE_AGENT, admin::revoke_agent)
        .with(&of_parties::REGISTER_APPLICATION, parties::register_application)
        .with(&of_parties::APPLICATIONS, parties::applications)
        .with(&of_parties::ROTATE_APPLICATION, parties::rotate_application)
        .with(&of_parties::REVOKE_APPLICATION, parties::revoke_application)
        .with(&of_parties::REGISTER_TOOL_SERVER, parties::register_tool_server)
        .with(&of_parties::TOOL_SERVERS, parties::tool_servers)
        .with(&of_parties::ROTATE_TOOL_SERVER, parties::rotate_tool_server)
        .with(&of_parties::REVOKE_TOOL_SERVER, parties::revoke_tool_server)
        .with(&of_policies::POLICY, policies::active)
        .with(&of_policies::ACTIVATE_POLICY, policies::activate)
        .with(&of_policies::POLICY_HISTORY, policies::history)
        .with(&of_policies::SEALED_POLICY, policies::sealed)
        .with(&of_policies::ROLL_BACK_POLICY, policies::roll_back)
        .with(&of_policies::WITHDRAW_SHADOW, policies::withdraw)
        .with(&described::METRICS, metrics::metrics);
    // A range may take long to read before the first byte comes; its own limits bound it.
    let slow = Described::new()
        .with(&openapi::exports::EXPORT, exports::export)
        .layered(|router| router.layer(DefaultBodyLimit::disable()));
    let open = Described::new()
        .with(&described::HEALTHZ, health::healthz)
        .with(&described::READYZ, health::readyz)
        .with(&described::OPENAPI, openapi::openapi)
        .with(&described::DOCS, openapi::docs)
        .with(&described::DOCS_STYLE, openapi::style);
    intents
        .and(log)
        .and(rest)
        .layered(|router| router.layer(DefaultBodyLimit::disable()).layer(middleware::from_fn(time_out)))
        .and(slow)
        .and(open)
}

/// Every operation that has a route.
pub(super) fn operations() -> Vec<&'static Operation> {
    routes().operations
}

/// The routes over a service.
pub fn router(service: Arc<Service>) -> Router {
    routes()
        .router
        .merge(grpc::routes(&service))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&service), check_target))
        .with_state(service)
}

/// Refuses what no path takes: a target over the limit, and query parameters that the path does not know or that come
/// twice. Ignoring them would answer another question than the one that was asked.
async fn check_target(State(service): App, request: Request, next: Next) -> Response {
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if length > limits::URI_MAX_BYTES {
        let detail =
            format!("path and query have {length} bytes, at most {} are taken", limits::URI_MAX_BYTES);
        return Problem::counted(&service, ServiceError::new(ErrorCode::UriTooLong, detail)).into_response();
    }
    if uri.query().is_some_and(|query| !query.is_empty())
        && let Some(path) = request.extensions().get::<MatchedPath>()
        && let Some(operation) = operation_of(path.as_str(), request.method())
        && let Err(error) = check_query(operation, uri)
    {
        // What was asked is looked at only for those who may ask.
        let token = credentials::bearer(request.headers());
        let asked = match operation.needs {
            Needs::Nothing => Ok(()),
            Needs::LogReader => token.and_then(|token| service.authorize_log_read(token)),
            Needs::AnyCaller | Needs::Agent | Needs::Application | Needs::ToolServer => {
                token.and_then(|token| service.authenticate(token)).map(drop)
            }
            Needs::Operator => {
                let caller = token.and_then(|token| service.authenticate(token));
                caller.and_then(|caller| caller.operator()).map(drop)
            }
        };
        return Problem::counted(&service, asked.err().unwrap_or(error)).into_response();
    }
    next.run(request).await
}

fn operation_of(path: &str, method: &axum::http::Method) -> Option<&'static Operation> {
    static ALL: OnceLock<Vec<&'static Operation>> = OnceLock::new();
    let all = ALL.get_or_init(operations);
    all.iter().copied().find(|operation| operation.path == path && operation.method.takes(method))
}

fn check_query(operation: &Operation, uri: &axum::http::Uri) -> Result<(), ServiceError> {
    let malformed = |detail: String| ServiceError::new(ErrorCode::MalformedRequest, detail);
    let Query(pairs) =
        Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|e| malformed(e.body_text()))?;
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &pairs {
        let known = || operation.parameters.iter().filter(|p| p.place == Place::Query).map(|p| p.name);
        let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
        if !known().any(|known| known == name) {
            let names = known().collect::<Vec<_>>().join(", ");
            let names = if names.is_empty() { "none".to_owned() } else { names };
            return Err(malformed(format!("?{shown}: unknown query parameter; known are {names}")));
        }
        if seen.contains(&name.as_str()) {
            return Err(malformed(format!("?{shown}: given twice")));
        }
        // What was not UTF-8 has become this by now.
        if value.contains(char::REPLACEMENT_CHARACTER) {
            return Err(malformed(format!("?{shown}: not UTF-8")));
        }
        seen.push(name);
    }
    Ok(())
}
