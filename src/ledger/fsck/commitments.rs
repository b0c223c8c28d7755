//! What an entry commits to, held against the payload that was sealed with it: documents, digests, verdicts, and the
//! agent's signature.

use serde_json::Value;

use super::super::payload::Payload;
use crate::record::entry::{Entry, IntentEntry, OutcomeEntry, result_digest};
use crate::record::evaluation::groups_of;
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::statement::{AgentKey, statement};

/// Whether the payload is what the entry commits to.
pub(in crate::ledger) fn check_payload(entry: &Entry, payload: &Payload) -> Result<(), String> {
    if let Entry::Intent(intent) = entry {
        let documents = read_intent(intent, payload).map_err(|unfit| unfit.problem)?;
        return check_verdicts(intent, &documents.evaluation);
    }
    let limits = JsonLimits { max_bytes: payload.declared.len(), ..JsonLimits::default() };
    let document = parse_with(&payload.declared, &limits).map_err(|e| e.to_string())?;
    let tree = FieldTree::of_document(&document, &payload.declared_seed).map_err(|e| e.to_string())?;
    equal(entry.declared(), tree.commitment(), "declared document")?;
    match entry {
        Entry::Outcome(outcome) => check_outcome(outcome, &document, &payload.declared_seed),
        _ => Ok(()),
    }
}

fn check_outcome(entry: &OutcomeEntry, record: &Value, seed: &Seed) -> Result<(), String> {
    let result = record.get("result").ok_or("its record holds no result")?;
    if result_digest(seed, entry.call, result).ok() == Some(entry.result) {
        Ok(())
    } else {
        Err("its digest is not that of the recorded result".to_owned())
    }
}

/// An intent's documents, as its entry commits to them.
pub(in crate::ledger) struct Documents {
    #[cfg_attr(
        not(feature = "replay"),
        expect(dead_code, reason = "only a build that decides derives again")
    )]
    pub(in crate::ledger) intent: Intent,
    pub(in crate::ledger) evaluation: Value,
}

/// A part of an intent's payload that is not what its entry commits to.
pub(in crate::ledger) struct Unfit {
    /// The evaluation; otherwise the declared document, or both are none.
    #[cfg_attr(
        not(feature = "replay"),
        expect(dead_code, reason = "only a build that decides derives again")
    )]
    pub(in crate::ledger) evaluation: bool,
    pub(in crate::ledger) problem: String,
}

/// Reads what was sealed with an intent, if that is what its entry commits to.
pub(in crate::ledger) fn read_intent(entry: &IntentEntry, payload: &Payload) -> Result<Documents, Unfit> {
    let declared = |problem: String| Unfit { evaluation: false, problem };
    let intent = Intent::parse(&payload.declared).map_err(|e| declared(e.to_string()))?;
    let seed: &Seed = &payload.declared_seed;
    let tree = FieldTree::of_document(&intent.document, seed).map_err(|e| declared(e.to_string()))?;
    equal(Some(entry.declared), tree.commitment(), "declared document").map_err(declared)?;
    let evaluation =
        read_evaluation(entry, payload).map_err(|problem| Unfit { evaluation: true, problem })?;
    let calls = intent.calls.iter().zip(&entry.calls).zip(0u32..);
    let changed = |i: u32| evaluation.pointer(&format!("/requests/{i}/changed/args"));
    if intent.calls.len() != entry.calls.len()
        || !calls.into_iter().all(|((call, sealed), i)| sealed.is_of(seed, i, call, changed(i)))
    {
        return Err(declared("a call's digest is not that of the call that may run".to_owned()));
    }
    Ok(Documents { intent, evaluation })
}

fn read_evaluation(entry: &IntentEntry, payload: &Payload) -> Result<Value, String> {
    let limits = JsonLimits { max_bytes: payload.evaluation.len(), ..JsonLimits::default() };
    let evaluation = parse_with(&payload.evaluation, &limits).map_err(|e| e.to_string())?;
    let tree =
        FieldTree::of_groups(groups_of(&evaluation), &payload.evaluation_seed).map_err(|e| e.to_string())?;
    equal(Some(entry.evaluation), tree.commitment(), "evaluation")?;
    Ok(evaluation)
}

fn check_verdicts(entry: &IntentEntry, evaluation: &Value) -> Result<(), String> {
    let verdicts = evaluation.get("verdicts").and_then(Value::as_array);
    let outcome = |verdict: &Value| verdict.get("outcome")?.as_str().map(str::to_owned);
    let verdicts = verdicts.into_iter().flatten().map(outcome);
    if verdicts.eq(entry.calls.iter().map(|call| Some(call.outcome.as_str().to_owned()))) {
        Ok(())
    } else {
        Err("its verdicts are not those of the sealed evaluation".to_owned())
    }
}

fn equal(sealed: Option<Commitment>, computed: Commitment, what: &str) -> Result<(), String> {
    if sealed == Some(computed) { Ok(()) } else { Err(format!("its payload's {what} is not the sealed one")) }
}

/// Whether the agent signed what is sealed: under the key that its registration had by then, over the statement that the
/// declared document and this log make.
pub(in crate::ledger) fn check_signature(
    entry: &IntentEntry,
    intent: &Intent,
    payload: &Payload,
    key: Option<[u8; 32]>,
    origin: &str,
) -> Result<(), String> {
    match (entry.signer, &payload.signature) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err("a signature is sealed with it, and it names no signer".to_owned()),
        (Some(_), None) => Err("it names a signer, and no signature is sealed with it".to_owned()),
        (Some(_), Some(signature)) => {
            let key = key.ok_or("it is signed, and its agent has registered no key")?;
            let statement = statement(intent, &entry.declared, origin).map_err(|e| e.to_string())?;
            let key = AgentKey::from_bytes(&key).map_err(|e| e.to_string())?;
            key.verify(&statement, signature).map_err(|e| format!("its agent's signature: {e}"))
        }
    }
}
