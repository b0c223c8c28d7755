//! The entry of an intent: most of every log.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{EntryError, call_digest, changed_call_digest};
use crate::merkle::Hash;
use crate::record::canonical::CanonicalError;
use crate::record::decision::Outcome;
use crate::record::field_tree::{Commitment, Seed};
use crate::record::intent::Call;
use crate::record::limits;
use crate::record::session_tag::SessionTag;
use crate::record::time::Timestamp;

kind!(IntentKind = "intent");

/// What an agent declared and what was decided. Members are in their canonical order, here and in what it holds:
/// intents are most of every log, and are written without sorting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentEntry {
    /// Leaf index of the entry that registered the agent.
    pub agent: u64,
    /// When it was decided, by the service's clock; never before the previous leaf's.
    pub at: Timestamp,
    /// `false` where the agent said that each call stands alone: then a call may run by its own outcome, whatever the
    /// others' are. Absent means `true`, and is the only way to say it.
    #[serde(skip_serializing_if = "is_true", default = "always", deserialize_with = "only_false")]
    pub atomic: bool,
    /// One per declared call, in their order.
    pub calls: Vec<SealedCall>,
    /// Commitment to the declared document.
    pub declared: Commitment,
    /// What the fold over the log needs beyond the other members; absent where it needs nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub delta: Option<Delta>,
    /// Version of the deciding engine.
    pub engine: u32,
    /// Commitment to the evaluation.
    pub evaluation: Commitment,
    /// When a hold ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires: Option<Timestamp>,
    /// The idempotency id.
    pub id: Uuid,
    /// The decision over the whole intent.
    pub outcome: Outcome,
    /// Leaf index of the policy that decided; absent when none was active (and everything is denied).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub policy: Option<u64>,
    /// Leaf index of this agent's previous entry; absent for the first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub prev: Option<u64>,
    /// Counts this agent's entries from 0.
    pub seq: u64,
    /// Keyed tag of the session.
    pub session: SessionTag,
    /// Leaf index of the entry that registered the key that signed the intent; absent when it was not signed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub signer: Option<u64>,
    /// Always `intent`.
    #[serde(rename = "type")]
    pub kind: IntentKind,
    /// Format version.
    pub v: u8,
}

fn always() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_true(atomic: &bool) -> bool {
    *atomic
}

/// One form for each thing said.
fn only_false<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match bool::deserialize(deserializer)? {
        false => Ok(false),
        true => Err(D::Error::custom("\"atomic\": true is said by leaving it out")),
    }
}

/// The sealed verdict on one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealedCall {
    /// Salted digest of the call that may run ([`call_digest`]).
    pub digest: Hash,
    /// The verdict on this call.
    pub outcome: Outcome,
}

impl SealedCall {
    /// Is this the verdict on call `index` of a document with this seed? Of a modified call the digest is that of the
    /// call with the changed arguments; where they are not known it is not.
    #[must_use]
    pub fn is_of(&self, seed: &Seed, index: u32, call: &Call, changed: Option<&Value>) -> bool {
        let digest = match (self.outcome, changed) {
            (Outcome::Modify, None) => return false,
            (Outcome::Modify, Some(args)) => changed_call_digest(seed, index, call, args),
            _ => call_digest(seed, index, call),
        };
        digest.is_ok_and(|digest| digest == self.digest)
    }
}

impl IntentEntry {
    /// Whether a call may run: by its own verdict, and by that on the whole where its calls run only together.
    #[must_use]
    pub fn may_run(&self, call: usize) -> bool {
        let may_run = |outcome| matches!(outcome, Outcome::Allow | Outcome::Modify);
        self.calls.get(call).is_some_and(|call| may_run(call.outcome))
            && (!self.atomic || may_run(self.outcome))
    }
}

/// What an intent brings into its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "WrittenDelta")]
pub struct Delta {
    /// The labels that its observations set, at least one, sorted and without repetition.
    pub labels: Vec<Label>,
}

/// A [`Delta`] as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenDelta {
    labels: Vec<Label>,
}

impl TryFrom<WrittenDelta> for Delta {
    type Error = &'static str;

    fn try_from(written: WrittenDelta) -> Result<Self, Self::Error> {
        let labels = written.labels;
        if labels.is_empty() || !labels.is_sorted_by(|a, b| a < b) {
            return Err("the labels are not at least one, sorted and without repetition");
        }
        Ok(Self { labels })
    }
}

/// A label of a session that leaves may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Label {
    /// It has read what someone other than the user may have written.
    Untrusted,
}

/// How every intent of the one version ends, in canonical order.
pub(super) const INTENT_END: &[u8] = br#""type":"intent","v":1}"#;
/// Room for an intent with one call.
const INTENT_BYTES: usize = 640;

impl IntentEntry {
    /// Canonical because the members are declared in canonical order and hold no fractions; whole numbers beyond what
    /// JSON holds exactly have no canonical form.
    pub(super) fn encode(&self) -> Result<Vec<u8>, EntryError> {
        let shape = |problem: String| EntryError::Shape { kind: "intent".to_owned(), problem };
        let numbers = [Some(self.agent), self.policy, self.prev, Some(self.seq), self.signer];
        if numbers.into_iter().flatten().any(|number| number > limits::JSON_MAX_INTEGER.unsigned_abs()) {
            return Err(shape(CanonicalError::Number.to_string()));
        }
        let mut bytes = Vec::with_capacity(INTENT_BYTES);
        serde_json::to_writer(&mut bytes, self).map_err(|e| shape(e.to_string()))?;
        if bytes.len() > limits::ENTRY_MAX_BYTES {
            return Err(EntryError::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }
}
