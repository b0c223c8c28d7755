//! Log entries: what a leaf of the Merkle log says.
//!
//! A leaf is canonical JSON (RFC 8785) of at most 65,535 bytes. It holds integers, closed enumerations, salted
//! digests and ids that the service made; names and free text live in encrypted payloads.

/// A `type` member that is one text.
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

mod administration;
mod intent;
mod registration;
mod session;

use serde::Deserialize;
use uuid::Uuid;

pub use self::administration::{
    ExportEntry, ExportKind, KeyEntry, KeyKind, KeyPurpose, PolicyEntry, PolicyKind, PolicyMode,
    RefusedCounts, RefusedEntry, RefusedKind,
};
use self::intent::INTENT_END;
pub use self::intent::{Delta, IntentEntry, IntentKind, Label, SealedCall};
pub use self::registration::{
    AgentEntry, AgentKind, ApplicationEntry, ApplicationKind, Operation, OperatorEntry, OperatorKind,
    ToolEntry, ToolKind,
};
pub use self::session::{
    OutcomeEntry, OutcomeKind, OutcomeStatus, SessionEntry, SessionKind, TurnEntry, TurnKind,
};
pub use super::call_digest::{call_digest, changed_call_digest, result_digest};
use super::canonical::{is_canonical, to_jcs};
use super::field_tree::Commitment;
use super::limits;
pub use super::session_tag::SessionTag;
use super::time::Timestamp;

/// The only entry format version there is.
pub const ENTRY_VERSION: u8 = 1;

/// One row a type: the one place where types are told apart.
macro_rules! entries {
    ($($(#[doc = $about:literal])+ $name:ident($entry:ty) = $kind:literal, $commits:expr;)+) => {
        /// One leaf, read.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum Entry {
            $($(#[doc = $about])+ $name($entry),)+
            /// A type or version this software does not know: carried, hashed, and reported as not understood.
            Unknown {
                /// The `type` member.
                kind: String,
                /// The `v` member.
                version: u64,
            },
        }

        impl Entry {
            /// The `type` member.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$name(_) => $kind,)+
                    Self::Unknown { kind, .. } => kind,
                }
            }

            /// When the entry was made, where that is understood.
            #[must_use]
            pub fn at(&self) -> Option<Timestamp> {
                match self {
                    $(Self::$name(entry) => Some(entry.at),)+
                    Self::Unknown { .. } => None,
                }
            }

            /// The entry's id, where that is understood.
            #[must_use]
            pub fn id(&self) -> Option<Uuid> {
                match self {
                    $(Self::$name(entry) => Some(entry.id),)+
                    Self::Unknown { .. } => None,
                }
            }

            /// The commitment to its declared document, if it has one: then a payload is sealed with it.
            #[must_use]
            pub fn declared(&self) -> Option<Commitment> {
                match self {
                    $(Self::$name(entry) => {
                        let commits: fn(&$entry) -> Option<Commitment> = $commits;
                        commits(entry)
                    })+
                    Self::Unknown { .. } => None,
                }
            }

            /// Reads an entry of this type; `None` for a type that is not known.
            fn read(kind: &str, bytes: &[u8]) -> Option<serde_json::Result<Self>> {
                Some(match kind {
                    $($kind => serde_json::from_slice(bytes).map(Self::$name),)+
                    _ => return None,
                })
            }

            /// As a value; `None` for one that is not understood.
            fn to_value(&self) -> Option<serde_json::Result<serde_json::Value>> {
                Some(match self {
                    $(Self::$name(entry) => serde_json::to_value(entry),)+
                    Self::Unknown { .. } => return None,
                })
            }
        }
    };
}

entries! {
    /// An agent declared what it will do, and this was decided.
    Intent(IntentEntry) = "intent", |entry| Some(entry.declared);
    /// An operator's credential was registered.
    Operator(OperatorEntry) = "operator", |entry| Some(entry.declared);
    /// An agent was registered, got a new credential, or was revoked.
    Agent(AgentEntry) = "agent", |entry| entry.declared;
    /// An application was registered, got a new credential, or was revoked.
    Application(ApplicationEntry) = "application", |entry| entry.declared;
    /// A tool server was registered, got a new credential, or was revoked.
    Tool(ToolEntry) = "tool", |entry| entry.declared;
    /// A session was opened.
    Session(SessionEntry) = "session", |entry| Some(entry.declared);
    /// The user spoke again in it.
    Turn(TurnEntry) = "turn", |entry| Some(entry.declared);
    /// A tool server reported what became of a call.
    Outcome(OutcomeEntry) = "outcome", |entry| Some(entry.declared);
    /// A policy bundle became active, watches, or ends watching.
    Policy(PolicyEntry) = "policy", |entry| entry.declared;
    /// Counts of requests refused before anything was sealed.
    Refused(RefusedEntry) = "refused", |_| None;
    /// A key of the service, other than the log's, was announced.
    Key(KeyEntry) = "key", |_| None;
    /// A bundle was handed out.
    Export(ExportEntry) = "export", |entry| Some(entry.declared);
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
        let known = (head.v == u64::from(ENTRY_VERSION)).then(|| Self::read(&head.kind, bytes)).flatten();
        let Some(read) = known else {
            let entry = Self::Unknown { kind: head.kind, version: head.v };
            return if is_canonical(bytes) { Ok(entry) } else { Err(EntryError::NotCanonical) };
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
        if let Self::Intent(entry) = self {
            return entry.encode().map(Some);
        }
        let shape = |problem: String| EntryError::Shape { kind: self.kind().to_owned(), problem };
        let Some(value) = self.to_value() else { return Ok(None) };
        let value = value.map_err(|e| shape(e.to_string()))?;
        let bytes = to_jcs(&value).map_err(|e| shape(e.to_string()))?;
        if bytes.len() > limits::ENTRY_MAX_BYTES {
            return Err(EntryError::TooLarge(bytes.len()));
        }
        Ok(Some(bytes))
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
