//! Policies: which bundle decides, which one watches, and back again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::caller::Caller;
use super::error::{ErrorCode, ServiceError};
use super::{Service, blocking};
use crate::ledger::state::SealedPolicy;
use crate::ledger::{Change, LedgerError, NewPolicy};
use crate::policy::{Bundle, BundleError, Engine, Mode};
use crate::record::entry::PolicyMode;
use crate::record::json::{JsonLimits, parse_with};
use crate::record::limits;
use crate::record::time::Timestamp;

/// Tests of a bundle that an error names.
const FAILED_TESTS_SHOWN: usize = 5;

/// A sealed bundle, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicySummary {
    /// Leaf index of its entry.
    pub index: u64,
    /// Digest of the bundle's bytes, hex.
    pub digest: String,
    /// Whether it was sealed to decide, or to watch.
    pub mode: &'static str,
    /// Its files.
    pub files: BTreeMap<String, String>,
    /// Whether that was so before, so that nothing new was sealed.
    pub unchanged: bool,
    /// Leaf index of the earlier entry whose bundle decides again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
}

/// An entry of a policy, as it is listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// Leaf index of the entry.
    pub index: u64,
    /// When it was sealed.
    pub at: Timestamp,
    /// `enforce`, `shadow` or `withdraw`.
    pub mode: &'static str,
    /// Digest of the bundle's bytes, hex; absent on a withdrawal, like all that is a bundle's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The bundle's name, if it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version, if it says one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Who stands for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Number of rules.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<u32>,
    /// Leaf index of the earlier entry whose bundle decides again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restores: Option<u64>,
    /// Leaf index of the entry whose bundle ends to watch with this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends: Option<u64>,
    /// Does it decide now?
    pub active: bool,
    /// Does it watch now?
    pub shadow: bool,
}

/// Where a rollback leads.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "\"to\" is a leaf index, or a digest of 64 hexadecimal digits")]
pub enum RollbackTo {
    /// To the bundle of this entry.
    Index(u64),
    /// To the bundle of this digest, hex.
    Digest(String),
}

/// A bundle that may become active.
struct Checked {
    engine: Arc<Engine>,
    policy: NewPolicy,
}

impl Service {
    /// Lets only bundles in that are signed by one of these authors' keys, by whatever way they come.
    #[must_use]
    pub fn with_policy_authors(self, authors: Vec<[u8; 32]>) -> Self {
        Self { policy_authors: authors, ..self }
    }

    /// Whether the bundle that decides now is one that may.
    ///
    /// # Errors
    /// [`ErrorCode::AuthorNotAllowed`]
    pub fn check_active_author(&self) -> Result<(), ServiceError> {
        match self.policy() {
            Some(_) => self.check_author(self.ledger.engine().bundle()),
            None => Ok(()),
        }
    }

    fn check_author(&self, bundle: &Bundle) -> Result<(), ServiceError> {
        let author = bundle.manifest().author.as_ref();
        if self.policy_authors.is_empty()
            || author.is_some_and(|author| self.policy_authors.contains(&author.key))
        {
            return Ok(());
        }
        let detail = match author {
            Some(author) => {
                format!("the bundle is signed by {}, with a key that is not allowed here", author.name)
            }
            None => "the bundle is not signed, and only signed bundles are taken here".to_owned(),
        };
        Err(ServiceError::new(ErrorCode::AuthorNotAllowed, detail)
            .hint("have it signed by an author whose key is a --policy-author of the service"))
    }

    /// Loads a bundle and runs its tests. Both may take long: not where others wait to be answered.
    async fn check_bundle(&self, files: BTreeMap<String, Vec<u8>>) -> Result<Checked, ServiceError> {
        let invalid = |e: BundleError| ServiceError::new(ErrorCode::InvalidPolicy, e.to_string());
        let theirs = files.clone();
        let bundle = blocking(move || Bundle::load(theirs).map_err(invalid)).await?;
        self.check_author(&bundle)?;
        let author = match &bundle.manifest().author {
            Some(author) => format!("{}, signed with {}", author.name, hex::encode(author.key)),
            None => "operator, unsigned".to_owned(),
        };
        let policy = NewPolicy::of(&bundle, files, author);
        let (engine, failed) = blocking(move || {
            let engine = Engine::new(bundle).map_err(invalid)?;
            let (_, failed) = engine.run_tests();
            Ok((Arc::new(engine), failed))
        })
        .await?;
        if failed.is_empty() {
            return Ok(Checked { engine, policy });
        }
        let mut shown: Vec<String> =
            failed.iter().take(FAILED_TESTS_SHOWN).map(ToString::to_string).collect();
        if let Some(more) = failed.len().checked_sub(FAILED_TESTS_SHOWN).filter(|more| *more > 0) {
            shown.push(format!("and {more} more tests fail"));
        }
        Err(ServiceError::new(ErrorCode::InvalidPolicy, shown.join("\n"))
            .hint("foreseal policy test DIR runs them; the active policy is untouched"))
    }

