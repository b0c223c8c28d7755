//! Entries that facts come from and that no agent writes: what applications say of the user, and tool servers of results.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::SessionTag;
use crate::merkle::Hash;
use crate::record::field_tree::Commitment;
use crate::record::time::Timestamp;

kind!(SessionKind = "session", TurnKind = "turn", OutcomeKind = "outcome");

/// An application opened a session of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionEntry {
    /// Format version.
    pub v: u8,
    /// Always `session`.
    #[serde(rename = "type")]
    pub kind: SessionKind,
    /// The application's, or made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Leaf index of the entry that registered the agent.
    pub agent: u64,
    /// Leaf index of the entry that registered the application.
    pub application: u64,
    /// Keyed tag of the session: that of the agent's intents in it.
    pub session: SessionTag,
    /// Commitment to the record: the user's words, the principal, the environment, the plan.
    pub declared: Commitment,
}

/// The user spoke again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TurnEntry {
    /// Format version.
    pub v: u8,
    /// Always `turn`.
    #[serde(rename = "type")]
    pub kind: TurnKind,
    /// The application's, or made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Leaf index of the entry that registered the application.
    pub application: u64,
    /// Leaf index of the `session` entry.
    pub opened: u64,
    /// Its tag.
    pub session: SessionTag,
    /// Commitment to the record: the user's words, perhaps a plan.
    pub declared: Commitment,
}

/// A tool server reported what became of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeEntry {
    /// Format version.
    pub v: u8,
    /// Always `outcome`.
    #[serde(rename = "type")]
    pub kind: OutcomeKind,
    /// Made by the service.
    pub id: Uuid,
    /// When it was reported.
    pub at: Timestamp,
    /// Leaf index of the entry that registered the tool server.
    pub tool: u64,
    /// Leaf index of the intent.
    pub intent: u64,
    /// Number of the call in it, from 0.
    pub call: u32,
    /// The session tag of the intent.
    pub session: SessionTag,
    /// Whether the call did what it was to do.
    pub status: OutcomeStatus,
    /// Salted digest of the result ([`crate::record::entry::result_digest`]).
    pub result: Hash,
    /// Commitment to the record: ids and the result.
    pub declared: Commitment,
}

/// How a call ended, as its server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeStatus {
    /// It did what it was to do.
    Ok,
    /// It failed; what it did before that is not known.
    Error,
}
