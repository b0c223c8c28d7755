//! What an entry commits to, held against the payload that was sealed with it: documents, digests, verdicts, and the
//! agent's signature.

use super::super::payload::Payload;
use crate::record::entry::{Entry, IntentEntry, OutcomeEntry, result_digest};
use crate::record::evaluation::groups_of;
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::statement::{AgentKey, statement};

/// Whether the payload is what the entry commits to.
pub(super) fn check_payload(entry: &Entry, payload: &Payload) -> Result<(), String> {
    if let Entry::Intent(intent) = entry {
        return check_intent(intent, payload);
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

fn check_outcome(entry: &OutcomeEntry, record: &serde_json::Value, seed: &Seed) -> Result<(), String> {
    let result = record.get("result").ok_or("its record holds no result")?;
    if result_digest(seed, entry.call, result).ok() == Some(entry.result) {
        Ok(())
    } else {
        Err("its digest is not that of the recorded result".to_owned())
    }
}

fn check_intent(entry: &IntentEntry, payload: &Payload) -> Result<(), String> {
    let intent = Intent::parse(&payload.declared).map_err(|e| e.to_string())?;
    let seed: &Seed = &payload.declared_seed;
    let tree = FieldTree::of_document(&intent.document, seed).map_err(|e| e.to_string())?;
    equal(Some(entry.declared), tree.commitment(), "declared document")?;
    let limits = JsonLimits { max_bytes: payload.evaluation.len(), ..JsonLimits::default() };
    let evaluation = parse_with(&payload.evaluation, &limits).map_err(|e| e.to_string())?;
    let tree =
        FieldTree::of_groups(groups_of(&evaluation), &payload.evaluation_seed).map_err(|e| e.to_string())?;
    equal(Some(entry.evaluation), tree.commitment(), "evaluation")?;
    let calls = intent.calls.iter().zip(&entry.calls).zip(0u32..);
    let changed = |i: u32| evaluation.pointer(&format!("/requests/{i}/changed/args"));
    if intent.calls.len() != entry.calls.len()
        || !calls.into_iter().all(|((call, sealed), i)| sealed.is_of(seed, i, call, changed(i)))
    {
        return Err("a call's digest is not that of the call that may run".to_owned());
    }
    let verdicts = evaluation.get("verdicts").and_then(serde_json::Value::as_array);
    let outcome = |verdict: &serde_json::Value| verdict.get("outcome")?.as_str().map(str::to_owned);
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
pub(super) fn check_signature(
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
