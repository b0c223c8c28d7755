//! Reading what was sealed.

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::Service;
use super::answers::answer_of_found;
use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use crate::evidence::Answer;
use crate::ledger::{Found, LedgerError};
use crate::merkle::{Hash, TilePath};
use crate::record::json;

/// `GET /v1/proofs/inclusion`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InclusionProof {
    /// The leaf.
    pub index: u64,
    /// The tree size it is proven in.
    pub size: u64,
    /// Audit path, leaf sibling first.
    pub path: Vec<Hash>,
}

/// `GET /v1/proofs/consistency`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsistencyProof {
    /// The older size.
    pub from: u64,
    /// The newer size.
    pub to: u64,
    /// The proof (RFC 9162 §2.1.4).
    pub proof: Vec<Hash>,
}

/// `GET /v1/intents/{id}/payload`: what the leaf commits to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PayloadView {
    /// The intent's id.
    pub id: Uuid,
    /// Its leaf index.
    pub index: u64,
    /// The declared document, exactly as it came in.
    pub declared: String,
    /// Opens its commitment.
    pub declared_seed: String,
    /// The agent's signature over its statement, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// The evaluation; for operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Value>,
    /// Opens its commitment; for operators only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation_seed: Option<String>,
}

impl Service {
    /// An intent's answer, read back. Agents see their own; an operator says whose if several agents used the id.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`], [`ErrorCode::AmbiguousId`], [`ErrorCode::Damaged`].
    pub fn intent(&self, caller: &Caller, id: Uuid, agent: Option<&str>) -> Result<Answer, ServiceError> {
        answer_of_found(&self.ledger, &self.find(caller, id, agent)?)
    }

    /// What an intent's leaf commits to.
    ///
    /// # Errors
    /// As [`Service::intent`].
    pub fn payload(
        &self,
        caller: &Caller,
        id: Uuid,
        agent: Option<&str>,
    ) -> Result<PayloadView, ServiceError> {
        use base64::Engine as _;
        let found = self.find(caller, id, agent)?;
        let damaged = || LedgerError::Damaged(format!("the payload of leaf {} is not text", found.index));
        let is_operator = matches!(caller, Caller::Operator(_));
        let limits =
            json::JsonLimits { max_bytes: found.payload.evaluation.len(), ..json::JsonLimits::default() };
        let evaluation = json::parse_with(&found.payload.evaluation, &limits).map_err(|_| damaged())?;
        Ok(PayloadView {
            id: found.entry.id,
            index: found.index,
            declared: String::from_utf8(found.payload.declared.clone()).map_err(|_| damaged())?,
            declared_seed: found.payload.declared_seed.to_base64(),
            signature: found.payload.signature.map(|s| base64::engine::general_purpose::STANDARD.encode(s)),
            evaluation: is_operator.then_some(evaluation),
            evaluation_seed: is_operator.then(|| found.payload.evaluation_seed.to_base64()),
        })
    }

    /// Waits until no intent with this id that the caller may see is pending: what is asked of it then is answered by what
    /// is durable. Ends as well when nothing is sealed any more; the read says what is known then.
    pub async fn settle(&self, caller: &Caller, id: Uuid, agent: Option<&str>) {
        let index = match (caller, agent) {
            (Caller::Agent { index, .. }, _) => Some(*index),
            // Of a name that nobody has, nothing is pending; the read says that it is not found.
            (Caller::Operator(_), Some(name)) => match self.published().registry.agent_named(name) {
                Some(index) => Some(index),
                None => return,
            },
            (Caller::Operator(_), None) => None,
            // They see no intents.
            (Caller::Party { .. }, _) => return,
        };
        // Almost always: without a place among those who are woken.
        if !self.ledger.is_pending(id, index) {
            return;
        }
        let mut growth = self.growth();
        let poisoned = self.until_poisoned();
        tokio::pin!(poisoned);
        while self.ledger.is_pending(id, index) {
            tokio::select! {
                () = growth.next() => {}
                () = &mut poisoned => return,
            }
        }
    }

    fn find(&self, caller: &Caller, id: Uuid, agent: Option<&str>) -> Result<Found, ServiceError> {
        let not_found =
            || ServiceError::new(ErrorCode::NotFound, format!("no intent {id} is sealed for this caller"));
        let index = match (caller, agent) {
            (Caller::Agent { index, .. }, _) => Some(*index),
            (Caller::Operator(_), Some(name)) => {
                Some(self.published().registry.agent_named(name).ok_or_else(not_found)?)
            }
            (Caller::Operator(_), None) => None,
            (Caller::Party { .. }, _) => return Err(not_found()),
        };
        let mut found = match index {
            Some(agent) => self.ledger.find(id, agent)?.into_iter().collect(),
            None => self.ledger.find_all(id)?,
        };
        match (found.pop(), found.len()) {
            (None, _) => Err(not_found()),
            (Some(found), 0) => Ok(found),
            (Some(_), others) => Err(ServiceError::new(
                ErrorCode::AmbiguousId,
                format!("{} agents used the id {id}", others + 1),
            )
            .hint("say which with ?agent=NAME")),
        }
    }

    /// An inclusion proof within the published log.
    ///
    /// # Errors
    /// [`ErrorCode::NotInLog`], [`ErrorCode::Damaged`].
    pub fn inclusion(&self, index: u64, size: Option<u64>) -> Result<InclusionProof, ServiceError> {
        let published = self.published().size;
        let size = size.unwrap_or(published);
        let path = self.ledger.inclusion_proof(index, size)?;
        let path = path.ok_or_else(|| {
            let detail = format!("leaf {index} of size {size}: the log has size {published}");
            ServiceError::new(ErrorCode::NotInLog, detail)
        })?;
        Ok(InclusionProof { index, size, path })
    }

    /// A consistency proof within the published log.
    ///
    /// # Errors
    /// [`ErrorCode::NotInLog`], [`ErrorCode::Damaged`].
    pub fn consistency(&self, from: u64, to: Option<u64>) -> Result<ConsistencyProof, ServiceError> {
        let published = self.published().size;
        let to = to.unwrap_or(published);
        let proof = self.ledger.consistency_proof(from, to)?;
        let proof = proof.ok_or_else(|| {
            let detail =
                format!("sizes {from} to {to}: the log has size {published}, and proofs lead forward");
            ServiceError::new(ErrorCode::NotInLog, detail)
        })?;
        Ok(ConsistencyProof { from, to, proof })
    }

    /// A tile or entry bundle.
    ///
    /// # Errors
    /// [`ErrorCode::NotInLog`], [`ErrorCode::Damaged`].
    pub fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ServiceError> {
        self.ledger.resource(path)?.ok_or_else(|| {
            ServiceError::new(ErrorCode::NotInLog, format!("{path}: not part of the published log"))
        })
    }
}
