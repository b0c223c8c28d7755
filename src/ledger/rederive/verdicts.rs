//! Verdicts from recorded facts: each sealed request is put to the sealed policy again.

use serde_json::Value;

use super::difference::{self, Difference, Kind};
use crate::ledger::fsck::commitments::Documents;
use crate::policy::Engine;
use crate::record::decision::Decision;
use crate::record::entry::IntentEntry;
use crate::record::json::parse as parse_json;

/// What was sealed as `/engine`, held against the engine that would decide now.
pub(super) struct Versions {
    /// Both are of one policy.
    pub(super) policy: bool,
    /// Both are of one Cedar.
    pub(super) cedar: bool,
    /// Both have the same detectors and transforms.
    pub(super) detectors: bool,
}

impl Versions {
    pub(super) fn of(engine: &Engine, sealed: Option<&Value>) -> Self {
        let own = parse_json(engine.about()).unwrap_or_default();
        let same = |names: &[&str]| {
            names.iter().all(|name| sealed.and_then(|sealed| sealed.get(name)) == own.get(name))
        };
        Self {
            policy: same(&["bundle"]),
            cedar: same(&["cedar", "language"]),
            detectors: same(&["facts", "signals", "transforms", "version"]),
        }
    }
}

/// Where the sealed verdicts, or the leaf, are not what follows from the sealed requests.
pub(super) fn differences(
    engine: &Engine,
    index: u64,
    entry: &IntentEntry,
    documents: &Documents,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let evaluation = &documents.evaluation;
    let of_leaf = |at: &str, sealed: &Value, derived: &Value| {
        (sealed != derived)
            .then(|| Difference::between(Kind::Verdict, index, at, Some(sealed), Some(derived)))
    };
    let list = |name: &str| evaluation.get(name).and_then(Value::as_array).map_or(0, Vec::len);
    for name in ["requests", "verdicts"] {
        found.extend(of_leaf(&format!("/{name}"), &list(name).into(), &entry.calls.len().into()));
    }
    let version = evaluation.pointer("/engine/version").cloned().unwrap_or_default();
    found.extend(of_leaf("engine (in the leaf)", &entry.engine.into(), &version));
    let mut decided = Vec::with_capacity(entry.calls.len());
    for (i, sealed_call) in entry.calls.iter().enumerate() {
        let id = documents.intent.calls.get(i).map(|call| call.id.as_str()).unwrap_or_default();
        let Some(request) = evaluation.pointer(&format!("/requests/{i}")) else { continue };
        let verdict = match engine.decide_request(request) {
            Ok(verdict) => verdict,
            Err(error) => {
                found.push(Difference::of_leaf(Kind::Verdict, index, error.to_string()).of_call(id));
                continue;
            }
        };
        let at = format!("/verdicts/{i}");
        let derived = verdict.to_json();
        if let Some((at, sealed, derived)) = difference::first(&at, evaluation.pointer(&at), Some(&derived)) {
            found.push(Difference::between(Kind::Verdict, index, at, sealed, derived).of_call(id));
        }
        let (sealed, derived) = (sealed_call.outcome.as_str(), verdict.call.outcome.as_str());
        let in_leaf = of_leaf(&format!("calls/{i}/outcome (in the leaf)"), &sealed.into(), &derived.into());
        found.extend(in_leaf.map(|found| found.of_call(id)));
        decided.push(verdict.call);
    }
    if decided.len() == entry.calls.len() {
        let decision = Decision::of_calls(decided, entry.atomic);
        let (sealed, derived) = (entry.outcome.as_str().into(), decision.outcome.as_str().into());
        found.extend(of_leaf("outcome (in the leaf)", &sealed, &derived));
        let ends = decision.expires.and_then(|ms| i64::try_from(ms).ok());
        let ends = ends.and_then(|ms| entry.at.checked_add_millis(ms)).map(|at| at.to_string());
        let sealed = entry.expires.map(|at| at.to_string());
        found.extend(of_leaf("expires (in the leaf)", &sealed.into(), &ends.into()));
    }
    found
}
