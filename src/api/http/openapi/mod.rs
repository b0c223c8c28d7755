//! The description of the surface: OpenAPI 3.1 and a page to read it, both made from the table the router is made from.
//!
//! Nothing here is asked for a credential: the description is the same for every installation and holds nothing of any.

mod answer;
mod document;
mod examples;
pub(super) mod exports;
pub(super) mod operation;
pub(super) mod operations;
mod page;
mod page_schema;
pub(super) mod parties;
mod party_shapes;
pub(super) mod policies;
mod shapes;

use std::sync::OnceLock;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::{Problem, routes};
use crate::service::{ErrorCode, ServiceError};

/// Of the page: nothing but its own style sheet, no script from anywhere, in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const STYLE: &str = include_str!("style.css");

/// The OpenAPI document of this build. `schemas/openapi.json` is this, and `GET /openapi.json` too.
///
/// # Errors
/// A file of `schemas/` that is no JSON: excluded by the tests of whoever built it.
pub fn document() -> Result<Value, serde_json::Error> {
    document::of(&routes::operations())
}

/// The JSON Schema of a declared intent, to stand alone: `schemas/intent.schema.json`.
#[must_use]
pub fn intent_schema() -> Value {
    shapes::intent_file()
}

/// Made once, kept as text.
fn made(
    once: &'static OnceLock<Result<String, String>>,
    make: impl FnOnce() -> Result<String, serde_json::Error>,
) -> Result<&'static str, Problem> {
    let text = once.get_or_init(|| make().map_err(|error| error.to_string()));
    text.as_deref().map_err(|error| {
        Problem(ServiceError::new(ErrorCode::Damaged, format!("the description cannot be made: {error}")))
    })
}

/// `GET /openapi.json`
pub(super) async fn openapi() -> Result<Response, Problem> {
    static DOCUMENT: OnceLock<Result<String, String>> = OnceLock::new();
    let text = made(&DOCUMENT, || serde_json::to_string(&document()?))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// `GET /docs`
pub(super) async fn docs() -> Result<Response, Problem> {
    static PAGE: OnceLock<Result<String, String>> = OnceLock::new();
    let text = made(&PAGE, || Ok(page::of(&document()?)))?;
    Ok(guarded("text/html; charset=utf-8", text))
}

/// `GET /docs/style.css`
pub(super) async fn style() -> Response {
    guarded("text/css; charset=utf-8", STYLE)
}

fn guarded(content_type: &'static str, text: &'static str) -> Response {
    let mut response = ([(header::CONTENT_TYPE, content_type)], text).into_response();
    let headers = response.headers_mut();
    let guards = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in guards {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
