//! Log entries: what a leaf of the Merkle log says.
//!
//! A leaf is canonical JSON (RFC 8785) of at most 65,535 bytes. It holds integers, closed enumerations, salted
//! digests and ids that the service made; names and free text live in encrypted payloads.

use base64::DecodeSliceError;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use super::call_digest::{call_digest, changed_call_digest};
use super::canonical::{CanonicalError, is_canonical, to_jcs};
use super::decision::Outcome;
use super::field_tree::{Commitment, Seed};
use super::intent::Call;
use super::limits;
use super::time::Timestamp;
use crate::merkle::Hash;

/// The only entry format version there is.
pub const ENTRY_VERSION: u8 = 1;

/// One leaf, read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Entry {
    /// An agent declared what it will do, and this was decided.
    Intent(IntentEntry),
    /// An operator's credential was registered.
    Operator(OperatorEntry),
    /// An agent was registered, got a new credential, or was revoked.
    Agent(AgentEntry),
    /// A policy bundle became active.
    Policy(PolicyEntry),
    /// Counts of requests refused before anything was sealed.
    Refused(RefusedEntry),
    /// A key of the service, other than the log's, was announced.
    Key(KeyEntry),
    /// A bundle was handed out.
    Export(ExportEntry),
    /// A type or version this software does not know: carried, hashed, and reported as not understood.
    Unknown {
        /// The `type` member.
        kind: String,
        /// The `v` member.
        version: u64,
    },
}

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

/// Registration of an operator. Leaf 0 is the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorEntry {
    /// Format version.
    pub v: u8,
    /// Always `operator`.
    #[serde(rename = "type")]
    pub kind: OperatorKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub operation: Operation,
    /// Commitment to the operator's record (name, credential digest).
    pub declared: Commitment,
}

/// A change of an agent's registration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentEntry {
    /// Format version.
    pub v: u8,
    /// Always `agent`.
    #[serde(rename = "type")]
    pub kind: AgentKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub operation: Operation,
    /// Leaf index of the entry that registered the agent; absent when this is that entry.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub agent: Option<u64>,
    /// Leaf index of the operator who did it.
    pub by: u64,
    /// Commitment to the agent's record (name, roles, credential digest, public key); absent on `revoke`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declared: Option<Commitment>,
    /// The agent's Ed25519 public key (base64 of 32 bytes) when it signs its intents.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<Hash>,
}

/// Activation of a policy bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyEntry {
    /// Format version.
    pub v: u8,
    /// Always `policy`.
    #[serde(rename = "type")]
    pub kind: PolicyKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Leaf index of the operator who did it.
    pub by: u64,
    /// Whether the bundle decides or only watches.
    pub mode: PolicyMode,
    /// Number of rules.
    pub rules: u32,
    /// Commitment to the bundle's record (author, digest, every file).
    pub declared: Commitment,
}

/// Requests that were refused before anything was sealed, by HTTP status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedEntry {
    /// Format version.
    pub v: u8,
    /// Always `refused`.
    #[serde(rename = "type")]
    pub kind: RefusedKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Counted since this time.
    pub since: Timestamp,
    /// Counts since then.
    pub counts: RefusedCounts,
}

/// Announcement of a key of the service. What it signs proves something only to who trusts the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Format version.
    pub v: u8,
    /// Always `key`.
    #[serde(rename = "type")]
    pub kind: KeyKind,
    /// Made by the service.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Leaf index of the operator whose request needed it.
    pub by: u64,
    /// What it signs.
    pub purpose: KeyPurpose,
    /// The Ed25519 public key (base64 of 32 bytes).
    pub key: Hash,
    /// Leaf index of the entry that announced the key it replaces; absent for the first of its purpose.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub replaces: Option<u64>,
}

/// What an announced key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPurpose {
    /// Manifests of bundles.
    Bundle,
}

/// The hand-out of a bundle, sealed before its bytes leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportEntry {
    /// Format version.
    pub v: u8,
    /// Always `export`.
    #[serde(rename = "type")]
    pub kind: ExportKind,
    /// Made by the service; the bundle's id.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Leaf index of the operator who asked.
    pub by: u64,
    /// The first leaf of the range.
    pub from: u64,
    /// The leaf behind the last one.
    pub to: u64,
    /// Commitment to the record of what was shown.
    pub declared: Commitment,
}

