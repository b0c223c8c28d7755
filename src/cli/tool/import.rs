//! `foreseal tool import`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::EXIT_FOUND;
use super::lint::refused;
use crate::cli::files;
use crate::cli::output::{self, Failure, data};
use crate::disk::{FileMode, RealDisk, write_file_atomically};
use crate::policy::registry::{self, Imported, ImportedTool, RegistryError, Wishes, Wrought};

#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// What the server answered to tools/list, all its pages, or a tools.json; - for standard input
    #[arg(value_name = "FILE|-")]
    pub(super) list: PathBuf,
    /// The server, as calls name it [default: none, for calls without a server]
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub(super) server: String,
    /// The registry to bring the tools into; made if it is missing [default: print it]
    #[arg(long, value_name = "FILE")]
    pub(super) into: Option<PathBuf>,
    /// Take the server's hints where they make rules stricter, for tools that are new
    #[arg(long)]
    pub(super) trust_hints: bool,
    /// Take over the changed definition of this tool; may be given several times
    #[arg(long, value_name = "TOOL")]
    pub(super) repin: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `schemas/tool.import.schema.json`.
#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    /// Where the registry was written; absent where it is in `registry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registry: Option<Value>,
    tools: &'a [ImportedTool],
}

pub(super) fn run(what: &Import) -> Result<ExitCode, Failure> {
    let name = what.list.display().to_string();
    let list = files::read_text_or_stdin(&what.list)?;
    let listed = registry::listed(&list).map_err(|error| refused(&name, &RegistryError::Existing(error)))?;
    let existing = what.into.as_ref().map(|path| files::read_text_if_there(path)).transpose()?.flatten();
    let wishes = Wishes { server: &what.server, trust_hints: what.trust_hints, repin: &what.repin };
    let imported = registry::import(existing.as_deref(), &listed, wishes).map_err(|error| {
        let into = what.into.as_ref().map(|path| path.display().to_string());
        let of_registry = matches!(error, RegistryError::Existing(_));
        refused(into.as_deref().filter(|_| of_registry).unwrap_or(&name), &error)
    })?;
    if let Some(path) = &what.into
        && existing.as_deref() != Some(&imported.text)
    {
        write_file_atomically(&RealDisk, path, imported.text.as_bytes(), FileMode::Shared).map_err(
            |error| Failure::new(format!("{}: {error}", path.display()), "check that it can be written"),
        )?;
    }
    tell(what, &imported);
    let changed = imported.tools.iter().any(|tool| tool.what == Wrought::Changed);
    Ok(ExitCode::from(if changed { EXIT_FOUND } else { 0 }))
}

fn tell(what: &Import, imported: &Imported) {
    if what.json {
        let registry = match what.into {
            None => serde_json::from_str(&imported.text).ok(),
            Some(_) => None,
        };
        let into = what.into.as_ref().map(|path| path.display().to_string());
        let report = Report { schema: "foreseal.tool.import.v1", into, registry, tools: &imported.tools };
        return data(&serde_json::to_string_pretty(&report).unwrap_or_default());
    }
    // Without --into the registry itself is the data.
    let say = if what.into.is_some() { data } else { output::note };
    if what.into.is_none() {
        data(imported.text.trim_end());
    }
    for tool in &imported.tools {
        let id =
            if tool.server.is_empty() { tool.name.clone() } else { format!("{}/{}", tool.server, tool.name) };
        let (mark, more) = match tool.what {
            Wrought::Changed => {
                ("\x1b[31m✗\x1b[0m", ": the registry keeps what was looked at; to take this over: --repin")
            }
            Wrought::Gone => ("\x1b[33m!\x1b[0m", ": its server no longer lists it"),
            Wrought::Added => {
                ("\x1b[32m✓\x1b[0m", ": without labels, so ungrounded until somebody gives them")
            }
            _ => ("\x1b[32m✓\x1b[0m", ""),
        };
        say(&format!("{mark} {id} {}{more}", tool.what.as_str()));
        tool.changes.iter().for_each(|change| say(&format!("    {change}")));
        for hint in &tool.hints {
            let taken = if hint.taken { "taken" } else { "a hint, not taken" };
            say(&format!("    # {} {}: {taken}; {}", hint.name, hint.value, hint.meaning));
        }
    }
}
