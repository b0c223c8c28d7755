//! Submitting an intent: from bytes to an admitted intent, and from its fate to an answer.

use std::sync::Arc;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::answers::{answer_of_found, answer_of_sealed};
use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use super::{Service, blocking};
use crate::evidence::Answer;
use crate::ledger::keyring::random;
use crate::ledger::{Accepted, Admitted, Ledger, LedgerError, SignalsAhead, VerifiedSignature};
use crate::record::entry::call_digest;
use crate::record::field_tree::{FieldTree, FieldTreeError, Seed};
use crate::record::intent::{Intent, IntentError};
use crate::record::json::JsonErrorKind;
use crate::record::statement::{AgentKey, parse_signature_header, statement};

/// What a submission carries beside its body.
#[derive(Debug, Clone, Default)]
pub struct SubmissionHeaders {
    /// `Foreseal-Seed`: the seed of the declared document, if the client brings it.
    pub seed: Option<String>,
    /// `Foreseal-Signature`.
    pub signature: Option<String>,
}

/// An intent that has its place in the order of the log, unless it is refused there.
#[derive(Debug)]
pub struct HandedIn {
    fate: oneshot::Receiver<Result<Accepted, LedgerError>>,
    agent: u64,
    seed: Seed,
    /// Whether the client brought the seed, so that a retry with another one is told apart.
    own_seed: bool,
    call_ids: Vec<String>,
    /// Kept for the comparison that a repeated id needs; without an id nothing can repeat.
    retry: Option<(Uuid, Vec<u8>)>,
}

/// What is made ready before the intent's turn comes.
struct Prepared {
    admitted: Admitted,
    /// Whether the client brought the seed, so that a retry with another one is told apart.
    own_seed: Option<Seed>,
}

impl Service {
    /// Seals an intent and answers, once it is durable and signed.
    ///
    /// # Errors
    /// [`ServiceError`]; its code says whether anything was sealed.
    pub async fn submit(
        &self,
        caller: &Caller,
        body: Vec<u8>,
        headers: &SubmissionHeaders,
    ) -> Result<Answer, ServiceError> {
        let handed_in = self.hand_in(caller, body, headers)?;
        self.answer(handed_in).await
    }

    /// Reads and verifies an intent and hands it to the ledger, without waiting for what becomes of it. Intents that are
    /// handed in one after the other come into the log in that order.
    ///
    /// # Errors
    /// [`ServiceError`], where nothing was handed in.
    pub fn hand_in(
        &self,
        caller: &Caller,
        body: Vec<u8>,
        headers: &SubmissionHeaders,
    ) -> Result<HandedIn, ServiceError> {
        let admission = self.ledger.admit()?;
        let Prepared { admitted, own_seed } = self.prepare(caller, body, headers)?;
        let (told, fate) = oneshot::channel();
        let handed_in = HandedIn {
            fate,
            agent: admitted.agent,
            seed: admitted.seed.clone(),
            own_seed: own_seed.is_some(),
            call_ids: admitted.intent.calls.iter().map(|call| call.id.clone()).collect(),
            retry: admitted.intent.id.map(|id| (id, admitted.body.clone())),
        };
        self.ledger.submit(admission, admitted, Box::new(move |accepted| drop(told.send(accepted))));
        Ok(handed_in)
    }

    /// Waits until an intent that was handed in is durable and signed, and answers.
    ///
    /// # Errors
    /// [`ServiceError`]; its code says whether anything was sealed.
    pub async fn answer(&self, handed_in: HandedIn) -> Result<Answer, ServiceError> {
        let HandedIn { fate, agent, seed, own_seed, call_ids, retry } = handed_in;
        let accepted = fate.await.map_err(|_| {
            // The thread that would have told is gone: it failed, and with it the write, perhaps.
            ServiceError::new(
                ErrorCode::OutcomeUnknown,
                "the ledger ended before it told what became of this",
            )
        })??;
        match accepted {
            Accepted::Sealed { leaf, id, decision, expires } => {
                let receipt = self.ledger.receipt_of_sealed(&leaf);
                let answer = receipt.and_then(|receipt| {
                    answer_of_sealed(&leaf, id, decision, expires, &seed, &receipt, &call_ids)
                });
                answer.map_err(|error| unanswered(leaf.index, &error))
            }
            Accepted::Known { index } => {
                let ledger = Arc::clone(&self.ledger);
                let seed = own_seed.then_some(seed);
                // What was sealed is read from disk.
                let again = blocking(move || answer_again(&ledger, index, agent, retry, seed.as_ref()));
                again.await.map_err(|error| match error.code {
                    ErrorCode::Damaged => unanswered(index, &LedgerError::Damaged(error.detail)),
                    _ => error,
                })
            }
        }
    }

