//! `/v1/applications` and `/v1/tool-servers`: registrations, by operators.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::json;

use super::admin::After;
use super::credentials::{caller, typed_body};
use super::intents::json as answer;
use super::{App, Problem};
use crate::service::{NewParty, PartyKind, Service, ServiceError};

type AskedName = Result<Path<String>, PathRejection>;
type AskedPage = Result<Query<After>, QueryRejection>;

/// `POST /v1/applications`
pub(super) async fn register_application(
    State(service): App,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    register(&service, PartyKind::Application, &headers, body).await
}

/// `POST /v1/tool-servers`
pub(super) async fn register_tool_server(
    State(service): App,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    register(&service, PartyKind::ToolServer, &headers, body).await
}

/// `POST /v1/applications/{name}/rotate`
pub(super) async fn rotate_application(
    State(service): App,
    headers: HeaderMap,
    name: AskedName,
) -> Result<Response, Problem> {
    rotate(&service, PartyKind::Application, &headers, name).await
}

/// `POST /v1/tool-servers/{name}/rotate`
pub(super) async fn rotate_tool_server(
    State(service): App,
    headers: HeaderMap,
    name: AskedName,
) -> Result<Response, Problem> {
    rotate(&service, PartyKind::ToolServer, &headers, name).await
}

/// `POST /v1/applications/{name}/revoke`
pub(super) async fn revoke_application(
    State(service): App,
    headers: HeaderMap,
    name: AskedName,
) -> Result<Response, Problem> {
    revoke(&service, PartyKind::Application, &headers, name).await
}

/// `POST /v1/tool-servers/{name}/revoke`
pub(super) async fn revoke_tool_server(
    State(service): App,
    headers: HeaderMap,
    name: AskedName,
) -> Result<Response, Problem> {
    revoke(&service, PartyKind::ToolServer, &headers, name).await
}

/// `GET /v1/applications`
pub(super) async fn applications(
    State(service): App,
    headers: HeaderMap,
    page: AskedPage,
) -> Result<Response, Problem> {
    list(&service, PartyKind::Application, "applications", &headers, page)
}

/// `GET /v1/tool-servers`
pub(super) async fn tool_servers(
    State(service): App,
    headers: HeaderMap,
    page: AskedPage,
) -> Result<Response, Problem> {
    list(&service, PartyKind::ToolServer, "tool_servers", &headers, page)
}

async fn register(
    service: &Service,
    kind: PartyKind,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let registered = async {
        let caller = caller(service, headers)?;
        let new: NewParty = typed_body(service, headers, body).await?;
        answer(StatusCode::CREATED, &service.register_party(&caller, kind, new).await?)
    };
    registered.await.map_err(|error| Problem::counted(service, error))
}

async fn rotate(
    service: &Service,
    kind: PartyKind,
    headers: &HeaderMap,
    name: AskedName,
) -> Result<Response, Problem> {
    let rotated = async {
        let caller = caller(service, headers)?;
        let name = asked(name)?;
        answer(StatusCode::CREATED, &service.rotate_party(&caller, kind, name).await?)
    };
    rotated.await.map_err(|error| Problem::counted(service, error))
}

async fn revoke(
    service: &Service,
    kind: PartyKind,
    headers: &HeaderMap,
    name: AskedName,
) -> Result<Response, Problem> {
    let revoked = async {
        let caller = caller(service, headers)?;
        let name = asked(name)?;
        answer(StatusCode::CREATED, &service.revoke_party(&caller, kind, name).await?)
    };
    revoked.await.map_err(|error| Problem::counted(service, error))
}

fn list(
    service: &Service,
    kind: PartyKind,
    member: &str,
    headers: &HeaderMap,
    page: AskedPage,
) -> Result<Response, Problem> {
    let counted = |error| Problem::counted(service, error);
    let caller = caller(service, headers).map_err(counted)?;
    let Query(page) = page?;
    let parties = service.parties(&caller, kind, page.after()).map_err(counted)?;
    answer(StatusCode::OK, &json!({ member: parties })).map_err(Problem)
}

fn asked(name: AskedName) -> Result<String, ServiceError> {
    name.map(|Path(name)| name).map_err(|rejection| Problem::from(rejection).0)
}
