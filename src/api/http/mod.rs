//! HTTP: routes, limits, and serving until told to stop.

mod admin;
mod credentials;
mod exports;
mod health;
mod intents;
mod log;
mod problem;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

pub use problem::Problem;

use crate::service::{ErrorCode, Service, ServiceError};

/// A request that has no answer after this is answered `timed_out`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long open connections may take to finish when the service stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);

/// Shared by all handlers.
pub(crate) type App = State<Arc<Service>>;

/// The routes over a service.
pub fn router(service: Arc<Service>) -> Router {
    let log = Router::new()
        .route("/checkpoint", get(log::checkpoint))
        .route("/tile/{*path}", get(log::tile))
        // Bundles and checkpoints compress well; tiles of hashes do not, and cost little.
        .layer(tower_http::compression::CompressionLayer::new().gzip(true));
    let api = Router::new()
        .route("/v1/intents", post(intents::submit))
        .route("/v1/intents/{id}", get(intents::get))
        .route("/v1/intents/{id}/receipt", get(intents::receipt))
        .route("/v1/intents/{id}/payload", get(intents::payload))
        .route("/v1/proofs/inclusion", get(log::inclusion))
        .route("/v1/proofs/consistency", get(log::consistency))
        .route("/v1/agents", get(admin::agents).post(admin::register_agent))
        .route("/v1/agents/{name}/rotate", post(admin::rotate_agent))
        .route("/v1/agents/{name}/revoke", post(admin::revoke_agent))
        .route("/v1/policies", get(admin::policy).post(admin::activate_policy))
        .layer(DefaultBodyLimit::disable());
    Router::new()
        .merge(log)
        .merge(api)
        .layer(middleware::from_fn(time_out))
        // A range may take long to read before its first byte; its own limits bound it.
        .route("/v1/exports", post(exports::export).layer(DefaultBodyLimit::disable()))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(service)
}

/// Serves until `stop` resolves, then lets open requests finish within 15 s.
///
/// # Errors
/// What accepting connections failed with.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = axum::serve(listener, router(service)).with_graceful_shutdown(async move {
        stop.await;
        let _ = stopping.send(());
    });
    tokio::select! {
        served = serving => served,
        () = async {
            let _ = stopped.await;
            tokio::time::sleep(DRAIN_TIMEOUT).await;
        } => Ok(()),
    }
}

async fn time_out(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("no answer within {} s", REQUEST_TIMEOUT.as_secs());
            Problem(ServiceError::new(ErrorCode::TimedOut, detail)).into_response()
        }
    }
}

async fn no_route(request: Request) -> Problem {
    Problem(ServiceError::new(ErrorCode::NotFound, format!("there is no {}", request.uri().path())))
}

async fn no_method(request: Request) -> Problem {
    let detail = format!("{} is not a method of {}", request.method(), request.uri().path());
    Problem(ServiceError::new(ErrorCode::MethodNotAllowed, detail))
}
