//! `foreseal policy import`: a policy of another system's, as a bundle, and what could not be carried over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::files;
use super::output::{Failure, data, note};
use crate::disk::{DirMode, Disk as _, FileMode, RealDisk, write_file_atomically};
use crate::policy::Bundle;
use crate::policy::import::{ImportError, Left, import};

/// Exit code where something was not carried over.
const EXIT_LEFT: u8 = 3;

#[derive(Debug, Args)]
pub(super) struct Import {
    /// Agent-SPM's JSON, or lists or rules in YAML; - for standard input
    #[arg(value_name = "FILE|-")]
    pub(super) source: PathBuf,
    /// Where the bundle is written: imported.cedar, signals.json and tests/; made if it is missing [default: print it]
    #[arg(long, value_name = "DIR")]
    pub(super) into: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `schemas/policy.import.schema.json`.
#[derive(Serialize)]
struct Report {
    schema: &'static str,
    form: &'static str,
    /// Rules of the source.
    source_rules: usize,
    /// Where the files were written; absent where they are in `files`.
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<BTreeMap<String, String>>,
    /// What was not carried over, or not wholly.
    not_carried: Vec<Left>,
}

pub(super) fn run(what: &Import) -> Result<ExitCode, Failure> {
    let name = what.source.display().to_string();
    let imported = import(&files::read_text_or_stdin(&what.source)?).map_err(|error| {
        let hint = match &error {
            ImportError::TooLarge => "divide it",
            ImportError::UnknownForm => {
                "see docs/policy.md, \"From other systems\", for the forms; a member may be there once"
            }
            _ => "correct it in the source, or write the rule in Cedar: see docs/policy.md",
        };
        Failure::new(format!("{}: {error}", name.escape_debug()), hint)
    })?;
    if let Some(directory) = &what.into {
        write(directory, &imported.files)?;
    }
    let code = ExitCode::from(if imported.left.is_empty() { 0 } else { EXIT_LEFT });
    let texts = || {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        imported.files.iter().map(|(name, bytes)| (name.clone(), text(bytes))).collect::<BTreeMap<_, _>>()
    };
    if what.json {
        let report = Report {
            schema: "foreseal.policy.import.v1",
            form: imported.form,
            source_rules: imported.source_rules,
            into: what.into.as_ref().map(|into| into.display().to_string()),
            files: what.into.is_none().then(texts),
            not_carried: imported.left,
        };
        data(&serde_json::to_string_pretty(&report).unwrap_or_default());
        return Ok(code);
    }
    let say = if what.into.is_some() { data } else { note };
    if what.into.is_none() {
        for (file, text) in texts() {
            data(&format!("// ---- {file}\n{}", text.trim_end()));
        }
    }
    say(&format!(
        "{} rules, read as {}; {} files",
        imported.source_rules,
        imported.form,
        imported.files.len()
    ));
    for left in &imported.left {
        let rule = left.rule.as_ref().map(|rule| format!("rule \"{rule}\": ")).unwrap_or_default();
        say(&format!("\x1b[33m!\x1b[0m {rule}{}\n  instead: {}", left.what, left.instead));
    }
    Ok(code)
}

/// Writes the files beside what is there already; the bundle as a whole must load.
fn write(directory: &Path, imported: &BTreeMap<String, Vec<u8>>) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(format!("{}: {error}", path.display()), "check that it can be written")
    };
    RealDisk.create_dir_all(directory, DirMode::Shared).map_err(|error| failed(directory, error))?;
    let mut whole = files::read_bundle(directory)?;
    // What is added is no longer what an author signed.
    whole.remove("signature.json");
    whole.remove("manifest.json");
    whole.extend(imported.clone());
    if let Err(error) = Bundle::load(whole) {
        let hint = "import it into a directory of its own, and bring the two together by hand";
        return Err(Failure::new(format!("beside what is in {}: {error}", directory.display()), hint));
    }
    for (name, bytes) in imported {
        let path = directory.join(name);
        if let Some(parent) = path.parent() {
            RealDisk.create_dir_all(parent, DirMode::Shared).map_err(|error| failed(parent, error))?;
        }
        write_file_atomically(&RealDisk, &path, bytes, FileMode::Shared)
            .map_err(|error| failed(&path, error))?;
    }
    Ok(())
}