/// Counts of refusals by their HTTP status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusedCounts {
    /// Malformed requests.
    #[serde(rename = "400")]
    pub malformed: u64,
    /// No or wrong credential.
    #[serde(rename = "401")]
    pub unauthenticated: u64,
    /// A credential that may not do this.
    #[serde(rename = "403")]
    pub forbidden: u64,
    /// The id stands for another body, or is outside its window.
    #[serde(rename = "409")]
    pub conflict: u64,
    /// Too large.
    #[serde(rename = "413")]
    pub too_large: u64,
    /// Too many.
    #[serde(rename = "429")]
    pub too_many: u64,
    /// The service could not take it.
    #[serde(rename = "503")]
    pub unavailable: u64,
}

impl RefusedCounts {
    /// Whether nothing was refused.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

macro_rules! kind {
    ($($name:ident = $text:literal),+ $(,)?) => {$(
        #[doc = concat!("The `type` of a `", $text, "` entry.")]
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            #[doc = concat!("`", $text, "`")]
            #[default]
            #[serde(rename = $text)]
            It,
        }
    )+};
}
kind!(
    IntentKind = "intent",
    OperatorKind = "operator",
    AgentKind = "agent",
    PolicyKind = "policy",
    RefusedKind = "refused",
    KeyKind = "key",
    ExportKind = "export",
);

/// What happened to a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Made.
    Register,
    /// Given a new credential or key.
    Rotate,
    /// Ended; its credential is refused from here on.
    Revoke,
}

/// Whether a bundle decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyMode {
    /// Its decisions hold.
    Enforce,
}

/// Keyed tag of an agent's session: 16 bytes, base64. Whoever has no session key cannot guess the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionTag(pub [u8; 16]);

impl Serialize for SessionTag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use base64::Engine as _;
        let mut text = [0; 24];
        let written = base64::engine::general_purpose::STANDARD.encode_slice(self.0, &mut text);
        let length = written.map_err(serde::ser::Error::custom)?;
        let text = text.get(..length).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
        serializer.serialize_str(text)
    }
}

impl<'de> Deserialize<'de> for SessionTag {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use base64::Engine as _;
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        // Two more than a tag: what 24 characters can hold at most.
        let mut decoded = [0; 18];
        let length = base64::engine::general_purpose::STANDARD.decode_slice(text.as_bytes(), &mut decoded);
        match (length, decoded.first_chunk()) {
            (Ok(16), Some(tag)) => Ok(Self(*tag)),
            (Ok(_) | Err(DecodeSliceError::OutputSliceTooSmall), _) => {
                Err(serde::de::Error::custom("the session tag is not 16 bytes"))
            }
            (Err(_), _) => Err(serde::de::Error::custom("the session tag is not base64")),
        }
    }
}

/// Why bytes are not an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Over the 65,535 bytes of an entry bundle's length field.
    #[error("an entry of {0} bytes is over the limit of 65,535")]
    TooLarge(usize),
    /// Not strict JSON in its canonical form.
    #[error("the entry is not canonical JSON (RFC 8785)")]
    NotCanonical,
    /// Canonical JSON, but not of its type's shape.
    #[error("the entry is no valid \"{kind}\" entry: {problem}")]
    Shape {
        /// The `type` member, or what stands in its place.
        kind: String,
        /// What is wrong.
        problem: String,
    },
}

