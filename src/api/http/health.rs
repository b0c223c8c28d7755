//! Liveness and readiness, for whoever watches the process.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::intents::json as answer;
use super::{App, Problem};
use crate::service::ServiceError;

/// `GET /healthz`: the process answers. Nothing more.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether intents would be sealed now, and if not the code. Whoever may ask without a credential learns no
/// more: not how large the log is, nor what failed where.
pub(super) async fn readyz(State(service): App) -> Response {
    if let Err(error) = service.readiness() {
        let detail = "no intent would be sealed now; the log and the metrics say why";
        return Problem(ServiceError::new(error.code, detail)).into_response();
    }
    answer(StatusCode::OK, &json!({ "ready": true })).unwrap_or_else(|error| Problem(error).into_response())
}
