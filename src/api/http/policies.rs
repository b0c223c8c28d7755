//! `/v1/policies`: which bundle decides, which one watches, and back again.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::admin::After;
use super::credentials::{caller, typed_body};
use super::intents::json as answer;
use super::query::Number;
use super::{App, Problem};
use crate::service::{ErrorCode, PolicyMode, PolicySummary, RollbackTo, ServiceError};

/// The body of an activation: file names and their text, and what the bundle is to do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Activation {
    files: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "said")]
    mode: Option<PolicyMode>,
}

/// The body of a rollback.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    #[serde(default, deserialize_with = "said")]
    to: Option<RollbackTo>,
}

/// A member that may be left out, and is not `null`: who writes `null` may have meant something.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(given: D) -> Result<Option<T>, D::Error> {
    T::deserialize(given).map(Some)
}

fn summary(policy: &PolicySummary) -> Result<Response, ServiceError> {
    let status = if policy.unchanged { StatusCode::OK } else { StatusCode::CREATED };
    answer(status, policy)
}

/// `GET /v1/policies`
pub(super) async fn active(State(service): App, headers: HeaderMap) -> Result<Response, Problem> {
    let allowed = caller(&service, &headers).and_then(|caller| caller.operator());
    allowed.map_err(|error| Problem::counted(&service, error))?;
    let active = service.policy().ok_or_else(|| {
        Problem(
            ServiceError::new(ErrorCode::NotFound, "no policy is active, so everything is denied")
                .hint("start with serve --policies DIR, or POST /v1/policies"),
        )
    })?;
    answer(StatusCode::OK, &active).map_err(Problem)
}

/// `POST /v1/policies`
pub(super) async fn activate(
    State(service): App,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let activated = async {
        let caller = caller(&service, &headers)?;
        caller.operator()?;
        let Activation { files, mode } = typed_body(&service, &headers, body).await?;
        let files = files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect();
        summary(&service.activate_policy(&caller, files, mode).await?)
    };
    activated.await.map_err(|error| Problem::counted(&service, error))
}

/// `GET /v1/policies/history`
pub(super) async fn history(
    State(service): App,
    headers: HeaderMap,
    page: Result<Query<After>, QueryRejection>,
) -> Result<Response, Problem> {
    let counted = |error| Problem::counted(&service, error);
    let caller = caller(&service, &headers).map_err(counted)?;
    let Query(page) = page?;
    let policies = service.policies(&caller, page.after()).map_err(counted)?;
    answer(StatusCode::OK, &json!({ "policies": policies })).map_err(Problem)
}

/// `GET /v1/policies/{index}`
pub(super) async fn sealed(
    State(service): App,
    headers: HeaderMap,
    index: Result<Path<Number>, PathRejection>,
) -> Result<Response, Problem> {
    let read = async {
        let caller = caller(&service, &headers)?;
        caller.operator()?;
        let Path(index) = index.map_err(|rejection| Problem::from(rejection).0)?;
        answer(StatusCode::OK, &service.sealed_policy(&caller, index.0).await?)
    };
    read.await.map_err(|error| Problem::counted(&service, error))
}

/// `POST /v1/policies/rollback`
pub(super) async fn roll_back(
    State(service): App,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let rolled = async {
        let caller = caller(&service, &headers)?;
        caller.operator()?;
        let Rollback { to } = typed_body(&service, &headers, body).await?;
        summary(&service.roll_back_policy(&caller, to.as_ref()).await?)
    };
    rolled.await.map_err(|error| Problem::counted(&service, error))
}

/// `POST /v1/policies/withdraw`
pub(super) async fn withdraw(State(service): App, headers: HeaderMap) -> Result<Response, Problem> {
    let withdrawn = async {
        let caller = caller(&service, &headers)?;
        answer(StatusCode::CREATED, &service.withdraw_shadow(&caller).await?)
    };
    withdrawn.await.map_err(|error| Problem::counted(&service, error))
}