    /// Makes a bundle decide, or watch: as asked, otherwise as its manifest says. What is so already is not sealed again;
    /// nor is a bundle that decides put into shadow.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::InvalidPolicy`], [`ErrorCode::AuthorNotAllowed`],
    /// [`ErrorCode::NotProven`], or the ledger's; the active bundle then stays.
    pub async fn activate_policy(
        &self,
        caller: &Caller,
        files: BTreeMap<String, Vec<u8>>,
        mode: Option<Mode>,
    ) -> Result<PolicySummary, ServiceError> {
        let by = caller.operator()?;
        let checked = self.check_bundle(files).await?;
        let mode = mode.unwrap_or(checked.engine.bundle().manifest().mode);
        if let Some(active) = self.policy().filter(|active| active.digest == checked.policy.digest) {
            return Ok(PolicySummary { unchanged: true, ..active });
        }
        if mode == Mode::Enforce {
            return self.enforce(by, checked, None).await;
        }
        let (digest, files) = (checked.policy.digest.clone(), texts(&checked.policy.files));
        let watching = self.published().registry.shadow().cloned();
        let known = watching.filter(|shadow| shadow.digest.as_ref() == Some(&digest));
        let index = match &known {
            Some(shadow) => shadow.index,
            None => self.administer(by, Change::ShadowPolicy(checked.policy)).await?.index,
        };
        let mode = PolicyMode::Shadow.as_str();
        Ok(PolicySummary { index, digest, mode, files, unchanged: known.is_some(), restores: None })
    }

    async fn enforce(
        &self,
        by: u64,
        checked: Checked,
        restores: Option<u64>,
    ) -> Result<PolicySummary, ServiceError> {
        let Checked { engine, policy: mut bundle } = checked;
        bundle.proofs = self.proofs_of(&engine).await?;
        let (digest, files) = (bundle.digest.clone(), texts(&bundle.files));
        let sealed = self.administer(by, Change::ActivatePolicy { engine, bundle, restores }).await?;
        let mode = PolicyMode::Enforce.as_str();
        Ok(PolicySummary { index: sealed.index, digest, mode, files, unchanged: false, restores })
    }

    /// Makes a bundle decide again that decided before, from the log's own record of it: the one that is named, otherwise
    /// the last one that is another than the active one.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`] where none is such; otherwise as [`Service::activate_policy`].
    pub async fn roll_back_policy(
        &self,
        caller: &Caller,
        to: Option<&RollbackTo>,
    ) -> Result<PolicySummary, ServiceError> {
        let by = caller.operator()?;
        let target = self.rollback_target(to)?;
        let files = self.files_of(target.index).await?;
        let checked = self.check_bundle(files).await?;
        if let Some(active) = self.policy().filter(|active| active.digest == checked.policy.digest) {
            return Ok(PolicySummary { unchanged: true, ..active });
        }
        self.enforce(by, checked, Some(target.index)).await
    }

    fn rollback_target(&self, to: Option<&RollbackTo>) -> Result<Arc<SealedPolicy>, ServiceError> {
        let registry = Arc::clone(&self.published().registry);
        let active = registry.policy().map(|active| active.digest.clone());
        let is_meant = |sealed: &SealedPolicy| match to {
            None => sealed.digest != active,
            Some(RollbackTo::Index(index)) => sealed.index == *index,
            Some(RollbackTo::Digest(digest)) => sealed.digest.as_ref() == Some(digest),
        };
        let meant: Vec<_> = registry.policies().filter(|sealed| is_meant(sealed)).cloned().collect();
        let (decided, others): (Vec<_>, Vec<_>) =
            meant.into_iter().partition(|sealed| sealed.mode == PolicyMode::Enforce);
        decided.last().cloned().ok_or_else(|| {
            let detail = match (to, others.last()) {
                (None, _) => "no other policy decided before the active one".to_owned(),
                (Some(_), Some(other)) => {
                    format!("leaf {} is a policy that never decided: its mode is {}", other.index, other.mode.as_str())
                }
                (Some(RollbackTo::Index(index)), None) => format!("leaf {index} is no policy that decided"),
                (Some(RollbackTo::Digest(digest)), None) => {
                    let shown: String = digest.chars().take(64).collect();
                    format!("no policy of digest {shown:?} decided in this log")
                }
            };
            ServiceError::new(ErrorCode::NotFound, detail)
                .hint("`foreseal policy list` shows what there was; activate a bundle that never decided from its directory")
        })
    }

