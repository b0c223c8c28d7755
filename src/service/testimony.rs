//! What applications say of users, and tool servers of results: from a body to a sealed entry and its answer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Service;
use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use crate::evidence::Receipt;
use crate::evidence::answer::{Opening, SeedOpening};
use crate::ledger::state::PartyKind;
use crate::ledger::{Found, Heard, Kept, Ledger, LedgerError, Testimony, Told};
use crate::policy::Plan;
use crate::record::entry::{Entry, OutcomeStatus};
use crate::record::field_tree::Seed;
use crate::record::intent::{Intent, parse_id};
use crate::record::session::{DeclaredPlan, OutcomeRecord, RecordError, SessionRecord, TurnRecord};

/// The answer to a session, a turn or an outcome: a leaf, and what proves and opens it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SealedRecord {
    /// The entry's id.
    pub id: Uuid,
    /// Its leaf index.
    pub index: u64,
    /// A tlog-proof.
    pub receipt: String,
    /// The leaf, base64.
    pub entry: String,
    /// Opens its commitment.
    pub opening: Opening,
}

/// The body of an outcome.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOutcome {
    call: String,
    status: OutcomeStatus,
    result: Value,
}

impl Service {
    /// Opens a session: the body is a [`SessionRecord`], and perhaps an `id`.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::MalformedRequest`], [`ErrorCode::NotFound`] for the agent,
    /// [`ErrorCode::SessionOpen`], [`ErrorCode::TooManySessions`], [`ErrorCode::IdReused`], or the ledger's.
    pub async fn open_session(&self, caller: &Caller, body: Value) -> Result<SealedRecord, ServiceError> {
        let (by, credential) = caller.application()?;
        let (id, body) = take_id(body)?;
        let record: SessionRecord = typed(body)?;
        record.check().map_err(|error| malformed(&error))?;
        check_plan(record.plan.as_ref())?;
        let agent = self.published().registry.agent_named(&record.agent);
        let agent = agent.ok_or_else(|| LedgerError::NoSuchAgent(record.agent.clone()))?;
        self.testify(Testimony { by, credential, id, told: Told::Session { agent, record } }).await
    }

    /// Takes a turn of an open session: the body is a [`TurnRecord`], and perhaps an `id`.
    ///
    /// # Errors
    /// As [`Service::open_session`]; [`ErrorCode::NotFound`] where this application opened no such session,
    /// [`ErrorCode::SessionNotOpen`] where it is not open any more.
    pub async fn take_turn(
        &self,
        caller: &Caller,
        session: Uuid,
        body: Value,
    ) -> Result<SealedRecord, ServiceError> {
        let (by, credential) = caller.application()?;
        let (id, body) = take_id(body)?;
        let record: TurnRecord = typed(body)?;
        record.check().map_err(|error| malformed(&error))?;
        check_plan(record.plan.as_ref())?;
        let ledger = Arc::clone(&self.ledger);
        let found = blocking(move || Ok(ledger.find_session(session, by)?)).await?;
        let (opened, entry) = found.ok_or_else(|| {
            let detail = format!("this application opened no session {session}");
            ServiceError::new(ErrorCode::NotFound, detail)
                .hint("the path names the id that POST /v1/sessions answered")
        })?;
        let told = Told::Turn { opened, session: entry.session, record };
        self.testify(Testimony { by, credential, id, told }).await
    }

