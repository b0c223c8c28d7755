//! `foreseal tool scan`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{EXIT_FOUND, told};
use crate::cli::files;
use crate::cli::output::{Failure, data};
use crate::policy::scan::{ScanError, ScannedFile, Source, scan};
use crate::policy::{Finding, Severity};

#[derive(Debug, Args)]
pub(in crate::cli) struct Scan {
    /// Answers to tools/list, server manifests, clients' configurations; a file's name is its server's
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// What somebody looked at before: a tools.json, or a list
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    /// Exit with 3 from this severity on
    #[arg(long, default_value = "high", value_name = "SEVERITY")]
    pub(super) fail_on: FailOn,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(in crate::cli) enum FailOn {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl FailOn {
    const fn severity(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// `schemas/tool.scan.schema.json`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    files: Vec<ScannedFile>,
    findings: Vec<Finding>,
}

pub(super) fn run(what: &Scan) -> Result<ExitCode, Failure> {
    let named: Vec<Named> = what.files.iter().map(|path| Named::read(path)).collect::<Result<_, _>>()?;
    let baseline = what.baseline.as_ref().map(|path| Named::read(path)).transpose()?;
    let sources: Vec<Source<'_>> = named.iter().map(Named::source).collect();
    let scanned = scan(&sources, baseline.as_ref().map(Named::source)).map_err(|ScanError { file, why }| {
        let hint = "what can be scanned: an answer to tools/list, a tools.json, a server's manifest, a client's \
                    configuration with mcpServers";
        Failure::new(format!("{}: {why}", file.escape_debug()), hint)
    })?;
    let fail_on = what.fail_on.severity();
    let found = scanned.findings.iter().any(|finding| finding.severity >= fail_on);
    if what.json {
        let report =
            Report { schema: "foreseal.tool.scan.v1", files: scanned.files, findings: scanned.findings };
        data(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        scanned.findings.iter().for_each(told::finding);
        for file in &scanned.files {
            data(&format!(
                "{}: {} tools, {} servers, score {} of 100: {}",
                file.file.escape_debug(),
                file.tools,
                file.servers,
                file.score,
                file.advice.as_str()
            ));
        }
        data(&told::counted(&scanned.findings));
    }
    Ok(ExitCode::from(if found { EXIT_FOUND } else { 0 }))
}

/// A file, read.
struct Named {
    file: String,
    server: String,
    text: String,
}

impl Named {
    fn read(path: &Path) -> Result<Self, Failure> {
        let server = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        Ok(Self { file: path.display().to_string(), server, text: files::read_text(path)? })
    }

    fn source(&self) -> Source<'_> {
        Source { file: &self.file, server: &self.server, text: &self.text }
    }
}