    /// The files that an entry's record holds.
    async fn files_of(&self, index: u64) -> Result<BTreeMap<String, Vec<u8>>, ServiceError> {
        let ledger = Arc::clone(&self.ledger);
        blocking(move || {
            let damaged = || LedgerError::Damaged(format!("leaf {index}: its record is no policy"));
            let (_, payload) = ledger.leaf_with_payload(index)?;
            let limits = JsonLimits { max_bytes: payload.declared.len(), ..JsonLimits::default() };
            let record = parse_with(&payload.declared, &limits).map_err(|_| damaged())?;
            let files = record.get("files").and_then(Value::as_object).ok_or_else(damaged)?;
            let text =
                |(name, text): (&String, &Value)| Some((name.clone(), text.as_str()?.as_bytes().to_vec()));
            Ok(files.iter().map(text).collect::<Option<_>>().ok_or_else(damaged)?)
        })
        .await
    }

    /// Ends the shadow.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::NotFound`] where nothing is in shadow, or the ledger's.
    pub async fn withdraw_shadow(&self, caller: &Caller) -> Result<PolicyRow, ServiceError> {
        let by = caller.operator()?;
        let sealed = self.administer(by, Change::WithdrawShadow).await?;
        let registry = Arc::clone(&self.published().registry);
        registry.sealed_policy(sealed.index).map(|row| self.row(row)).ok_or_else(|| {
            LedgerError::Damaged(format!("leaf {} is not the withdrawal that was sealed", sealed.index))
                .into()
        })
    }

    /// The active policy.
    #[must_use]
    pub fn policy(&self) -> Option<PolicySummary> {
        let registry = Arc::clone(&self.published().registry);
        let restores = |index| registry.sealed_policy(index).and_then(|sealed| sealed.restores);
        registry.policy().map(|active| PolicySummary {
            index: active.index,
            digest: active.digest.clone(),
            mode: PolicyMode::Enforce.as_str(),
            files: texts(&active.files),
            unchanged: false,
            restores: restores(active.index),
        })
    }

    /// A sealed bundle, from the log's own record of it.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`], [`ErrorCode::NotFound`], or the ledger's.
    pub async fn sealed_policy(&self, caller: &Caller, index: u64) -> Result<PolicySummary, ServiceError> {
        caller.operator()?;
        let registry = Arc::clone(&self.published().registry);
        let sealed = registry.sealed_policy(index);
        let Some((sealed, digest)) = sealed.and_then(|sealed| Some((sealed, sealed.digest.clone()?))) else {
            let detail = format!("leaf {index} is no policy, or one that is no longer listed");
            return Err(ServiceError::new(ErrorCode::NotFound, detail)
                .hint("`foreseal policy list` shows what there is"));
        };
        let files = texts(&self.files_of(index).await?);
        let (mode, restores) = (sealed.mode.as_str(), sealed.restores);
        Ok(PolicySummary { index, digest, mode, files, unchanged: false, restores })
    }

    /// Entries of policies after leaf `after`, at most a page of them.
    ///
    /// # Errors
    /// [`ErrorCode::Forbidden`]
    pub fn policies(&self, caller: &Caller, after: Option<u64>) -> Result<Vec<PolicyRow>, ServiceError> {
        caller.operator()?;
        let registry = Arc::clone(&self.published().registry);
        let rows = registry.policies().filter(|sealed| after.is_none_or(|after| sealed.index > after));
        Ok(rows.take(limits::PAGE_MAX_ITEMS).map(|sealed| self.row(sealed)).collect())
    }

    fn row(&self, sealed: &SealedPolicy) -> PolicyRow {
        let registry = Arc::clone(&self.published().registry);
        let SealedPolicy { index, at, mode, digest, author, name, version, rules, restores, ends, .. } =
            sealed.clone();
        PolicyRow {
            index,
            at,
            mode: mode.as_str(),
            digest,
            name,
            version,
            author,
            rules,
            restores,
            ends,
            active: registry.policy().is_some_and(|active| active.index == index),
            shadow: registry.shadow().is_some_and(|shadow| shadow.index == index),
        }
    }
}

fn texts(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, String> {
    files.iter().map(|(path, bytes)| (path.clone(), String::from_utf8_lossy(bytes).into_owned())).collect()
}