impl Entry {
    /// Reads a leaf.
    ///
    /// # Errors
    /// [`EntryError`]. Types and versions that are not known are no error: they are [`Entry::Unknown`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > limits::ENTRY_MAX_BYTES {
            return Err(EntryError::TooLarge(bytes.len()));
        }
        if bytes.ends_with(INTENT_END)
            && let Ok(intent) = serde_json::from_slice(bytes)
        {
            return Self::Intent(intent).spelled(bytes);
        }
        let head: Head = serde_json::from_slice(bytes)
            .map_err(|e| EntryError::Shape { kind: "?".to_owned(), problem: e.to_string() })?;
        let unknown = |head: Head| {
            let entry = Self::Unknown { kind: head.kind, version: head.v };
            if is_canonical(bytes) { Ok(entry) } else { Err(EntryError::NotCanonical) }
        };
        if head.v != u64::from(ENTRY_VERSION) {
            return unknown(head);
        }
        let read = match head.kind.as_str() {
            "intent" => serde_json::from_slice(bytes).map(Self::Intent),
            "operator" => serde_json::from_slice(bytes).map(Self::Operator),
            "agent" => serde_json::from_slice(bytes).map(Self::Agent),
            "policy" => serde_json::from_slice(bytes).map(Self::Policy),
            "refused" => serde_json::from_slice(bytes).map(Self::Refused),
            "key" => serde_json::from_slice(bytes).map(Self::Key),
            "export" => serde_json::from_slice(bytes).map(Self::Export),
            _ => return unknown(head),
        };
        let entry = read.map_err(|e| EntryError::Shape { kind: head.kind, problem: e.to_string() })?;
        entry.spelled(bytes)
    }

    /// One entry, one spelling: what the parser would forgive (white space, order, `null`, an id in capitals) differs.
    fn spelled(self, bytes: &[u8]) -> Result<Self, EntryError> {
        if self.encode()?.as_deref() == Some(bytes) { Ok(self) } else { Err(EntryError::NotCanonical) }
    }

    /// The leaf's bytes. `None` for an entry that is not understood: its bytes are kept, never made.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`].
    pub fn encode(&self) -> Result<Option<Vec<u8>>, EntryError> {
        let value = match self {
            Self::Intent(entry) => return entry.encode().map(Some),
            Self::Operator(entry) => serde_json::to_value(entry),
            Self::Agent(entry) => serde_json::to_value(entry),
            Self::Policy(entry) => serde_json::to_value(entry),
            Self::Refused(entry) => serde_json::to_value(entry),
            Self::Key(entry) => serde_json::to_value(entry),
            Self::Export(entry) => serde_json::to_value(entry),
            Self::Unknown { .. } => return Ok(None),
        };
        let shape = |problem: String| EntryError::Shape { kind: self.kind().to_owned(), problem };
        let value = value.map_err(|e| shape(e.to_string()))?;
        let bytes = to_jcs(&value).map_err(|e| shape(e.to_string()))?;
        if bytes.len() > limits::ENTRY_MAX_BYTES {
            return Err(EntryError::TooLarge(bytes.len()));
        }
        Ok(Some(bytes))
    }

    /// The `type` member.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Intent(_) => "intent",
            Self::Operator(_) => "operator",
            Self::Agent(_) => "agent",
            Self::Policy(_) => "policy",
            Self::Refused(_) => "refused",
            Self::Key(_) => "key",
            Self::Export(_) => "export",
            Self::Unknown { kind, .. } => kind,
        }
    }

    /// When the entry was made, where that is understood.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Intent(entry) => Some(entry.at),
            Self::Operator(entry) => Some(entry.at),
            Self::Agent(entry) => Some(entry.at),
            Self::Policy(entry) => Some(entry.at),
            Self::Refused(entry) => Some(entry.at),
            Self::Key(entry) => Some(entry.at),
            Self::Export(entry) => Some(entry.at),
            Self::Unknown { .. } => None,
        }
    }
}

/// How every intent of the one version ends, in canonical order.
const INTENT_END: &[u8] = br#""type":"intent","v":1}"#;
/// Room for an intent with one call.
const INTENT_BYTES: usize = 640;

impl IntentEntry {
    /// Canonical because the members are declared in canonical order and hold no fractions; whole numbers beyond what
    /// JSON holds exactly have no canonical form.
    fn encode(&self) -> Result<Vec<u8>, EntryError> {
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

#[derive(Deserialize)]
struct Head {
    v: u64,
    #[serde(rename = "type")]
    kind: String,
}

#[cfg(test)]
#[path = "entry_tests.rs"]
mod tests;
