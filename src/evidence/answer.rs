//! The answer to a sealed intent, as the service gives it and as a verifier reads it back.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::record::json::{self, JsonError, JsonLimits};

use crate::record::decision::{Condition, Outcome, Reason, Transformed};
use crate::record::time::Timestamp;

/// `201` body of `POST /v1/intents`. The same id with the same body gets the same bytes again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The intent's id.
    pub id: Uuid,
    /// Its leaf index.
    pub index: u64,
    /// What was decided.
    pub decision: AnswerDecision,
    /// The receipt, a tlog-proof.
    pub receipt: String,
    /// The leaf, base64.
    pub entry: String,
    /// What opens the commitments in the leaf to whoever holds the declared document.
    pub opening: Opening,
    /// Permits, one per allowed call that asked for one. Always empty in this version.
    pub permits: Vec<String>,
}

/// Why a text is not an answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// Not strict JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// JSON of another shape.
    #[error("not an answer: {0}")]
    Shape(#[from] serde_json::Error),
}

impl Answer {
    /// Reads an answer as strictly as what is sealed: a member that is there twice would be two answers.
    ///
    /// # Errors
    /// [`AnswerError`]
    pub fn parse(text: &str) -> Result<Self, AnswerError> {
        let limits = JsonLimits { max_bytes: text.len(), ..JsonLimits::default() };
        Ok(serde_json::from_value(json::parse_with(text.as_bytes(), &limits)?)?)
    }
}

/// The decision as told to the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerDecision {
    /// Over the whole intent.
    pub outcome: Outcome,
    /// When a hold ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<Timestamp>,
    /// Why, sorted.
    pub reasons: Vec<Reason>,
    /// What would turn a hold into a yes.
    pub conditions: Vec<Condition>,
    /// One per declared call, in their order.
    pub calls: Vec<AnswerCall>,
}

/// The verdict on one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerCall {
    /// The call's id within the intent.
    pub id: String,
    /// Its verdict.
    pub outcome: Outcome,
    /// Why, sorted.
    pub reasons: Vec<Reason>,
    /// What would turn a hold into a yes.
    pub conditions: Vec<Condition>,
    /// For a modify: what rules changed.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub transforms: Vec<Transformed>,
    /// For a modify: the arguments that it may run with. The digest in the leaf is of these.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub args: Option<Value>,
}

/// What opens the leaf's commitments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Of the declared document.
    pub declared: SeedOpening,
}

/// Opens a whole document: with the seed and the document the root can be recomputed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeedOpening {
    /// The seed, base64 of 32 bytes.
    pub seed: String,
}
