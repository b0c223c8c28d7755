//! A note judged by a trust policy.

use crate::merkle::{Hash, empty_root};

use super::super::checkpoint::{Checkpoint, CheckpointError};
use super::super::key::{VerifierKey, VerifyError};
use super::super::name::KeyName;
use super::super::signed::{NoteError, NoteParseError, Opened, SignedNote};
use super::{Member, TrustPolicy};

/// A checkpoint that a trusted log signed, and who of the trusted witnesses cosigned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    /// What was signed.
    pub checkpoint: Checkpoint,
    /// The keys of the log that signed it: at least one, several while a key is replaced.
    pub log_keys: Vec<VerifierKey>,
    /// The trusted witnesses that cosigned it, in the note's order.
    pub cosigned_by: Vec<CosignedBy>,
    /// Whether those suffice. Not an error of the note: the caller decides what an unmet quorum means to it.
    pub quorum: Quorum,
}

/// A witness that cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CosignedBy {
    /// What the policy calls it.
    pub name: String,
    /// When it says that it saw the checkpoint, in seconds since 1970.
    pub timestamp: u64,
}

/// Whether the witnesses that the policy asks for have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quorum {
    /// The policy asks for none: a split view is not excluded.
    None,
    /// The witness or group of this name has cosigned.
    Met(String),
    /// The witness or group of this name has not, or not enough of it.
    NotMet {
        /// The name in the policy.
        name: String,
    },
}

/// Why a note gives no verified checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Proven not to be what it says it is.
    #[error(transparent)]
    Invalid(#[from] InvalidCheckpoint),
    /// Neither proven nor disproven by this policy.
    #[error(transparent)]
    Undecided(#[from] Undecided),
}

impl TrustError {
    /// Whether the note is proven invalid, and not merely beyond what this policy can decide.
    #[must_use]
    pub const fn is_proven_invalid(&self) -> bool {
        matches!(self, TrustError::Invalid(_))
    }
}

/// What proves a note invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCheckpoint {
    /// A signature line of a trusted log or witness fails.
    #[error("the checkpoint is not genuine: {0}")]
    Signature(VerifyError),
    /// The key of a trusted log signed, but for another log.
    #[error("the checkpoint is signed by the key of {key}, which does not vouch for the origin {origin}")]
    Origin {
        /// The key that signed.
        key: KeyName,
        /// The origin it signed.
        origin: String,
    },
    /// The log signed a root that no empty tree has.
    #[error("the checkpoint of {origin} claims size 0 with the root {root}")]
    EmptyRoot {
        /// The log.
        origin: String,
        /// The root it signed.
        root: Hash,
    },
}

/// What keeps a note from being decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undecided {
    /// No signed note.
    #[error("the checkpoint cannot be read: {0}")]
    Note(NoteParseError),
    /// A note whose trusted signatures verify, over a text that is no checkpoint.
    #[error("what was signed is no checkpoint: {0}")]
    Checkpoint(CheckpointError),
    /// No log of the policy signed it.
    #[error("no log of the trust policy signed the checkpoint (listed: {}; the note names: {})", list(.listed), list(.signers))]
    NoTrustedLog {
        /// The logs of the policy, each name once.
        listed: Vec<KeyName>,
        /// Names on the note's signature lines, unverified.
        signers: Vec<KeyName>,
    },
    /// Two keys of the policy cannot be told apart. No parsed policy has such.
    #[error("two keys of the trust policy have the name {name} and the same id")]
    AmbiguousKeys {
        /// Their name.
        name: KeyName,
    },
}

