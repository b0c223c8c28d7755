//! Errors as RFC 9457 problem details.

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::api::failures::log_failure;
use crate::service::{ErrorCode, SealedState, Service, ServiceError};

/// An error, on its way out.
#[derive(Debug)]
pub struct Problem(pub ServiceError);

/// RFC 9457, with our members.
#[derive(Serialize)]
pub(super) struct Body<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    /// `false`: nothing was. `true`: it was. `null`: not known. Absent: the request seals nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<Option<bool>>,
    retry: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

/// The body of an error.
pub(super) fn body_of(error: &ServiceError) -> Body<'_> {
    let code = error.code;
    Body {
        r#type: format!("urn:foreseal:error:{}", code.as_str()),
        title: code.meaning().trim(),
        status: code.status(),
        detail: &error.detail,
        code: code.as_str(),
        sealed: match code.sealed() {
            SealedState::No => Some(Some(false)),
            SealedState::Yes => Some(Some(true)),
            SealedState::Unknown => Some(None),
            SealedState::NotAsked => None,
        },
        retry: code.retry(),
        hint: error.hint,
    }
}

impl Problem {
    /// An error that is also counted, if it refused something before it was sealed.
    pub(crate) fn counted(service: &Service, error: ServiceError) -> Self {
        if error.code.refuses() {
            service.count_refused(error.code);
        }
        Self(error)
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self(ServiceError::new(ErrorCode::MalformedRequest, rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self(ServiceError::new(ErrorCode::MalformedRequest, rejection.body_text()))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let code = error.code;
        let body = body_of(&error);
        log_failure(&error);
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], bytes).into_response();
        let headers = response.headers_mut();
        // The next answer may be another: a tile that is not there yet will be.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if matches!(
            code,
            ErrorCode::Unauthenticated | ErrorCode::SignatureRequired | ErrorCode::SignatureInvalid
        ) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"foreseal\""));
        }
        response
    }
}
