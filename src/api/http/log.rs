//! The log itself, as C2SP tlog-tiles, and proofs.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::credentials::bearer;
use super::intents::{blocking, json};
use super::query::Number;
use super::{App, Problem};
use crate::merkle::TilePath;
use crate::service::{ErrorCode, Service, ServiceError};

/// `?index=&size=`
#[derive(Deserialize)]
pub(super) struct Inclusion {
    index: Number,
    size: Option<Number>,
}

/// `?from=&to=`
#[derive(Deserialize)]
pub(super) struct Consistency {
    from: Number,
    to: Option<Number>,
}

fn authorize(service: &Service, headers: &HeaderMap) -> Result<(), Problem> {
    bearer(headers)
        .and_then(|token| service.authorize_log_read(token))
        .map_err(|error| Problem::counted(service, error))
}

/// What caches may keep. With a credential in the request only the reader's own.
fn cache_control(service: &Service, lifetime: &str) -> String {
    let scope = if service.is_log_public() { "public" } else { "private" };
    format!("{scope}, {lifetime}")
}

/// `GET /checkpoint`
pub(super) async fn checkpoint(State(service): App, headers: HeaderMap) -> Result<Response, Problem> {
    authorize(&service, &headers)?;
    let note = service.published().checkpoint.to_string();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CACHE_CONTROL, cache_control(&service, "max-age=1")),
    ];
    Ok((headers, note).into_response())
}

/// `GET /tile/<L>/<N>[.p/<W>]` and `GET /tile/entries/<N>[.p/<W>]`
pub(super) async fn tile(
    State(service): App,
    headers: HeaderMap,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    authorize(&service, &headers)?;
    let Path(path) = path?;
    let path: TilePath = format!("tile/{path}").parse().map_err(|e| {
        Problem(ServiceError::new(ErrorCode::NotInLog, format!("tile/{path} is no tile's path: {e}")))
    })?;
    let theirs = std::sync::Arc::clone(&service);
    let bytes = blocking(move || theirs.tile(&path)).await.map_err(Problem)?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CACHE_CONTROL, cache_control(&service, "max-age=31536000, immutable")),
    ];
    Ok((headers, bytes).into_response())
}

/// `GET /v1/proofs/inclusion`
pub(super) async fn inclusion(
    State(service): App,
    headers: HeaderMap,
    query: Result<Query<Inclusion>, QueryRejection>,
) -> Result<Response, Problem> {
    authorize(&service, &headers)?;
    let Query(asked) = query?;
    let theirs = std::sync::Arc::clone(&service);
    let proof = blocking(move || theirs.inclusion(asked.index.0, asked.size.map(|size| size.0)))
        .await
        .map_err(Problem)?;
    json(StatusCode::OK, &proof).map_err(Problem)
}

/// `GET /v1/proofs/consistency`
pub(super) async fn consistency(
    State(service): App,
    headers: HeaderMap,
    query: Result<Query<Consistency>, QueryRejection>,
) -> Result<Response, Problem> {
    authorize(&service, &headers)?;
    let Query(asked) = query?;
    let theirs = std::sync::Arc::clone(&service);
    let proof =
        blocking(move || theirs.consistency(asked.from.0, asked.to.map(|to| to.0))).await.map_err(Problem)?;
    json(StatusCode::OK, &proof).map_err(Problem)
}