    /// Takes what a tool server says of a call: the body is `{"call", "status", "result"}`.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`] for another server's call, [`ErrorCode::NotFound`], [`ErrorCode::AmbiguousId`],
    /// [`ErrorCode::CallNotAllowed`], [`ErrorCode::OutcomeReported`], or the ledger's.
    pub async fn report_outcome(
        &self,
        caller: &Caller,
        intent: Uuid,
        agent: Option<String>,
        body: Value,
    ) -> Result<SealedRecord, ServiceError> {
        let (by, credential) = caller.tool_server()?;
        let NewOutcome { call, status, result } = typed(body)?;
        let registry = Arc::clone(&self.published().registry);
        let server = registry.party(PartyKind::ToolServer, by).map(|party| party.name.clone());
        let server = server.ok_or(LedgerError::NotRegistered)?;
        let agent = match agent {
            Some(name) => Some(registry.agent_named(&name).ok_or_else(|| no_intent(intent))?),
            None => None,
        };
        let ledger = Arc::clone(&self.ledger);
        let found = blocking(move || match agent {
            Some(agent) => Ok(ledger.find(intent, agent)?.into_iter().collect()),
            None => Ok(ledger.find_all(intent)?),
        });
        let told = outcome_told(found.await?, intent, call, &server, status, result)?;
        self.testify(Testimony { by, credential, id: None, told }).await
    }

    async fn testify(&self, testimony: Testimony) -> Result<SealedRecord, ServiceError> {
        let record = testimony.told.record()?;
        let status = match &testimony.told {
            Told::Outcome { status, .. } => Some(*status),
            _ => None,
        };
        let (told, fate) = oneshot::channel();
        self.ledger.testify(testimony, Box::new(move |heard| drop(told.send(heard))));
        let heard = fate.await.map_err(|_| {
            let detail = "the ledger ended before it told what became of this";
            ServiceError::new(ErrorCode::OutcomeUnknown, detail)
        })??;
        match heard {
            Heard::Sealed { leaf, seed } => {
                let answer = self
                    .ledger
                    .receipt_of_sealed(&leaf)
                    .and_then(|receipt| answer(leaf.index, &leaf.entry, &seed, &receipt));
                answer.map_err(|error| unanswered(leaf.index, &error))
            }
            Heard::Known { index } => {
                let ledger = Arc::clone(&self.ledger);
                let known = move || known_again(&ledger, index, &record, status);
                blocking(known).await
            }
        }
    }
}

/// The answer to what was sealed before, if it was the same.
fn known_again(
    ledger: &Ledger,
    index: u64,
    record: &[u8],
    status: Option<OutcomeStatus>,
) -> Result<SealedRecord, ServiceError> {
    let kept = ledger.kept(index).map_err(|error| unanswered(index, &error))?;
    let Kept { entry, bytes, payload, sealed_size, .. } = kept;
    let same_status = match (&entry, status) {
        (Entry::Outcome(sealed), Some(status)) => sealed.status == status,
        (Entry::Outcome(_), None) => false,
        (_, status) => status.is_none(),
    };
    if payload.declared != record || !same_status {
        return Err(match status {
            Some(_) => {
                let detail = format!("another outcome of this call is sealed, as leaf {index}");
                ServiceError::new(ErrorCode::OutcomeReported, detail)
            }
            None => LedgerError::IdReused(index).into(),
        });
    }
    let again = ledger.checkpoint_at(sealed_size).and_then(|checkpoint| {
        let receipt = ledger.receipt(index, &bytes, sealed_size, &checkpoint)?;
        answer(index, &bytes, &payload.declared_seed, &receipt)
    });
    again.map_err(|error| unanswered(index, &error))
}

fn answer(index: u64, entry: &[u8], seed: &Seed, receipt: &Receipt) -> Result<SealedRecord, LedgerError> {
    let id = Entry::parse(entry).ok().and_then(|entry| entry.id());
    let id = id.ok_or_else(|| LedgerError::Damaged(format!("leaf {index} is no entry")))?;
    Ok(SealedRecord {
        id,
        index,
        receipt: receipt.to_text(),
        entry: STANDARD.encode(entry),
        opening: Opening { declared: SeedOpening { seed: seed.to_base64() } },
    })
}