impl TrustPolicy {
    /// Judges a signed checkpoint by this policy: signed by a listed log under its own name, and cosigned by whom.
    ///
    /// An unmet quorum is reported in the result, not as an error.
    ///
    /// # Errors
    /// [`TrustError::Invalid`] where the note is proven false, [`TrustError::Undecided`] where this policy cannot tell.
    pub fn verify(&self, note: &str) -> Result<VerifiedCheckpoint, TrustError> {
        let note: SignedNote = note.parse().map_err(Undecided::Note)?;
        let logs = self.logs.iter().map(|log| &log.key);
        let witnesses = self.witnesses.iter().map(|witness| &witness.key);
        let opened = match note.open(logs.chain(witnesses)) {
            Ok(opened) => opened,
            Err(NoteError::Invalid(error)) => return Err(InvalidCheckpoint::Signature(error).into()),
            Err(NoteError::NoKnownKey { .. }) => return Err(self.no_trusted_log(&note).into()),
            Err(NoteError::AmbiguousKeys { name }) => return Err(Undecided::AmbiguousKeys { name }.into()),
        };
        let checkpoint = Checkpoint::parse(&note.text).map_err(Undecided::Checkpoint)?;
        let log_keys = self.vouching(&opened, &note, &checkpoint.origin)?;
        if checkpoint.size == 0 && checkpoint.root != empty_root() {
            let (origin, root) = (checkpoint.origin, checkpoint.root);
            return Err(InvalidCheckpoint::EmptyRoot { origin, root }.into());
        }
        let (cosigned_by, quorum) = self.cosigned(&opened);
        Ok(VerifiedCheckpoint { checkpoint, log_keys, cosigned_by, quorum })
    }

    /// The keys of trusted logs that signed, of those that may sign for this origin.
    fn vouching(
        &self,
        opened: &Opened<'_>,
        note: &SignedNote,
        origin: &str,
    ) -> Result<Vec<VerifierKey>, TrustError> {
        let is_log = |key: &VerifierKey| self.logs.iter().any(|log| log.key == *key);
        let signed = || opened.signatures.iter().map(|signature| signature.key).filter(|key| is_log(key));
        let keys: Vec<VerifierKey> = signed().filter(|key| key.name() == origin).cloned().collect();
        if !keys.is_empty() {
            return Ok(keys);
        }
        match signed().next() {
            Some(key) => {
                let (key, origin) = (key.name().clone(), origin.to_owned());
                Err(InvalidCheckpoint::Origin { key, origin }.into())
            }
            None => Err(self.no_trusted_log(note).into()),
        }
    }

    fn cosigned(&self, opened: &Opened<'_>) -> (Vec<CosignedBy>, Quorum) {
        let cosigned_by = opened.signatures.iter().filter_map(|signature| {
            let timestamp = signature.timestamp?;
            let witness = self.witnesses.iter().find(|witness| witness.key == *signature.key)?;
            Some(CosignedBy { name: witness.name.clone(), timestamp })
        });
        let cosigned_by: Vec<CosignedBy> = cosigned_by.collect();
        let quorum = match self.quorum {
            None => Quorum::None,
            Some(member) => {
                let name = self.name_of(member).to_owned();
                if self.witnessed(member, &cosigned_by) { Quorum::Met(name) } else { Quorum::NotMet { name } }
            }
        };
        (cosigned_by, quorum)
    }

    /// Whether a witness, or enough members of a group, cosigned. Groups stand after their members, so one pass decides
    /// them all, however deep they nest.
    fn witnessed(&self, member: Member, cosigned_by: &[CosignedBy]) -> bool {
        let witnesses: Vec<bool> = self
            .witnesses
            .iter()
            .map(|witness| cosigned_by.iter().any(|cosigner| cosigner.name == witness.name))
            .collect();
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        let decided = |groups: &[bool], member: Member| match member {
            Member::Witness(at) => witnesses.get(at).copied().unwrap_or(false),
            Member::Group(at) => groups.get(at).copied().unwrap_or(false),
        };
        for group in &self.groups {
            let count = group.members.iter().filter(|member| decided(&groups, **member)).count();
            groups.push(count >= group.threshold);
        }
        decided(&groups, member)
    }

    fn no_trusted_log(&self, note: &SignedNote) -> Undecided {
        let mut listed: Vec<KeyName> = self.logs.iter().map(|log| log.key.name().clone()).collect();
        listed.sort();
        listed.dedup();
        let signers = note.signatures.iter().map(|line| line.name.clone()).collect();
        Undecided::NoTrustedLog { listed, signers }
    }
}

fn list(names: &[KeyName]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.iter().map(KeyName::as_str).collect::<Vec<_>>().join(", ")
}