    fn prepare(
        &self,
        caller: &Caller,
        body: Vec<u8>,
        headers: &SubmissionHeaders,
    ) -> Result<Prepared, ServiceError> {
        let Caller::Agent { index, name, credential } = caller else {
            return Err(ServiceError::new(ErrorCode::Forbidden, "only an agent submits intents")
                .hint("use an agent's token: `foreseal agent add NAME` prints one"));
        };
        let intent = Intent::parse(&body).map_err(|error| malformed(&error))?;
        if intent.agent != *name {
            let detail = format!("/agent: is \"{}\", the credential is of \"{name}\"", intent.agent);
            return Err(ServiceError::new(ErrorCode::AgentMismatch, detail));
        }
        let own_seed = headers.seed.as_deref().map(Seed::from_base64).transpose().map_err(|_| {
            ServiceError::new(ErrorCode::MalformedRequest, "Foreseal-Seed is not 32 bytes of base64")
        })?;
        let seed = match &own_seed {
            Some(seed) => seed.clone(),
            None => Seed::from_bytes(*random::<32>().map_err(LedgerError::from)?),
        };
        let declared = FieldTree::of_document(&intent.document, &seed).map_err(|e| no_tree(&e))?.commitment();
        let calls = intent.calls.iter().zip(0u32..);
        let call_digests = calls
            .map(|(call, i)| call_digest(&seed, i, call))
            .collect::<Result<_, _>>()
            .map_err(|e| ServiceError::new(ErrorCode::MalformedIntent, e.to_string()))?;
        let mut admitted = Admitted {
            agent: *index,
            credential: *credential,
            intent,
            body,
            seed,
            declared,
            call_digests,
            signature: None,
            signals: None,
        };
        let engine = self.ledger.engine();
        let calls = admitted.intent.calls.iter();
        let signals = calls.map(|call| engine.signals(&call.server, &call.tool, &call.args)).collect();
        admitted.signals = Some(SignalsAhead { engine, signals });
        admitted.signature = self.verify_signature(&admitted, headers, own_seed.is_some())?;
        // Nothing after this reads the tree of values: what is sealed are the bytes. It ends here, beside its siblings.
        admitted.intent.document = serde_json::Value::Null;
        Ok(Prepared { admitted, own_seed })
    }

    /// Verifies the signature under the *registered* key; the header's key id is a hint.
    fn verify_signature(
        &self,
        admitted: &Admitted,
        headers: &SubmissionHeaders,
        own_seed: bool,
    ) -> Result<Option<VerifiedSignature>, ServiceError> {
        let registered = self.published().registry.agent(admitted.agent).and_then(|agent| agent.key);
        let (header, key) = match (&headers.signature, registered) {
            (None, None) => return Ok(None),
            (Some(header), Some(key)) => (header, key),
            (None, Some(_)) => {
                return Err(ServiceError::new(
                    ErrorCode::SignatureRequired,
                    "this agent registered a key, so it signs",
                )
                .hint("send Foreseal-Signature and Foreseal-Seed"));
            }
            (Some(_), None) => {
                return Err(ServiceError::new(ErrorCode::SignatureInvalid, "this agent registered no key")
                    .hint("register one with `foreseal agent rotate NAME --public-key KEY`"));
            }
        };
        let malformed = |detail: String| ServiceError::new(ErrorCode::MalformedStatement, detail);
        if !own_seed {
            return Err(malformed("a signed intent brings its own seed in Foreseal-Seed".to_owned()));
        }
        let signature = parse_signature_header(header).map_err(|e| malformed(e.to_string()))?;
        let statement = statement(&admitted.intent, &admitted.declared, self.ledger.origin());
        let statement = statement.map_err(|e| malformed(e.to_string()))?;
        AgentKey::from_bytes(&key)
            .and_then(|key| key.verify(&statement, &signature))
            .map_err(|e| ServiceError::new(ErrorCode::SignatureInvalid, e.to_string()))?;
        Ok(Some((signature, key)))
    }
}

/// The answer to an intent whose id was sealed before, if this is the same intent. `seed`: the one its client brought.
fn answer_again(
    ledger: &Ledger,
    index: u64,
    agent: u64,
    retry: Option<(Uuid, Vec<u8>)>,
    seed: Option<&Seed>,
) -> Result<Answer, ServiceError> {
    let damaged = |what: String| unanswered(index, &LedgerError::Damaged(what));
    let (id, body) = retry.ok_or_else(|| damaged("an id nobody gave is known".to_owned()))?;
    let found = ledger.find(id, agent).map_err(|error| unanswered(index, &error))?;
    let found = found.filter(|found| found.index == index);
    let found = found.ok_or_else(|| damaged("it is not found by its id".to_owned()))?;
    let same_seed = seed.is_none_or(|seed| *seed == found.payload.declared_seed);
    if found.payload.declared != body || !same_seed {
        return Err(LedgerError::IdReused(index).into());
    }
    answer_of_found(ledger, &found).map_err(|error| damaged(error.detail))
}

fn malformed(error: &IntentError) -> ServiceError {
    let code = match error {
        IntentError::Json(json) if json.kind == JsonErrorKind::TooLong => ErrorCode::TooLarge,
        _ => ErrorCode::MalformedIntent,
    };
    ServiceError::new(code, error.to_string())
}

/// It is sealed, whatever went wrong afterwards.
fn unanswered(index: u64, error: &LedgerError) -> ServiceError {
    ServiceError::new(ErrorCode::SealedUnanswered, format!("sealed as leaf {index}, but: {error}"))
}

fn no_tree(error: &FieldTreeError) -> ServiceError {
    ServiceError::new(ErrorCode::TooLarge, error.to_string())
}
