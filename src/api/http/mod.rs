//! HTTP: routes, limits, and serving until told to stop.

mod admin;
mod connection;
pub(super) mod credentials;
mod exports;
mod health;
pub(super) mod intents;
mod listener;
mod log;
mod metrics;
pub mod openapi;
mod parties;
mod policies;
mod problem;
mod query;
mod routes;
mod sessions;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

pub use listener::{Listener, ListenerLimits};
pub use problem::Problem;
pub use routes::router;

use crate::record::limits;
use crate::service::{ErrorCode, Service, ServiceError};

/// A request that has no answer after this is answered `timed_out`.
const REQUEST_TIMEOUT: Duration = Duration::from_millis(limits::REQUEST_MAX_MS);

/// Shared by all handlers.
pub(crate) type App = State<Arc<Service>>;

/// Serves until `stop` resolves, then lets open requests finish within 15 s.
pub async fn serve(
    listener: impl Into<Listener>,
    service: Arc<Service>,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let told = Arc::clone(&service);
    let stop = async move {
        stop.await;
        told.begin_to_stop();
    };
    serve_routes(listener, router(service), stop).await;
}

/// As [`serve`], for any routes.
pub async fn serve_routes(
    listener: impl Into<Listener>,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    listener.into().serve(routes, stop).await;
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

async fn no_route(request: Request) -> Response {
    if let Some(refused) = crate::api::grpc::no_service(&request) {
        return refused;
    }
    let path = request.uri().path();
    let error = ServiceError::new(ErrorCode::NotFound, format!("there is no {}", shown(path)));
    let is_slashed = path.len() > 1 && path.ends_with('/');
    Problem(if is_slashed {
        error.hint("leave out the slash at the end")
    } else {
        error.hint("GET /docs lists what there is")
    })
    .into_response()
}

async fn no_method(request: Request) -> Problem {
    let detail =
        format!("{} is not a method of {}", shown(request.method().as_str()), shown(request.uri().path()));
    Problem(ServiceError::new(ErrorCode::MethodNotAllowed, detail).hint("the header Allow lists its methods"))
}

/// A path as an error repeats it: the client's, and possibly long.
fn shown(path: &str) -> String {
    match path.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", path.get(..end).unwrap_or_default()),
        None => path.to_owned(),
    }
}
