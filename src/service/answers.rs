//! Putting an answer together, from what was just sealed or from what is read back: the same bytes both ways.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::error::ServiceError;
use crate::evidence::answer::{AnswerCall, AnswerDecision, Opening, SeedOpening};
use crate::evidence::{Answer, Receipt};
use crate::ledger::{Found, Ledger, LedgerError, SealedLeaf};
use crate::record::decision::{CallDecision, Condition, Decision, Outcome, Reason, Transformed};
use crate::record::field_tree::Seed;
use crate::record::json;
use crate::record::time::Timestamp;

/// The answer to an intent that was sealed now.
pub(super) fn answer_of_sealed(
    leaf: &SealedLeaf,
    id: Uuid,
    decision: Decision,
    expires: Option<Timestamp>,
    seed: &Seed,
    receipt: &Receipt,
    call_ids: &[String],
) -> Result<Answer, LedgerError> {
    let damaged = || LedgerError::Damaged(format!("leaf {} is not the intent that was sealed", leaf.index));
    if !decision.calls.iter().map(|call| &call.id).eq(call_ids) {
        return Err(damaged());
    }
    Ok(answer(leaf.index, id, &leaf.entry, decision, expires, seed, receipt))
}

/// The answer to an intent that was sealed before.
pub(super) fn answer_of_found(ledger: &Ledger, found: &Found) -> Result<Answer, ServiceError> {
    let decision = decision_of_evaluation(&found.payload.evaluation).ok_or_else(|| {
        LedgerError::Damaged(format!("the evaluation of leaf {} cannot be read", found.index))
    })?;
    let checkpoint = ledger.checkpoint_at(found.sealed_size)?;
    let receipt = ledger.receipt(found.index, &found.bytes, found.sealed_size, &checkpoint)?;
    let seed = &found.payload.declared_seed;
    Ok(answer(found.index, found.entry.id, &found.bytes, decision, found.entry.expires, seed, &receipt))
}

fn answer(
    index: u64,
    id: Uuid,
    entry: &[u8],
    decision: Decision,
    expires: Option<Timestamp>,
    seed: &Seed,
    receipt: &Receipt,
) -> Answer {
    let calls = decision.calls.into_iter().map(|call| AnswerCall {
        id: call.id,
        outcome: call.outcome,
        reasons: call.reasons,
        conditions: call.conditions,
        transforms: call.transforms,
        args: call.args,
    });
    Answer {
        id,
        index,
        decision: AnswerDecision {
            outcome: decision.outcome,
            expires,
            reasons: decision.reasons,
            conditions: decision.conditions,
            calls: calls.collect(),
        },
        receipt: receipt.to_text(),
        entry: STANDARD.encode(entry),
        opening: Opening { declared: SeedOpening { seed: seed.to_base64() } },
        permits: Vec::new(),
    }
}

/// One sealed verdict, as far as an answer needs it.
#[derive(Deserialize)]
struct SealedVerdict {
    call: String,
    outcome: Outcome,
    reasons: Vec<Reason>,
    conditions: Vec<Condition>,
    transforms: Vec<Transformed>,
}

fn decision_of_evaluation(evaluation: &[u8]) -> Option<Decision> {
    let limits = json::JsonLimits { max_bytes: evaluation.len(), ..json::JsonLimits::default() };
    let document = json::parse_with(evaluation, &limits).ok()?;
    let verdicts = document.get("verdicts").and_then(Value::as_array)?;
    let atomic = document.pointer("/facts/atomic").and_then(Value::as_bool).unwrap_or(true);
    let calls = verdicts.iter().enumerate().map(|(i, verdict)| {
        let verdict = SealedVerdict::deserialize(verdict).ok()?;
        let changed = || document.pointer(&format!("/requests/{i}/changed/args")).cloned();
        Some(CallDecision {
            id: verdict.call,
            outcome: verdict.outcome,
            reasons: verdict.reasons,
            conditions: verdict.conditions,
            args: if verdict.transforms.is_empty() { None } else { Some(changed()?) },
            transforms: verdict.transforms,
        })
    });
    Some(Decision::of_calls(calls.collect::<Option<_>>()?, atomic))
}
