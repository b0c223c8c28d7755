//! `foreseal application` and `foreseal tool-server`: registrations, over HTTP.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::agent::{list, no_name, post, print_token, with_schema};
use super::arguments::Connection;
use super::output::{Failure, data, status};
use crate::record::intent::is_id;

/// What can be typed after `application` and `tool-server`.
#[derive(Debug, Subcommand)]
pub(super) enum Party {
    /// Register one and print its token, once
    Add {
        /// Its name; a tool server's is the one by which calls name it
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Give one a new token and print it, once; the old one ends
    Rotate {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// End a registration
    Revoke {
        /// Its name
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// List those that are registered
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connection: Connection,
    },
}

impl Party {
    /// Whether JSON was asked for.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Add { json, .. }
            | Self::Rotate { json, .. }
            | Self::Revoke { json, .. }
            | Self::List { json, .. } => *json,
        }
    }
}

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