/// Finds the call among the intents of this id, and whether it may have an outcome.
fn outcome_told(
    found: Vec<Found>,
    id: Uuid,
    call: String,
    server: &str,
    status: OutcomeStatus,
    result: Value,
) -> Result<Told, ServiceError> {
    if found.is_empty() {
        return Err(no_intent(id));
    }
    let mut foreign = false;
    let mut own = Vec::new();
    for found in found {
        let damaged = || LedgerError::Damaged(format!("the payload of leaf {} is no intent", found.index));
        let intent = Intent::parse(&found.payload.declared).map_err(|_| damaged())?;
        let Some(number) = intent.calls.iter().position(|declared| declared.id == call) else { continue };
        match intent.calls.get(number) {
            Some(declared) if declared.server == server => {
                let allowed = found.entry.may_run(number);
                own.push((found, number, declared.tool.clone(), allowed));
            }
            _ => foreign = true,
        }
    }
    let (found, number, tool, allowed) = match (own.pop(), own.len()) {
        (Some(own), 0) => own,
        (Some(_), _) => {
            let detail = format!("several agents used the id {id} for calls of \"{server}\"");
            return Err(ServiceError::new(ErrorCode::AmbiguousId, detail).hint("say which with ?agent=NAME"));
        }
        (None, _) if foreign => {
            let detail = format!("call \"{call}\" of intent {id} is not one of \"{server}\"");
            return Err(ServiceError::new(ErrorCode::Forbidden, detail)
                .hint("a tool server reports its own calls: those that name it as their server"));
        }
        (None, _) => {
            let detail = format!("intent {id} has no call \"{call}\"");
            return Err(ServiceError::new(ErrorCode::NotFound, detail));
        }
    };
    if !allowed {
        let detail = format!("call \"{call}\" of intent {id} was not allowed");
        return Err(ServiceError::new(ErrorCode::CallNotAllowed, detail));
    }
    Ok(Told::Outcome {
        intent: found.index,
        call: u32::try_from(number).unwrap_or(u32::MAX),
        session: found.entry.session,
        status,
        record: OutcomeRecord { call, intent: id, result, tool },
    })
}

fn no_intent(id: Uuid) -> ServiceError {
    ServiceError::new(ErrorCode::NotFound, format!("no intent {id} is sealed"))
}

/// Takes the `id` out of a body: the entry has it, the record does not.
fn take_id(body: Value) -> Result<(Option<Uuid>, Value), ServiceError> {
    let malformed = |detail: String| ServiceError::new(ErrorCode::MalformedRequest, detail);
    let Value::Object(mut members) = body else {
        return Err(malformed("the body must be a JSON object".to_owned()));
    };
    let id = match members.remove("id") {
        None => None,
        Some(Value::String(text)) => Some(parse_id(&text, "/id").map_err(|e| malformed(e.to_string()))?),
        Some(_) => return Err(malformed("/id: must be a string".to_owned())),
    };
    Ok((id, Value::Object(members)))
}

fn typed<T: serde::de::DeserializeOwned>(body: Value) -> Result<T, ServiceError> {
    serde_json::from_value(body).map_err(|e| ServiceError::new(ErrorCode::MalformedRequest, e.to_string()))
}

/// A plan that cannot be followed is refused before it is sealed.
fn check_plan(plan: Option<&DeclaredPlan>) -> Result<(), ServiceError> {
    let Some(plan) = plan else { return Ok(()) };
    let malformed = |detail: String| ServiceError::new(ErrorCode::MalformedRequest, detail);
    let document = serde_json::to_value(plan).map_err(|e| malformed(e.to_string()))?;
    match Plan::parse(&document) {
        Ok(_) => Ok(()),
        Err(error) => Err(malformed(format!("/plan{}: {}", error.pointer, error.problem))),
    }
}

fn malformed(error: &RecordError) -> ServiceError {
    ServiceError::new(ErrorCode::MalformedRequest, error.to_string())
}

/// It is sealed, whatever went wrong afterwards.
fn unanswered(index: u64, error: &LedgerError) -> ServiceError {
    ServiceError::new(ErrorCode::SealedUnanswered, format!("sealed as leaf {index}, but: {error}"))
}

/// Runs a read that touches the disk where it does not hold up other requests.
async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    let done = tokio::task::spawn_blocking(read).await;
    done.unwrap_or_else(|_| Err(ServiceError::new(ErrorCode::Damaged, "the read ended without an answer")))
}
