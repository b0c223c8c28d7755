//! `foreseal tool …`: tools before they are part of a policy. Offline: no server is asked, nothing is run.

mod import;
mod lint;
mod scan;
mod told;

use std::process::ExitCode;

use clap::Subcommand;

use super::output::Failure;

/// Exit code where something was found that the caller asked to be told of.
const EXIT_FOUND: u8 = 3;

#[derive(Debug, Subcommand)]
pub(super) enum Tool {
    /// Bring what an MCP server lists into tools.json, pinned, and say what changed
    Import(import::Import),
    /// Say what a tools.json leaves unsaid, and what follows from that
    Lint(lint::Lint),
    /// Look for attacks in lists of tools, manifests and clients' configurations
    Scan(scan::Scan),
}

impl Tool {
    /// Whether JSON was asked for.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Import(import::Import { json, .. })
            | Self::Lint(lint::Lint { json, .. })
            | Self::Scan(scan::Scan { json, .. }) => *json,
        }
    }
}

pub(super) fn run(what: &Tool) -> Result<ExitCode, Failure> {
    match what {
        Tool::Import(what) => import::run(what),
        Tool::Lint(what) => lint::run(what),
        Tool::Scan(what) => scan::run(what),
    }
}
