//! `/v1/intents`: submit, and read back.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use uuid::Uuid;

use super::credentials::{caller, json_body, text};
use super::{App, Problem};
use crate::evidence::Answer;
use crate::record::intent::is_id;
use crate::record::limits;
use crate::service::{Caller, ErrorCode, Service, ServiceError, SubmissionHeaders};

/// Whose intent is meant, for operators.
#[derive(Deserialize)]
pub(super) struct Whose {
    agent: Option<String>,
}

impl Whose {
    /// The agent's name.
    pub(super) fn agent(self) -> Result<Option<String>, ServiceError> {
        if self.agent.as_deref().is_some_and(|agent| !is_id(agent)) {
            let detail =
                format!("?agent: must be 1 to {} characters of A-Z a-z 0-9 . _ : -", limits::ID_MAX_CHARS);
            return Err(ServiceError::new(ErrorCode::MalformedRequest, detail));
        }
        Ok(self.agent)
    }
}

type AskedId = Result<Path<String>, PathRejection>;
type AskedWhose = Result<Query<Whose>, QueryRejection>;

/// `POST /v1/intents`
pub(super) async fn submit(State(service): App, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let sealed = async {
        let caller = caller(&service, &headers)?;
        let submission = SubmissionHeaders {
            seed: text(&headers, "foreseal-seed")?,
            signature: text(&headers, "foreseal-signature")?,
        };
        // What is known now is said now, and not after the body was read.
        service.check_admission()?;
        let (body, _room) = json_body(&service, &headers, body, limits::BODY_MAX_BYTES).await?;
        service.submit(&caller, body, &submission).await
    };
    let answer = sealed.await.map_err(|error| Problem::counted(&service, error))?;
    json(StatusCode::CREATED, &answer).map_err(Problem)
}

/// `GET /v1/intents/{id}`
pub(super) async fn get(
    State(service): App,
    headers: HeaderMap,
    id: AskedId,
    whose: AskedWhose,
) -> Result<Response, Problem> {
    let answer = read(&service, &headers, id, whose).await?;
    json(StatusCode::OK, &answer).map_err(Problem)
}

/// `GET /v1/intents/{id}/receipt`: the tlog-proof alone.
pub(super) async fn receipt(
    State(service): App,
    headers: HeaderMap,
    id: AskedId,
    whose: AskedWhose,
) -> Result<Response, Problem> {
    let answer = read(&service, &headers, id, whose).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], answer.receipt).into_response())
}

/// `GET /v1/intents/{id}/payload`
pub(super) async fn payload(
    State(service): App,
    headers: HeaderMap,
    id: AskedId,
    whose: AskedWhose,
) -> Result<Response, Problem> {
    let (caller, id, agent) = asked(&service, &headers, id, whose)?;
    service.settle(&caller, id, agent.as_deref()).await;
    let theirs = std::sync::Arc::clone(&service);
    let view = blocking(move || theirs.payload(&caller, id, agent.as_deref())).await.map_err(Problem)?;
    json(StatusCode::OK, &view).map_err(Problem)
}

async fn read(
    service: &std::sync::Arc<Service>,
    headers: &HeaderMap,
    id: AskedId,
    whose: AskedWhose,
) -> Result<Answer, Problem> {
    let (caller, id, agent) = asked(service, headers, id, whose)?;
    service.settle(&caller, id, agent.as_deref()).await;
    let theirs = std::sync::Arc::clone(service);
    blocking(move || theirs.intent(&caller, id, agent.as_deref())).await.map_err(Problem)
}

/// Who asks for which intent of whom. What was asked is read only for those who may ask.
fn asked(
    service: &Service,
    headers: &HeaderMap,
    id: AskedId,
    whose: AskedWhose,
) -> Result<(Caller, Uuid, Option<String>), Problem> {
    let caller = caller(service, headers).map_err(|error| Problem::counted(service, error))?;
    let (Path(id), Query(whose)) = (id?, whose?);
    let id = Uuid::try_parse(&id).map_err(|_| {
        Problem(ServiceError::new(
            ErrorCode::MalformedRequest,
            "the path's last part must be an intent's id, a UUID",
        ))
    })?;
    Ok((caller, id, whose.agent().map_err(Problem)?))
}

/// Runs a read that may touch the disk where it does not hold up other requests.
pub(in crate::api) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|_| Err(ServiceError::new(ErrorCode::Damaged, "the read ended without an answer")))
}

/// A JSON response.
pub(super) fn json<T: serde::Serialize>(status: StatusCode, body: &T) -> Result<Response, ServiceError> {
    let bytes = serde_json::to_vec(body).map_err(|e| ServiceError::new(ErrorCode::Damaged, e.to_string()))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}
