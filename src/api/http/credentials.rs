//! Credentials and bodies of requests.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, header};

use crate::record::limits;
use crate::service::{Caller, ErrorCode, Service, ServiceError};

/// The bearer token of a request, if it has one.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Who is asking.
pub(super) fn caller(service: &Service, headers: &HeaderMap) -> Result<Caller, ServiceError> {
    service.authenticate(bearer(headers))
}

/// A header's text, if it is there.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ServiceError> {
    let malformed = || ServiceError::new(ErrorCode::MalformedRequest, format!("{name} is not plain text"));
    headers.get(name).map(|value| value.to_str().map(str::to_owned).map_err(|_| malformed())).transpose()
}

/// A JSON body, capped.
pub(super) async fn json_body(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Vec<u8>, ServiceError> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = format!("the body is {media_type:?}, not application/json");
        return Err(ServiceError::new(ErrorCode::UnsupportedMediaType, detail)
            .hint("send Content-Type: application/json"));
    }
    match to_bytes(body, bytes_max).await {
        Ok(bytes) => Ok(bytes.into()),
        Err(error) if is_too_long(&error) => {
            Err(ServiceError::new(ErrorCode::TooLarge, format!("the body is over {bytes_max} bytes")))
        }
        Err(_) => Err(ServiceError::new(ErrorCode::MalformedRequest, "the body ended before it was whole")),
    }
}

fn is_too_long(error: &axum::Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.to_string().contains("length limit"))
}

/// A JSON body of a known shape.
pub(super) async fn typed_body<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ServiceError> {
    let bytes = json_body(headers, body, limits::BODY_MAX_BYTES * 2).await?;
    let malformed = |detail: String| ServiceError::new(ErrorCode::MalformedRequest, detail);
    let json_limits = crate::record::json::JsonLimits { max_bytes: bytes.len(), ..Default::default() };
    let value =
        crate::record::json::parse_with(&bytes, &json_limits).map_err(|e| malformed(e.to_string()))?;
    serde_json::from_value(value).map_err(|e| malformed(e.to_string()))
}
