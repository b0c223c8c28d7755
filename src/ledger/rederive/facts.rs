//! Facts from payloads and history: an intent is put together again as if it had just come, and decided.

use serde_json::Value;

use super::difference::{self, Difference, Kind};
use super::history::History;
use super::walk::IntentLeaf;
use crate::ledger::deciding::{Question, decide, delta_of};
use crate::ledger::fsck::commitments::{Documents, check_signature};
use crate::ledger::keyring::Keyring;
use crate::ledger::payload::Payload;
use crate::policy::{Engine, Evaluated};
use crate::record::canonical::to_jcs;
use crate::record::evaluation::{document_of, groups_of};
use crate::record::field_tree::Field;
use crate::record::json::{JsonLimits, parse_with};

/// Differences told of one intent.
const TOLD_MAX: usize = 5;

/// Decides an intent anew, from its declared document and what came before. `None` where its agent is not registered:
/// then the chain has refused the leaf.
pub(super) fn decide_anew(
    history: &History<'_>,
    engine: &Engine,
    leaf: &IntentLeaf<'_>,
    documents: &Documents,
) -> Option<Evaluated> {
    let question = Question {
        intent: &documents.intent,
        agent: leaf.entry.agent,
        session: leaf.entry.session,
        signed: leaf.entry.signer.is_some(),
        at: leaf.entry.at,
        signals: None,
    };
    decide(engine, history.state(), history.key(), &question)
}

/// Where what the declared document says is not what the leaf says of it, or its agent did not sign it.
pub(super) fn words(
    history: &History<'_>,
    leaf: &IntentLeaf<'_>,
    payload: &Payload,
    documents: &Documents,
) -> Vec<Difference> {
    let (entry, intent) = (leaf.entry, &documents.intent);
    let keys = history.keys();
    let registered = history.state().registry.agent(entry.agent);
    let mut found = Vec::new();
    let mut wrong = |problem: &str| {
        found.push(Difference::of_leaf(Kind::Fact, leaf.index, problem.to_owned()));
    };
    if registered.is_none_or(|agent| agent.name != intent.agent) {
        wrong("it was declared by another agent");
    }
    if intent.id.is_some_and(|id| id != entry.id) {
        wrong("it was declared under another id");
    }
    if keys.is_none_or(|keys| keys.session_tag(entry.agent, &intent.session) != entry.session) {
        wrong("it was declared in another session");
    }
    if intent.atomic != entry.atomic {
        wrong("the document says otherwise whether its calls run only together");
    }
    if delta_of(intent) != entry.delta {
        wrong("the leaf's labels are not those that its observations bring");
    }
    let key = registered.and_then(|agent| agent.key);
    if let Err(problem) = check_signature(entry, intent, payload, key, keys.map_or("", Keyring::origin)) {
        wrong(&problem);
    }
    found
}

/// Where the sealed evaluation is not the one that was derived.
pub(super) fn differences(
    index: u64,
    payload: &Payload,
    documents: &Documents,
    derived: &Evaluated,
) -> Vec<Difference> {
    // Of one policy and the same detectors, `/engine` names at most another Cedar: that is told elsewhere.
    let sealed_engine = documents.evaluation.get("engine").and_then(|engine| to_jcs(engine).ok());
    let fields: Vec<Field> = derived
        .evaluation
        .iter()
        .map(|field| match (&sealed_engine, field.path.as_str()) {
            (Some(jcs), "/engine") => Field { jcs: jcs.clone(), ..field.clone() },
            _ => field.clone(),
        })
        .collect();
    let bytes = document_of(&fields);
    if bytes == payload.evaluation {
        return Vec::new();
    }
    let limits = JsonLimits { max_bytes: bytes.len(), ..JsonLimits::default() };
    let again = parse_with(&bytes, &limits).unwrap_or_default();
    let groups: Vec<(String, Value)> = groups_of(&again);
    let sealed: Vec<(String, Value)> = groups_of(&documents.evaluation);
    let value = |groups: &[(String, Value)], path: &str| {
        groups.iter().find(|(known, _)| known == path).map(|(_, value)| value.clone())
    };
    let paths: std::collections::BTreeSet<&String> =
        groups.iter().chain(&sealed).map(|(path, _)| path).collect();
    let mut found = Vec::new();
    for path in paths {
        let (sealed, derived) = (value(&sealed, path), value(&groups, path));
        let Some((at, sealed, derived)) = difference::first(path, sealed.as_ref(), derived.as_ref()) else {
            continue;
        };
        let number = path.rsplit('/').next().and_then(|number| number.parse::<usize>().ok());
        let call = number.and_then(|number| documents.intent.calls.get(number));
        let difference = Difference::between(Kind::Fact, index, at, sealed, derived);
        found.push(match call {
            Some(call) => difference.of_call(&call.id),
            None => difference,
        });
    }
    if found.is_empty() {
        let problem = "its evaluation is not written in canonical form".to_owned();
        found.push(Difference::of_leaf(Kind::Fact, index, problem));
    }
    found.truncate(TOLD_MAX);
    found
}
