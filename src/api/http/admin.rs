//! `/v1/agents`: what operators do.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::credentials::{caller, typed_body};
use super::intents::json as answer;
use super::query::Number;
use super::{App, Problem};
use crate::service::NewAgent;

/// Where a page begins.
#[derive(Deserialize)]
pub(super) struct After {
    after: Option<Number>,
}

impl After {
    /// The leaf index behind which it begins.
    pub(super) fn after(&self) -> Option<u64> {
        self.after.map(|after| after.0)
    }
}

/// The optional body of a rotation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotation {
    #[serde(default)]
    public_key: Option<String>,
}

/// `POST /v1/agents`
pub(super) async fn register_agent(
    State(service): App,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let registered = async {
        let caller = caller(&service, &headers)?;
        caller.operator()?;
        let new: NewAgent = typed_body(&service, &headers, body).await?;
        answer(StatusCode::CREATED, &service.register_agent(&caller, new).await?)
    };
    registered.await.map_err(|error| Problem::counted(&service, error))
}

/// `POST /v1/agents/{name}/rotate`
pub(super) async fn rotate_agent(
    State(service): App,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Response, Problem> {
    let rotated = async {
        let caller = caller(&service, &headers)?;
        caller.operator()?;
        let Path(name) = name.map_err(|rejection| Problem::from(rejection).0)?;
        let Rotation { public_key } = typed_body(&service, &headers, body).await?;
        let new = NewAgent { name, roles: Vec::new(), public_key };
        answer(StatusCode::CREATED, &service.rotate_agent(&caller, new).await?)
    };
    rotated.await.map_err(|error| Problem::counted(&service, error))
}

/// `POST /v1/agents/{name}/revoke`
pub(super) async fn revoke_agent(
    State(service): App,
    headers: HeaderMap,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let revoked = async {
        let caller = caller(&service, &headers)?;
        let Path(name) = name.map_err(|rejection| Problem::from(rejection).0)?;
        let index = service.revoke_agent(&caller, &name).await?;
        answer(StatusCode::CREATED, &json!({ "agent": name, "index": index, "revoked": true }))
    };
    revoked.await.map_err(|error| Problem::counted(&service, error))
}

/// `GET /v1/agents`
pub(super) async fn agents(
    State(service): App,
    headers: HeaderMap,
    page: Result<Query<After>, QueryRejection>,
) -> Result<Response, Problem> {
    let counted = |error| Problem::counted(&service, error);
    let caller = caller(&service, &headers).map_err(counted)?;
    let Query(page) = page?;
    let agents = service.agents(&caller, page.after()).map_err(counted)?;
    answer(StatusCode::OK, &json!({ "agents": agents })).map_err(Problem)
}
