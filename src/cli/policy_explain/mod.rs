//! `foreseal policy explain`: why each call of an intent was decided as it was, and what would have changed it.

mod documents;
mod words;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use self::documents::Documents;
#[cfg(feature = "server")]
use super::arguments::Connection;
use super::output::{Failure, data};
use crate::policy::{Bundle, Engine, Explanation, FactsForm};
use crate::record::decision::Outcome;
use crate::record::time::Timestamp;

/// What can be typed after `policy explain`.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The intent's id
    #[arg(required_unless_present = "answer", value_name = "ID")]
    id: Option<uuid::Uuid>,
    /// Whose intent is meant, where several agents used the id
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Read a data directory that no service has open, instead of asking the service
    #[arg(long = "dir", value_name = "DIR", conflicts_with = "answer")]
    directory: Option<PathBuf>,
    /// The data directory's keys [default: <DIR>.keys]
    #[arg(long, value_name = "DIR", requires = "directory")]
    keys: Option<PathBuf>,
    /// Read the documents from a file: what GET /v1/intents/ID/payload answered an operator
    #[arg(long, value_name = "FILE", requires = "policies")]
    answer: Option<PathBuf>,
    /// The bundle that decided, for --answer
    #[arg(long, value_name = "DIR", requires = "answer")]
    policies: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
    #[cfg(feature = "server")]
    #[command(flatten)]
    connection: Connection,
}

/// What is printed with `--json` (`schemas/policy.explanation.schema.json`).
#[derive(Debug, Serialize)]
struct Explained {
    schema: &'static str,
    /// The intent's id.
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    /// Leaf index of the policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<u64>,
    /// Digest of its bundle.
    digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<Timestamp>,
    outcome: Outcome,
    calls: Vec<Explanation>,
}

pub(super) fn run(what: &Explain) -> Result<ExitCode, Failure> {
    let documents = Documents::read(what)?;
    let explained = explain(&documents)?;
    if what.json {
        data(&serde_json::to_string_pretty(&explained).unwrap_or_default());
    } else {
        words::lines(&explained).iter().for_each(|line| data(line));
    }
    Ok(ExitCode::SUCCESS)
}

/// Explains each call, and requires that the sealed verdicts follow from the sealed requests.
fn explain(documents: &Documents) -> Result<Explained, Failure> {
    let part = |pointer: &str| documents.evaluation.pointer(pointer);
    let strange =
        |what: String| Failure::new(what, "run `foreseal fsck`; an answer may be of another version");
    let sealed = part("/engine").ok_or_else(|| strange("the evaluation names no engine".to_owned()))?;
    let form = FactsForm::of_sealed(sealed).ok_or_else(|| {
        let hint = "use the version of foreseal that decided it, or a later one";
        Failure::new("this version does not know the engine that decided this", hint)
    })?;
    let bundle = Bundle::load_for(documents.files.clone(), form)
        .map_err(|error| strange(format!("the bundle that decided does not load: {error}")))?;
    let digest = hex::encode(bundle.digest());
    if sealed.get("bundle").and_then(serde_json::Value::as_str) != Some(&digest) {
        let hint = "--policies takes the very bundle that decided; `foreseal policy list` names its digest";
        return Err(Failure::new("another bundle than this decided", hint));
    }
    let engine = Engine::new(bundle).map_err(|error| strange(error.to_string()))?;
    let mut calls = Vec::new();
    for i in 0.. {
        let Some(request) = part(&format!("/requests/{i}")) else { break };
        let again =
            engine.explain(request).and_then(|explained| Ok((explained, engine.decide_request(request)?)));
        let (explained, verdict) = again.map_err(|error| strange(format!("call {i}: {error}")))?;
        if part(&format!("/verdicts/{i}")) != Some(&verdict.to_json()) {
            let hint =
                "the service, or whoever gave you this, decided otherwise than its policy: audit the log";
            return Err(Failure::new(
                format!("call {i}: the sealed verdict does not follow from the sealed request"),
                hint,
            )
            .proof());
        }
        calls.push(explained);
    }
    let strictest = calls.iter().map(|call| call.outcome).min();
    let outcome = documents.outcome.or(strictest).ok_or_else(|| strange("it has no calls".to_owned()))?;
    Ok(Explained {
        schema: "foreseal.policy.explanation.v1",
        id: documents.id.clone(),
        index: documents.index,
        policy: documents.policy,
        digest,
        expires: documents.expires,
        outcome,
        calls,
    })
}
