//! The bundle that decides, the one that watches, and what there was before: folded from `policy` entries.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::layered_map::LayeredMap;
use super::StateError;
use super::record::Record;
use crate::record::entry::{PolicyEntry, PolicyMode};
use crate::record::limits;
use crate::record::time::Timestamp;

/// The file in which a bundle says its name and version.
const MANIFEST: &str = "manifest.json";

/// The bundle that decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivePolicy {
    /// Leaf index of its entry.
    pub index: u64,
    /// Digest of the bundle's bytes.
    pub digest: String,
    /// Its files.
    pub files: BTreeMap<String, Vec<u8>>,
}

/// An entry of a policy, without the bundle's files: those stay in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedPolicy {
    /// Leaf index of the entry.
    pub index: u64,
    /// When it was sealed.
    pub at: Timestamp,
    /// Leaf index of the operator who did it.
    pub by: u64,
    /// What became of the bundle.
    pub mode: PolicyMode,
    /// Digest of the bundle's bytes, hex; absent on a withdrawal, like all that is a bundle's.
    pub digest: Option<String>,
    /// Who stands for it.
    pub author: Option<String>,
    /// Its name, if it says one.
    pub name: Option<String>,
    /// Its version, if it says one.
    pub version: Option<String>,
    /// Number of rules.
    pub rules: Option<u32>,
    /// Leaf index of the earlier entry whose bundle decides again.
    pub restores: Option<u64>,
    /// Leaf index of the entry whose bundle ends to watch with this one.
    pub ends: Option<u64>,
}

impl SealedPolicy {
    /// Reads an entry and its record; the files too, none on a withdrawal.
    pub(super) fn read(
        index: u64,
        entry: &PolicyEntry,
        record: Option<&[u8]>,
    ) -> Result<(Self, BTreeMap<String, Vec<u8>>), StateError> {
        let PolicyEntry { at, by, mode, rules, restores, ends, .. } = *entry;
        let (digest, author, name, version) = (None, None, None, None);
        let sealed = Self { index, at, by, mode, digest, author, name, version, rules, restores, ends };
        if entry.declared.is_none() {
            return Ok((sealed, BTreeMap::new()));
        }
        let record = Record::parse(index, "policy", record)?;
        let (digest, author) = (Some(record.text("digest")?), Some(record.text("author")?));
        let files = record.files()?;
        let manifest: Value =
            files.get(MANIFEST).and_then(|file| serde_json::from_slice(file).ok()).unwrap_or_default();
        let said = |what: &str| manifest.get(what).and_then(Value::as_str).map(str::to_owned);
        Ok((Self { digest, author, name: said("name"), version: said("version"), ..sealed }, files))
    }
}

/// All of it. A copy is cheap.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Policies {
    active: Option<Arc<ActivePolicy>>,
    shadow: Option<Arc<SealedPolicy>>,
    sealed: LayeredMap<u64, Arc<SealedPolicy>>,
}

impl Policies {
    pub(super) const fn active(&self) -> Option<&Arc<ActivePolicy>> {
        self.active.as_ref()
    }

    pub(super) const fn shadow(&self) -> Option<&Arc<SealedPolicy>> {
        self.shadow.as_ref()
    }

    pub(super) fn sealed(&self) -> impl Iterator<Item = &Arc<SealedPolicy>> {
        self.sealed.iter().map(|(_, sealed)| sealed)
    }

    pub(super) fn at(&self, index: u64) -> Option<&Arc<SealedPolicy>> {
        self.sealed.get(&index)
    }

    pub(super) fn apply(&mut self, sealed: SealedPolicy, files: BTreeMap<String, Vec<u8>>) {
        let sealed = Arc::new(sealed);
        if sealed.ends.is_some() {
            self.shadow = None;
        }
        match (sealed.mode, &sealed.digest) {
            (PolicyMode::Enforce, digest) => {
                let digest = digest.clone().unwrap_or_default();
                self.active = Some(Arc::new(ActivePolicy { index: sealed.index, digest, files }));
            }
            (PolicyMode::Shadow, _) => self.shadow = Some(Arc::clone(&sealed)),
            (PolicyMode::Withdraw, _) => {}
        }
        self.sealed.insert(sealed.index, sealed);
        let oldest = self.sealed.iter().next().map(|(index, _)| *index);
        if self.sealed.iter().count() > limits::POLICIES_KEPT_MAX
            && let Some(oldest) = oldest
        {
            self.sealed.remove(&oldest);
        }
    }
}
