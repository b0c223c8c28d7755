//! Entries of what operators do beside registering: policies, keys, hand-outs; and the counts of refusals.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::merkle::Hash;
use crate::record::field_tree::Commitment;
use crate::record::time::Timestamp;

kind!(PolicyKind = "policy", RefusedKind = "refused", KeyKind = "key", ExportKind = "export");

/// What bundle of rules decides from here on, or watches.
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
    /// What becomes of the bundle.
    pub mode: PolicyMode,
    /// Number of rules; absent on `withdraw`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rules: Option<u32>,
    /// Commitment to the bundle's record (author, digest, every file); absent on `withdraw`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub declared: Option<Commitment>,
    /// Leaf index of the earlier entry whose bundle decides again; absent unless this is a rollback.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub restores: Option<u64>,
    /// Leaf index of the entry whose bundle watched until now and ends to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ends: Option<u64>,
}

/// What becomes of a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyMode {
    /// It decides.
    Enforce,
    /// It watches: what it would decide is found out afterwards, and decides nothing.
    Shadow,
    /// What watched ends to; nothing replaces it.
    Withdraw,
}

impl PolicyMode {
    /// The name in the entry.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Withdraw => "withdraw",
        }
    }
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
