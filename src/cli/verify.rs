//! `foreseal verify`: offline, against keys that the verifier holds.

use std::path::Path;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::arguments::Verify;
use super::files;
use super::output::{self, Failure};
use crate::evidence::Answer;
use crate::evidence::bundle::verify_bundle;
use crate::evidence::verify::{ReceiptEvidence, verify_consistency_of, verify_receipt};
use crate::ledger::at_rest;
use crate::merkle::Hash;

pub(super) fn run(what: &Verify) -> Result<ExitCode, Failure> {
    match what {
        Verify::Receipt { file, entry, trust, intent, json } => {
            receipt(file, entry.as_deref(), trust.as_deref(), intent.as_deref(), *json)
        }
        Verify::Bundle { file, trust, json } => bundle(file, trust.as_deref(), *json),
        Verify::Consistency { .. } => consistency(what),
    }
}

fn receipt(
    file: &Path,
    entry: Option<&Path>,
    trust: Option<&Path>,
    intent: Option<&Path>,
    json: bool,
) -> Result<ExitCode, Failure> {
    let trust = files::trust(trust)?;
    let text = files::read_text(file)?;
    let intent = intent.map(files::read).transpose()?;
    let answer = Answer::parse(&text).ok();
    let (receipt, bytes) = match (&answer, entry) {
        (_, Some(path)) => {
            (answer.as_ref().map_or(text.as_str(), |a| a.receipt.as_str()), files::read(path)?)
        }
        (Some(answer), None) => {
            let entry = STANDARD.decode(&answer.entry).map_err(|_| {
                Failure::new(
                    format!("{}: the answer's entry is not base64", file.display()),
                    "check that the answer is whole",
                )
            })?;
            (answer.receipt.as_str(), entry)
        }
        (None, None) => {
            return Err(Failure::new(
                format!("{}: neither a whole answer nor a receipt with its entry", file.display()),
                "give the whole answer (JSON), or a tlog-proof and --entry FILE",
            ));
        }
    };
    let evidence =
        ReceiptEvidence { receipt, entry: &bytes, answer: answer.as_ref(), intent: intent.as_deref() };
    Ok(output::report(&verify_receipt(&evidence, trust.as_ref()), json))
}

fn bundle(file: &Path, trust: Option<&Path>, json: bool) -> Result<ExitCode, Failure> {
    let trust = files::trust(trust)?;
    let report =
        verify_bundle(&files::NamedFile::open(file)?, trust.as_ref(), &mut output::progress("verifying"));
    Ok(output::report(&report, json))
}

fn consistency(what: &Verify) -> Result<ExitCode, Failure> {
    let Verify::Consistency { old, new, trust, data, json, .. } = what else {
        return Err(Failure::new("not a consistency verification", "report this as a defect"));
    };
    let trust = files::trust(trust.as_deref())?;
    let (old, new) = (files::read_text(old)?, files::read_text(new)?);
    let proof = |from, to| match data {
        Some(data) => at_rest::consistency_proof(&files::disk(), data, from, to).map_err(|e| e.to_string()),
        None => ask(what, from, to),
    };
    Ok(output::report(&verify_consistency_of(&old, &new, trust.as_ref(), proof), *json))
}

#[cfg(feature = "remote")]
fn ask(what: &Verify, from: u64, to: u64) -> Result<Vec<Hash>, String> {
    let Verify::Consistency { server: Some(server), token, .. } = what else {
        return Err("give --data DIR or --server URL".to_owned());
    };
    super::remote::Remote::new(server, token.as_deref()).consistency(from, to)
}

#[cfg(not(feature = "remote"))]
fn ask(_: &Verify, _: u64, _: u64) -> Result<Vec<Hash>, String> {
    Err("give --data DIR".to_owned())
}
