//! `/v1/sessions`, its turns, and the outcomes of intents: what applications and tool servers say.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;
use uuid::Uuid;

use super::credentials::{body_value, caller};
use super::intents::{Whose, json};
use super::{App, Problem};
use crate::record::limits;
use crate::service::{ErrorCode, Service, ServiceError};

type AskedId = Result<Path<String>, PathRejection>;

/// `POST /v1/sessions`
pub(super) async fn open(State(service): App, headers: HeaderMap, body: Body) -> Result<Response, Problem> {
    let opened = async {
        let caller = caller(&service, &headers)?;
        caller.application()?;
        service.open_session(&caller, read(&service, &headers, body).await?).await
    };
    let opened = opened.await.map_err(|error| Problem::counted(&service, error))?;
    json(StatusCode::CREATED, &opened).map_err(Problem)
}

/// `POST /v1/sessions/{id}/turns`
pub(super) async fn take_turn(
    State(service): App,
    headers: HeaderMap,
    id: AskedId,
    body: Body,
) -> Result<Response, Problem> {
    let taken = async {
        let caller = caller(&service, &headers)?;
        caller.application()?;
        let id = asked(id)?;
        service.take_turn(&caller, id, read(&service, &headers, body).await?).await
    };
    let taken = taken.await.map_err(|error| Problem::counted(&service, error))?;
    json(StatusCode::CREATED, &taken).map_err(Problem)
}

/// `POST /v1/intents/{id}/outcomes`
pub(super) async fn report(
    State(service): App,
    headers: HeaderMap,
    id: AskedId,
    whose: Result<Query<Whose>, QueryRejection>,
    body: Body,
) -> Result<Response, Problem> {
    let reported = async {
        let caller = caller(&service, &headers)?;
        caller.tool_server()?;
        let id = asked(id)?;
        let Query(whose) = whose.map_err(|rejection| Problem::from(rejection).0)?;
        let agent = whose.agent()?;
        service.report_outcome(&caller, id, agent, read(&service, &headers, body).await?).await
    };
    let reported = reported.await.map_err(|error| Problem::counted(&service, error))?;
    json(StatusCode::CREATED, &reported).map_err(Problem)
}

async fn read(service: &Service, headers: &HeaderMap, body: Body) -> Result<Value, ServiceError> {
    body_value(service, headers, body, limits::BODY_MAX_BYTES).await
}

fn asked(id: AskedId) -> Result<Uuid, ServiceError> {
    let Path(id) = id.map_err(|rejection| Problem::from(rejection).0)?;
    let detail = "the path must name a session's or an intent's id, a UUID";
    Uuid::try_parse(&id).map_err(|_| ServiceError::new(ErrorCode::MalformedRequest, detail))
}
