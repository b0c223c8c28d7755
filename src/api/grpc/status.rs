//! Errors as gRPC statuses: the one table, and what travels beside a status.

use std::collections::HashMap;
use std::time::Duration;

use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::v1;
use crate::api::failures::log_failure;
use crate::service::{ErrorCode, SealedState, Service, ServiceError};

/// Characters of a detail that fit into headers next to everything else.
const DETAIL_MAX_CHARS: usize = 1_000;
/// The domain of [`tonic_types::ErrorInfo`].
const DOMAIN: &str = "foreseal";
/// The metadata that carries the stable code.
const CODE: &str = "foreseal-code";
/// How long to wait before trying again, where trying again may help: what `Retry-After` says over HTTP.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The gRPC status of an error. `docs/grpc.md` is this table.
#[must_use]
pub const fn status_of(code: ErrorCode) -> Code {
    match code {
        ErrorCode::MalformedIntent
        | ErrorCode::MalformedRequest
        | ErrorCode::MalformedStatement
        | ErrorCode::InvalidPolicy
        | ErrorCode::TooLarge
        | ErrorCode::UriTooLong
        | ErrorCode::ExportTooLarge => Code::InvalidArgument,
        ErrorCode::Unauthenticated | ErrorCode::SignatureRequired | ErrorCode::SignatureInvalid => {
            Code::Unauthenticated
        }
        ErrorCode::AuthorNotAllowed | ErrorCode::Forbidden | ErrorCode::AgentMismatch => {
            Code::PermissionDenied
        }
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::NotInLog => Code::OutOfRange,
        // A compressed message, too: so the protocol has it.
        ErrorCode::MethodNotAllowed | ErrorCode::UnsupportedMediaType => Code::Unimplemented,
        ErrorCode::IdReused | ErrorCode::NameTaken => Code::AlreadyExists,
        ErrorCode::IdOutsideWindow
        | ErrorCode::CreatedOutsideWindow
        | ErrorCode::AmbiguousId
        | ErrorCode::SessionOpen
        | ErrorCode::SessionNotOpen
        | ErrorCode::CallNotAllowed
        | ErrorCode::NotProven => Code::FailedPrecondition,
        ErrorCode::OutcomeReported => Code::AlreadyExists,
        ErrorCode::TooManyAgents | ErrorCode::TooManyRegistrations | ErrorCode::TooManySessions => {
            Code::ResourceExhausted
        }
        ErrorCode::Damaged | ErrorCode::SealedUnanswered => Code::DataLoss,
        // Not one that clients retry by themselves.
        ErrorCode::OutcomeUnknown => Code::Unknown,
        ErrorCode::Overloaded
        | ErrorCode::Poisoned
        | ErrorCode::Stopping
        | ErrorCode::ClockBehind
        | ErrorCode::ClockAhead => Code::Unavailable,
        ErrorCode::TimedOut | ErrorCode::BodyTooSlow => Code::DeadlineExceeded,
    }
}

fn sealed_name(state: SealedState) -> &'static str {
    match state {
        SealedState::No => "no",
        SealedState::Yes => "yes",
        SealedState::Unknown => "unknown",
        SealedState::NotAsked => "not_asked",
    }
}

fn shown(detail: &str) -> String {
    match detail.char_indices().nth(DETAIL_MAX_CHARS) {
        Some((end, _)) => format!("{}…", detail.get(..end).unwrap_or_default()),
        None => detail.to_owned(),
    }
}

/// Counts an error that refused something before it was sealed, and logs one that nobody should see.
fn note(service: &Service, error: &ServiceError) {
    if error.code.refuses() {
        service.count_refused(error.code);
    }
    log_failure(error);
}

/// An error as the end of a call, counted if it refused something before it was sealed.
pub(super) fn status(service: &Service, error: &ServiceError) -> Status {
    note(service, error);
    ended(error)
}

/// Neither the path's service nor its method, as far as gRPC is concerned.
pub(super) fn no_method() -> ServiceError {
    ServiceError::new(ErrorCode::MethodNotAllowed, "there is no such method")
        .hint("proto/foreseal/v1 has the methods, and reflection too")
}

/// A refusal by the gRPC library as one of the service's own: what is no message of the interface. `None` for what has its
/// code, or is no refusal of a request.
pub(super) fn named(service: &Service, refused: &Status, is_compressed: bool) -> Option<Status> {
    if refused.metadata().contains_key(CODE) {
        return None;
    }
    let error = match refused.code() {
        Code::OutOfRange | Code::ResourceExhausted => {
            ServiceError::new(ErrorCode::TooLarge, refused.message())
        }
        Code::Internal => ServiceError::new(ErrorCode::MalformedRequest, refused.message()),
        Code::Unimplemented if is_compressed => {
            ServiceError::new(ErrorCode::UnsupportedMediaType, refused.message())
        }
        Code::Unimplemented => no_method(),
        _ => return None,
    };
    let mut named = status(service, &error);
    if is_compressed {
        // The protocol asks to say what would be read.
        named.metadata_mut().insert("grpc-accept-encoding", AsciiMetadataValue::from_static("identity"));
    }
    Some(named)
}

/// An error as the end of a stream.
pub(super) fn ended(error: &ServiceError) -> Status {
    let code = error.code;
    let said = [
        ("code", Some(code.as_str())),
        ("sealed", Some(sealed_name(code.sealed()))),
        ("retry", Some(code.retry())),
        ("hint", error.hint),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let mut details = ErrorDetails::new();
    let in_details: HashMap<String, String> =
        said.clone().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    details.set_error_info(code.as_str().to_ascii_uppercase(), DOMAIN, in_details);
    if code.status() == 503 {
        details.set_retry_info(Some(RETRY_DELAY));
    }
    let mut metadata = MetadataMap::new();
    for (name, value) in said {
        let key = match name {
            "code" => CODE,
            "sealed" => "foreseal-sealed",
            "retry" => "foreseal-retry",
            _ => "foreseal-hint",
        };
        if let Ok(value) = AsciiMetadataValue::try_from(value) {
            metadata.insert(key, value);
        }
    }
    Status::with_error_details_and_metadata(status_of(code), shown(&error.detail), details, metadata)
}

/// An error as a message of a stream that goes on, counted as [`status`] does.
pub(super) fn message(service: &Service, error: &ServiceError) -> v1::Error {
    note(service, error);
    let sealed = match error.code.sealed() {
        SealedState::No => v1::SealedState::No,
        SealedState::Yes => v1::SealedState::Yes,
        SealedState::Unknown => v1::SealedState::Unknown,
        SealedState::NotAsked => v1::SealedState::NotAsked,
    };
    v1::Error {
        code: error.code.as_str().to_owned(),
        detail: shown(&error.detail),
        sealed: sealed.into(),
        retry: error.code.retry().to_owned(),
        hint: error.hint.map(str::to_owned),
        status: status_of(error.code).into(),
    }
}
