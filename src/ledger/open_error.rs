//! Why a ledger does not open, and what to do then.

use std::io;

use super::error::LedgerError;
use super::index::IndexError;
use super::keyring::KeyringError;
use super::layout::DATA_FORMAT;
use super::log_key::LogKeyError;
use crate::journal::{JournalError, RecoverError};
use crate::policy::BundleError;

/// Why a ledger does not open. Nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is none here.
    #[error("{0} holds no ledger")]
    NotInitialised(String),
    /// There is one already, or the remains of an `init` that did not finish.
    #[error("{0} already exists")]
    AlreadyThere(String),
    /// Keys would lie with the data, or the data directory has no name to put them beside.
    #[error("{data} and its keys in {keys} do not lie apart")]
    KeysNotApart {
        /// The data directory.
        data: String,
        /// The key directory.
        keys: String,
    },
    /// The head file is gone.
    #[error("the head file is missing, so whether this is an older copy cannot be told")]
    NoHead,
    /// A newer version of the software wrote it.
    #[error("the data directory has format {found}, this software knows {DATA_FORMAT}")]
    NewerFormat {
        /// What it says.
        found: String,
    },
    /// Another process has it open.
    #[error("another process has this ledger open")]
    Locked,
    /// The system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The log key file.
    #[error("the log key file is not usable: {0}")]
    LogKey(String),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The head file is not a checkpoint of this log.
    #[error("the head file is no checkpoint signed by this log's key: {0}")]
    HeadFile(String),
    /// A head that this log published has another root.
    #[error("the head file's checkpoint of size {0} has another root than this log: this is not its history")]
    HeadDiverges(u64),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The sealed policy does not load.
    #[error("the sealed policy no longer loads: {0}")]
    Policy(#[from] BundleError),
    /// Sealing did not work.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Something derived could not be made.
    #[error("{0}")]
    Damaged(String),
}

impl OpenError {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotInitialised(_) => "make one with `foreseal init --data DIR`",
            Self::AlreadyThere(_) => {
                "choose another directory; if an `init` was cut short, remove DIR and its .keys and run it again"
            }
            Self::KeysNotApart { .. } => "name a data directory such as ./ledger, and --keys outside of it",
            Self::NoHead => {
                "restore KEYS/head from its backup, or put the newest checkpoint that you hold there"
            }
            Self::NewerFormat { .. } => {
                "start the version of foreseal that wrote it, or one that knows its format"
            }
            Self::Locked => "stop the other process, or use another --data",
            Self::Journal(JournalError::Recover(RecoverError::HeadAhead { .. })) | Self::HeadDiverges(_) => {
                "this looks like an older copy of the data: restore the newest one; signing on would split the history"
            }
            Self::Journal(JournalError::Recover(RecoverError::NotTagged { .. })) => {
                "somebody without the keys changed the journal, or these are another ledger's keys: nothing was signed; check --keys, then restore the newest backup"
            }
            Self::Journal(_) => {
                "run `foreseal fsck --data DIR`; restore the newest backup if it finds damage"
            }
            Self::Keyring(_) | Self::LogKey(_) | Self::HeadFile(_) => {
                "check the key directory (--keys) and its backup"
            }
            Self::Policy(_) => "start with --policies DIR and a bundle that this version accepts",
            _ => "see the message; nothing was signed, so starting again is safe",
        }
    }
}

/// An I/O error with what was being done.
pub(super) fn io_error(what: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { what, source }
}

impl From<LogKeyError> for OpenError {
    fn from(error: LogKeyError) -> Self {
        match error {
            LogKeyError::Io(source) => Self::Io { what: "reading the log key", source },
            LogKeyError::Form(problem) => Self::LogKey(problem),
        }
    }
}
