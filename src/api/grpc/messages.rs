//! What the service hands out, as messages; and what messages ask, as the service takes it.

use tonic::metadata::MetadataMap;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::v1;
use crate::api::http::credentials::bearer;
use crate::evidence::Answer;
use crate::evidence::answer::AnswerCall;
use crate::merkle::Hash;
use crate::record::decision::{Condition, Outcome, Reason};
use crate::record::limits;
use crate::service::{Caller, ErrorCode, PayloadView, Service, ServiceError, SubmissionHeaders};

/// The bearer token of a call, kept for as long as its stream is.
pub(super) fn token(metadata: &MetadataMap) -> Result<Option<Zeroizing<String>>, ServiceError> {
    Ok(bearer(metadata.as_ref())?.map(|token| Zeroizing::new(token.to_owned())))
}

/// Who is asking.
pub(super) fn caller(service: &Service, metadata: &MetadataMap) -> Result<Caller, ServiceError> {
    service.authenticate(bearer(metadata.as_ref())?)
}

/// An intent's id.
pub(super) fn id(text: &str) -> Result<Uuid, ServiceError> {
    Uuid::try_parse(text).map_err(|_| {
        ServiceError::new(ErrorCode::MalformedRequest, "the field id must be an intent's id, a UUID")
    })
}

/// An intent, as HTTP takes it apart into body and headers.
pub(super) fn submission(
    submission: Option<v1::Submission>,
) -> Result<(Vec<u8>, SubmissionHeaders), ServiceError> {
    let v1::Submission { declared, seed, signature } = submission
        .ok_or_else(|| ServiceError::new(ErrorCode::MalformedRequest, "the field submission is missing"))?;
    if declared.len() > limits::BODY_MAX_BYTES {
        let detail = format!("the declared document is over {} bytes", limits::BODY_MAX_BYTES);
        return Err(ServiceError::new(ErrorCode::TooLarge, detail));
    }
    Ok((declared, SubmissionHeaders { seed, signature }))
}

/// JSON, as HTTP writes it.
fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, ServiceError> {
    serde_json::to_vec(value).map_err(|e| ServiceError::new(ErrorCode::Damaged, e.to_string()))
}

/// An answer.
pub(super) fn sealed(answer: &Answer) -> Result<v1::Sealed, ServiceError> {
    let decision = &answer.decision;
    Ok(v1::Sealed {
        answer: json(answer)?,
        id: answer.id.to_string(),
        index: answer.index,
        decision: Some(v1::Decision {
            outcome: outcome(decision.outcome).into(),
            expires: decision.expires.map(|expires| expires.to_string()),
            reasons: decision.reasons.iter().map(reason).collect(),
            conditions: decision.conditions.iter().map(condition).collect(),
            calls: decision.calls.iter().map(call).collect::<Result<_, _>>()?,
        }),
    })
}

fn call(call: &AnswerCall) -> Result<v1::CallDecision, ServiceError> {
    let transforms = call.transforms.iter();
    Ok(v1::CallDecision {
        id: call.id.clone(),
        outcome: outcome(call.outcome).into(),
        reasons: call.reasons.iter().map(reason).collect(),
        conditions: call.conditions.iter().map(condition).collect(),
        transforms: transforms
            .map(|done| v1::Transformed { rule: done.rule.clone(), transform: done.transform.clone() })
            .collect(),
        args: call.args.as_ref().map(json).transpose()?,
    })
}

fn outcome(outcome: Outcome) -> v1::Outcome {
    match outcome {
        Outcome::Deny => v1::Outcome::Deny,
        Outcome::Defer => v1::Outcome::Defer,
        Outcome::Hold => v1::Outcome::Hold,
        Outcome::Modify => v1::Outcome::Modify,
        Outcome::Allow => v1::Outcome::Allow,
    }
}

fn reason(reason: &Reason) -> v1::Reason {
    v1::Reason { rule: reason.rule.clone(), message: reason.message.clone() }
}

fn condition(condition: &Condition) -> v1::Condition {
    v1::Condition {
        rule: condition.rule.clone(),
        approver: condition.approver.clone(),
        expires_s: condition.expires_s,
        human: condition.human.clone(),
        quorum: condition.quorum,
        step_up: condition.step_up.clone(),
        ticket: condition.ticket.clone(),
    }
}

/// A payload.
pub(super) fn payload(view: PayloadView) -> Result<v1::GetPayloadResponse, ServiceError> {
    Ok(v1::GetPayloadResponse {
        id: view.id.to_string(),
        index: view.index,
        declared: view.declared.into_bytes(),
        declared_seed: view.declared_seed,
        signature: view.signature,
        evaluation: view.evaluation.as_ref().map(json).transpose()?,
        evaluation_seed: view.evaluation_seed,
    })
}

/// The latest checkpoint.
pub(super) fn checkpoint(note: &str, size: u64, root: Hash) -> v1::Checkpoint {
    v1::Checkpoint { note: note.to_owned(), size, root: root.0.to_vec() }
}

/// Hashes of a proof.
pub(super) fn hashes(hashes: &[Hash]) -> Vec<Vec<u8>> {
    hashes.iter().map(|hash| hash.0.to_vec()).collect()
}
