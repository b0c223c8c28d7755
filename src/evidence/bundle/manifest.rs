//! What a bundle says of itself: its manifest, and the BagIt files around it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::container::Member;
use crate::merkle::Hash;
use crate::record::canonical::to_jcs;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::time::Timestamp;

/// The value of the member `schema`.
pub const SCHEMA: &str = "foreseal.bundle.v1";
/// Declares a bag (RFC 8493 §2.1.1).
pub const BAGIT: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// The manifest: everything that is signed, by digest. Serialised, it is `schemas/bundle.schema.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// The bundle's id: that of its `export` entry.
    pub id: Uuid,
    /// When the hand-out was sealed.
    pub at: Timestamp,
    /// The log.
    pub origin: String,
    /// The range of leaves.
    pub scope: Scope,
    /// The checkpoint that everything is proven under.
    pub checkpoint: Covering,
    /// Leaf index of the `export` entry.
    pub export: u64,
    /// Leaf index of the `key` entry that announced the key which signs this manifest.
    pub key: u64,
    /// Entries of the range, by type.
    pub types: BTreeMap<String, u64>,
    /// Decisions of the range, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// What is shown of the range's documents.
    pub shown: Shown,
    /// In plain words, what the bundle does not establish.
    pub not_established: Vec<String>,
    /// Every other file but the bag's own and the signature, in their order.
    pub files: Vec<FileRow>,
    /// What made it.
    pub software: String,
}

/// A range of leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The first leaf.
    pub from: u64,
    /// The leaf behind the last one.
    pub to: u64,
}

/// A head of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Covering {
    /// Leaves.
    pub size: u64,
    /// Their root.
    pub root: Hash,
}

/// How much of the range's intents is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// Intents whose declared document is shown whole.
    pub documents: u64,
    /// Intents of which single fields are shown.
    pub partial: u64,
    /// Intents whose evaluation is shown.
    pub evaluations: u64,
    /// Intents of which nothing is shown.
    pub withheld: u64,
}

/// One file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRow {
    /// Its path below the base directory.
    pub path: String,
    /// Its length.
    pub bytes: u32,
    /// SHA-256 of its content, hex.
    pub sha256: String,
}

impl FileRow {
    /// The row of a member.
    #[must_use]
    pub fn of(member: &Member) -> Self {
        Self { path: member.name.clone(), bytes: member.bytes, sha256: hex::encode(member.sha256) }
    }
}

impl Manifest {
    /// The canonical bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        canonical(self)
    }

    /// The lines of `bag-info.txt` (RFC 8493 §2.2.2). `payload` are the members below `data/`.
    #[must_use]
    pub fn bag_info<'m>(&self, payload: impl Iterator<Item = &'m Member>) -> String {
        let (mut files, mut bytes) = (0u64, 0u64);
        for member in payload {
            files += 1;
            bytes += u64::from(member.bytes);
        }
        let at = self.at.to_string();
        let day = at.get(..10).unwrap_or_default();
        format!(
            "Bag-Software-Agent: {}\nBagging-Date: {day}\nExternal-Description: leaves {} to {} of the log {}\n\
             External-Identifier: {}\nPayload-Oxum: {bytes}.{files}\n",
            self.software,
            self.scope.from,
            self.scope.to - 1,
            self.origin,
            self.id
        )
    }
}

/// A BagIt manifest (RFC 8493 §2.1.3): digest and path of each of these members.
#[must_use]
pub fn digests<'m>(members: impl Iterator<Item = &'m Member>) -> String {
    let mut out = String::new();
    for member in members {
        // INVARIANT: writing to a String cannot fail, so the result carries nothing.
        let _ = writeln!(out, "{}  {}", hex::encode(member.sha256), member.name);
    }
    out
}

/// The canonical bytes of one of our own types, which all have some.
pub(super) fn canonical<T: Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_value(value).ok().and_then(|value| to_jcs(&value).ok()).unwrap_or_default()
}

/// Reads one of our own types from canonical bytes, strictly: what is read is written again byte for byte.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read<T: Serialize + serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let limits = JsonLimits { max_bytes: bytes.len(), ..JsonLimits::default() };
    let value: Value = parse_with(bytes, &limits).map_err(|e| e.to_string())?;
    let read: T = serde_json::from_value(value).map_err(|e| e.to_string())?;
    if canonical(&read) == bytes { Ok(read) } else { Err("it is not in its canonical form".to_owned()) }
}
