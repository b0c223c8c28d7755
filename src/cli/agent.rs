//! `foreseal agent`: registrations, over HTTP.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::arguments::{Agent, Connection};
use super::output::{Failure, data, status};
use super::remote::{Remote, Response};

pub(super) fn run(what: &Agent) -> Result<ExitCode, Failure> {
    if let Agent::Add { name, .. } | Agent::Rotate { name, .. } | Agent::Revoke { name, .. } = what
        && !crate::record::intent::is_id(name)
    {
        return Err(no_name(name));
    }
    match what {
        Agent::Add { name, roles, public_key, json, connection } => {
            let body = json!({ "name": name, "roles": roles, "public_key": public_key });
            print_token(&post(connection, "/v1/agents", &body)?, *json)
        }
        Agent::Rotate { name, public_key, json, connection } => {
            let body = json!({ "public_key": public_key });
            print_token(&post(connection, &format!("/v1/agents/{name}/rotate"), &body)?, *json)
        }
        Agent::Revoke { name, json, connection } => {
            let revoked = post(connection, &format!("/v1/agents/{name}/revoke"), &json!({}))?;
            if *json {
                data(&with_schema(&revoked));
            }
            status(&format!("{name} is revoked: its token is refused from now on"));
            Ok(ExitCode::SUCCESS)
        }
        Agent::List { json, connection } => list(connection, *json, "agents", "agents"),
    }
}

/// It becomes a part of a path, so it is looked at before it is sent.
pub(super) fn no_name(name: &str) -> Failure {
    Failure::new(format!("{name:?} is no name"), "names are 1 to 128 characters of A-Z a-z 0-9 . _ : -")
}

/// What the service says of one who is registered, on one line: `schemas/agent.schema.json`, and
/// `schemas/party.schema.json` for applications and tool servers.
pub(super) fn with_schema(registered: &Value) -> String {
    let mut shown = registered.clone();
    if let Some(members) = shown.as_object_mut() {
        let form = if members.contains_key("agent") { "foreseal.agent.v1" } else { "foreseal.party.v1" };
        members.insert("schema".to_owned(), form.into());
    }
    shown.to_string()
}

/// The token alone on stdout, so that it can be captured and nothing else is; or all that was answered.
pub(super) fn print_token(answer: &Value, json: bool) -> Result<ExitCode, Failure> {
    let token = answer.get("token").and_then(Value::as_str);
    let token = token
        .ok_or_else(|| Failure::new("the answer holds no token", "check that --url is a Foreseal service"))?;
    data(&if json { with_schema(answer) } else { token.to_owned() });
    Ok(ExitCode::SUCCESS)
}

/// Lists what `/v1/<path>` has in its answers' member, a page at a time.
pub(super) fn list(
    connection: &Connection,
    json: bool,
    path: &str,
    member: &str,
) -> Result<ExitCode, Failure> {
    let remote = connect(connection)?;
    let mut after = None;
    loop {
        let query = after.map_or_else(String::new, |after: u64| format!("?after={after}"));
        let answer = accepted(connection, remote.get(&format!("/v1/{path}{query}")))?;
        let rows = answer.get(member).and_then(Value::as_array).cloned().unwrap_or_default();
        for row in &rows {
            data(&if json { with_schema(row) } else { row.to_string() });
        }
        match rows.last().and_then(|row| row.get("index")).and_then(Value::as_u64) {
            Some(last) => after = Some(last),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// A client, if there is a token to ask with.
pub(super) fn connect(connection: &Connection) -> Result<Remote, Failure> {
    let token = connection.token.as_deref().ok_or_else(|| {
        Failure::new("no token to ask with", "set FORESEAL_TOKEN; the operator's is in KEYS/admin.token")
    })?;
    Ok(Remote::new(&connection.url, Some(token.trim())))
}

pub(super) fn post(connection: &Connection, path: &str, body: &Value) -> Result<Value, Failure> {
    let bytes = body.to_string().into_bytes();
    accepted(connection, connect(connection)?.post_json(path, &bytes))
}

pub(super) fn get(connection: &Connection, remote: &Remote, path: &str) -> Result<Value, Failure> {
    accepted(connection, remote.get(path))
}

fn accepted(connection: &Connection, response: Result<Response, String>) -> Result<Value, Failure> {
    let response = response.map_err(|error| {
        Failure::new(format!("{}: {error}", connection.url), "is the service running? FORESEAL_URL names it")
    })?;
    if !(200..300).contains(&response.status) {
        return Err(Failure::new(response.problem(), "docs/errors.md says what each code means"));
    }
    serde_json::from_slice(&response.body).map_err(|error| {
        Failure::new(format!("the answer is no JSON: {error}"), "check that --url is a Foreseal service")
    })
}
