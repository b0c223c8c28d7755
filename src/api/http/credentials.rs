//! Credentials and bodies of requests.

use std::time::Duration;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::http::{HeaderMap, HeaderValue, header};

use crate::record::limits;
use crate::service::{Caller, ErrorCode, Room, Service, ServiceError};

/// A body that is not whole after this is given up.
const BODY_TIMEOUT: Duration = Duration::from_millis(limits::BODY_MAX_MS);

/// The bearer token of a request, if it has one.
///
/// # Errors
/// [`ErrorCode::MalformedRequest`]: two credentials, so that it is not said who asks.
pub(in crate::api) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ServiceError> {
    let Some(value) = only(headers, header::AUTHORIZATION.as_str())? else { return Ok(None) };
    let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
    Ok(bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim()))
}

/// Who is asking.
pub(super) fn caller(service: &Service, headers: &HeaderMap) -> Result<Caller, ServiceError> {
    service.authenticate(bearer(headers)?)
}

/// A header that means something only once.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a HeaderValue>, ServiceError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(ServiceError::new(ErrorCode::MalformedRequest, format!("{name} is given twice"))),
    }
}

/// A header's text, if it is there.
pub(super) fn text(headers: &HeaderMap, name: &str) -> Result<Option<String>, ServiceError> {
    let malformed = || ServiceError::new(ErrorCode::MalformedRequest, format!("{name} is not plain text"));
    only(headers, name)?.map(|value| value.to_str().map(str::to_owned).map_err(|_| malformed())).transpose()
}

/// Refuses a body that is said to be anything but JSON in UTF-8, as it is.
fn check_media_type(headers: &HeaderMap) -> Result<(), ServiceError> {
    let refused = |detail: String| {
        ServiceError::new(ErrorCode::UnsupportedMediaType, detail).hint("send Content-Type: application/json")
    };
    let said = text(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    let (media_type, parameters) = said.split_once(';').unwrap_or((&said, ""));
    if !media_type.trim().eq_ignore_ascii_case("application/json") {
        return Err(refused(format!("the body is {:?}, not application/json", media_type.trim())));
    }
    for parameter in parameters.split(';') {
        let charset = parameter.trim().to_ascii_lowercase();
        let charset = charset.strip_prefix("charset=").map(|charset| charset.trim_matches('"'));
        if let Some(charset) = charset.filter(|charset| *charset != "utf-8") {
            return Err(refused(format!("the body is in {charset:?}, not in UTF-8")));
        }
    }
    match text(headers, header::CONTENT_ENCODING.as_str())?.as_deref() {
        None | Some("identity") => Ok(()),
        Some(coding) => Err(refused(format!("the body is encoded as {coding:?}")).hint("send it as it is")),
    }
}

/// A JSON body, capped, with its share of the room that bodies have together: to be held for as long as the body is. What
/// can be refused without reading is.
pub(super) async fn json_body(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<(Vec<u8>, Room), ServiceError> {
    check_media_type(headers)?;
    let too_large = || ServiceError::new(ErrorCode::TooLarge, format!("the body is over {bytes_max} bytes"));
    let at_least = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if at_least > bytes_max {
        return Err(too_large());
    }
    let at_most = body.size_hint().upper().and_then(|upper| usize::try_from(upper).ok());
    let mut room = service.room_for(at_most.map_or(bytes_max, |upper| upper.min(bytes_max)))?;
    let read = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, bytes_max)).await.map_err(|_| {
        let detail = format!("the body was not whole after {} s", BODY_TIMEOUT.as_secs());
        ServiceError::new(ErrorCode::BodyTooSlow, detail)
    })?;
    let bytes: Vec<u8> = match read {
        Ok(bytes) => bytes.into(),
        Err(error) if is_too_long(&error) => return Err(too_large()),
        Err(_) => {
            let detail = "the body ended before it was whole";
            return Err(ServiceError::new(ErrorCode::MalformedRequest, detail));
        }
    };
    room.keep(bytes.len());
    Ok((bytes, room))
}

fn is_too_long(error: &axum::Error) -> bool {
    use std::error::Error as _;
    error.source().is_some_and(|source| source.to_string().contains("length limit"))
}

/// A JSON body of a known shape.
pub(super) async fn typed_body<T: serde::de::DeserializeOwned>(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, ServiceError> {
    let value = body_value(service, headers, body, limits::ADMIN_BODY_MAX_BYTES).await?;
    serde_json::from_value(value).map_err(|e| ServiceError::new(ErrorCode::MalformedRequest, e.to_string()))
}

/// A strict JSON body, capped.
pub(super) async fn body_value(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<serde_json::Value, ServiceError> {
    let (bytes, _room) = json_body(service, headers, body, bytes_max).await?;
    let json_limits = crate::record::json::JsonLimits { max_bytes: bytes.len(), ..Default::default() };
    crate::record::json::parse_with(&bytes, &json_limits)
        .map_err(|e| ServiceError::new(ErrorCode::MalformedRequest, e.to_string()))
}
