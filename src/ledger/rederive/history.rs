//! What came before an intent: the fold over the log, as far as it can be known, and the policy that is active.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::walk::Opened;
use crate::ledger::keyring::Keyring;
use crate::ledger::state::{FoldKey, Sealed, State};
use crate::policy::{Bundle, Engine, FactsForm};
use crate::record::entry::{Entry, IntentEntry, PolicyEntry, PolicyMode, SessionTag};

/// Why something cannot be derived again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Gap {
    /// The ledger's keys are not here.
    NoKeys,
    /// The key of the epoch in which it was sealed is not here.
    NoEpochKey,
    /// No payload lies beside the leaf.
    NoPayload,
    /// What lies beside the leaf is not what it commits to.
    Changed,
    /// The policy that decided is one of these itself, or does not load in this version.
    NoPolicy,
    /// Something that came before, and that its facts rest on, is one of these.
    History,
    /// It was sealed by a version of the engine, of Cedar or of the detectors that this build does not have.
    Version,
}

impl Gap {
    /// For people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NoKeys => "the ledger's keys are not here",
            Self::NoEpochKey => "the key of its epoch is not here",
            Self::NoPayload => "its payload is not there",
            Self::Changed => "its payload is not what the leaf commits to",
            Self::NoPolicy => "the policy that decided it cannot be used",
            Self::History => "something before it cannot be known",
            Self::Version => "another version of the engine or its detectors decided it",
        }
    }
}

/// The declared document of a `policy` entry.
#[derive(Deserialize)]
struct PolicyRecord {
    digest: String,
    files: BTreeMap<String, String>,
}

/// The active policy's files, and engines of them by the form of the facts.
struct Active {
    files: Result<BTreeMap<String, Vec<u8>>, Gap>,
    engines: BTreeMap<FactsForm, Result<Arc<Engine>, Gap>>,
}

impl Active {
    fn of(files: Result<BTreeMap<String, Vec<u8>>, Gap>) -> Self {
        Self { files, engines: BTreeMap::new() }
    }

    fn engine(&mut self, form: FactsForm) -> Result<Arc<Engine>, Gap> {
        let files = self.files.as_ref().map_err(|gap| *gap)?;
        let load = || {
            let bundle = Bundle::load_for(files.clone(), form).map_err(|_| Gap::NoPolicy)?;
            Engine::new(bundle).map(Arc::new).map_err(|_| Gap::NoPolicy)
        };
        self.engines.entry(form).or_insert_with(load).clone()
    }
}

/// The fold so far.
pub(super) struct History<'a> {
    keys: Option<&'a Keyring>,
    state: State,
    key: FoldKey,
    active: Active,
    /// The fold had to do without something that everything rests on; from there on only links are followed.
    lost: bool,
    /// Sessions of which something is not known.
    unknown: BTreeSet<SessionTag>,
    /// What is not known of some may have changed what others were told.
    blurred: bool,
}

impl<'a> History<'a> {
    pub(super) fn new(keys: Option<&'a Keyring>) -> Self {
        Self {
            keys,
            state: State::default(),
            key: keys.map_or_else(|| FoldKey::new(&[0; 32]), Keyring::fold_key),
            active: Active::of(Ok(BTreeMap::new())),
            lost: keys.is_none(),
            unknown: BTreeSet::new(),
            blurred: false,
        }
    }

    pub(super) fn keys(&self) -> Option<&'a Keyring> {
        self.keys
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn key(&self) -> &FoldKey {
        &self.key
    }

    /// Folds from here on by another bundle's tools.
    pub(super) fn fold_by(&mut self, files: &BTreeMap<String, Vec<u8>>) {
        self.state.fold_by(files);
    }

    /// The engine of the active policy.
    pub(super) fn engine(&mut self, form: FactsForm) -> Result<Arc<Engine>, Gap> {
        self.active.engine(form)
    }

    /// Whether the facts of an intent in this session can be known.
    pub(super) fn gap(&self, entry: &IntentEntry) -> Option<Gap> {
        let unknown = self.lost || self.blurred || self.unknown.contains(&entry.session);
        unknown.then_some(Gap::History)
    }

    /// Folds the next leaf. `steps` are the steps of the plan that the calls of an intent are, where they were derived.
    /// Gives what is wrong with the record of a policy.
    ///
    /// # Errors
    /// The leaf does not follow from those before it.
    pub(super) fn fold(
        &mut self,
        entry: &Entry,
        opened: Option<Result<&Opened, Gap>>,
        steps: Option<&[Option<usize>]>,
    ) -> Result<Option<String>, String> {
        // Whatever it is, it may be a revocation, or rules.
        self.lost |= matches!(entry, Entry::Unknown { .. });
        if !self.lost && self.state.reads_payload_of(entry) && matches!(opened, Some(Err(_)) | None) {
            match session_of(entry) {
                Some(tag) => drop(self.unknown.insert(tag)),
                None => self.lost = true,
            }
        }
        if self.lost {
            self.state.chain.apply(entry).map_err(|error| error.to_string())?;
        } else {
            let sealed = match (opened, steps) {
                (Some(Ok(Opened { documents: Some(documents), .. })), Some(steps)) => {
                    Sealed::Decided(&documents.intent, steps)
                }
                (Some(Ok(opened)), _) => Sealed::Payload(&opened.payload),
                (Some(Err(_)), _) => Sealed::Withheld,
                (None, _) => Sealed::Nothing,
            };
            self.state.apply(entry, &sealed, &self.key).map_err(|error| error.to_string())?;
            self.blurred |=
                !self.unknown.is_empty() && self.state.sessions.may_be_crowded_by(self.unknown.len());
        }
        let Entry::Policy(PolicyEntry { mode: PolicyMode::Enforce, .. }) = entry else { return Ok(None) };
        Ok(match opened {
            Some(Ok(opened)) => self.activate(&opened.payload.declared),
            _ => {
                self.active = Active::of(Err(Gap::NoPolicy));
                None
            }
        })
    }

    fn activate(&mut self, record: &[u8]) -> Option<String> {
        let Some((digest, files)) = read_policy(record) else {
            self.active = Active::of(Err(Gap::NoPolicy));
            return Some("its record has another form".to_owned());
        };
        self.active = Active::of(Ok(files));
        let engine =
            self.active.engine(FactsForm::NOW).or_else(|_| self.active.engine(FactsForm::V1)).ok()?;
        let found = hex::encode(engine.bundle().digest());
        (found != digest).then(|| format!("its record names the digest {digest}, its files have {found}"))
    }
}

/// The digest and the files of a sealed bundle.
pub(super) fn read_policy(record: &[u8]) -> Option<(String, BTreeMap<String, Vec<u8>>)> {
    let PolicyRecord { digest, files } = serde_json::from_slice(record).ok()?;
    Some((digest, files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect()))
}

/// The session that an entry is in.
fn session_of(entry: &Entry) -> Option<SessionTag> {
    match entry {
        Entry::Intent(entry) => Some(entry.session),
        Entry::Session(entry) => Some(entry.session),
        Entry::Turn(entry) => Some(entry.session),
        Entry::Outcome(entry) => Some(entry.session),
        _ => None,
    }
}
