//! Liveness and readiness, for whoever watches the process.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::intents::json as answer;
use super::{App, Problem};

/// `GET /healthz`: the process answers. Nothing more.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: whether intents would be sealed now.
pub(super) async fn readyz(State(service): App) -> Response {
    if let Err(error) = service.readiness() {
        return Problem(error).into_response();
    }
    let published = service.published();
    let body = json!({ "ready": true, "size": published.size, "in_hand": service.ledger().in_hand() });
    answer(StatusCode::OK, &body).unwrap_or_else(|error| Problem(error).into_response())
}
