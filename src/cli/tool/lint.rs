//! `foreseal tool lint`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{EXIT_FOUND, told};
use crate::cli::files;
use crate::cli::output::{Failure, data};
use crate::policy::Finding;
use crate::policy::registry::{self, RegistryError};

#[derive(Debug, Args)]
pub(in crate::cli) struct Lint {
    /// A policy bundle, or a tools.json
    #[arg(value_name = "DIR|FILE")]
    pub(super) registry: PathBuf,
    /// Exit with 3 if anything is left unsaid
    #[arg(long)]
    pub(super) strict: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `schemas/tool.lint.schema.json`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    findings: Vec<Finding>,
}

pub(super) fn run(what: &Lint) -> Result<ExitCode, Failure> {
    let file = files::in_directory(&what.registry, "tools.json");
    let name = file.display().to_string();
    let findings =
        registry::lint(&name, &files::read_text(&file)?).map_err(|error| refused(&name, &error))?;
    let code = if what.strict && !findings.is_empty() { EXIT_FOUND } else { 0 };
    if what.json {
        let report = Report { schema: "foreseal.tool.lint.v1", findings };
        data(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        findings.iter().for_each(told::finding);
        data(&told::counted(&findings));
    }
    Ok(ExitCode::from(code))
}

/// A registry that does not load.
pub(super) fn refused(name: &str, error: &RegistryError) -> Failure {
    let (message, hint) = match error {
        RegistryError::Faults(faults) => match faults.first() {
            Some(fault) => (fault.message.clone(), fault.hint.clone()),
            None => (error.to_string(), "see docs/tools.md".to_owned()),
        },
        RegistryError::Twice(_) => {
            (error.to_string(), "give each page once, and each server's list by itself".to_owned())
        }
        RegistryError::NotListed(_) => {
            (error.to_string(), "name a tool as the list does, or as server/name".to_owned())
        }
        _ => (
            error.to_string(),
            "a list is an answer to MCP's tools/list, or a tools.json: see docs/tools.md".to_owned(),
        ),
    };
    Failure::new(format!("{}: {message}", name.escape_debug()), hint)
}
