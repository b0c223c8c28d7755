//! `foreseal application` and `foreseal tool-server`: registrations, over HTTP.

use std::process::ExitCode;

use serde_json::json;

use super::agent::{list, no_name, post, print_token, with_schema};
use super::arguments::Party;
use super::output::{Failure, data, status};
use crate::record::intent::is_id;

pub(super) fn applications(what: &Party) -> Result<ExitCode, Failure> {
    run(what, "applications", "applications")
}

pub(super) fn tool_servers(what: &Party) -> Result<ExitCode, Failure> {
    run(what, "tool-servers", "tool_servers")
}

fn run(what: &Party, path: &str, member: &str) -> Result<ExitCode, Failure> {
    if let Party::Add { name, .. } | Party::Rotate { name, .. } | Party::Revoke { name, .. } = what
        && !is_id(name)
    {
        return Err(no_name(name));
    }
    match what {
        Party::Add { name, json, connection } => {
            print_token(&post(connection, &format!("/v1/{path}"), &json!({ "name": name }))?, *json)
        }
        Party::Rotate { name, json, connection } => {
            print_token(&post(connection, &format!("/v1/{path}/{name}/rotate"), &json!({}))?, *json)
        }
        Party::Revoke { name, json, connection } => {
            let revoked = post(connection, &format!("/v1/{path}/{name}/revoke"), &json!({}))?;
            if *json {
                data(&with_schema(&revoked));
            }
            status(&format!("{name} is revoked: its token is refused from now on"));
            Ok(ExitCode::SUCCESS)
        }
        Party::List { json, connection } => list(connection, *json, path, member),
    }
}
