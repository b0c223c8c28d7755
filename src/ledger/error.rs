//! What the ledger refuses, and what is known about it then.

use super::keyring::KeyringError;
use crate::evidence::audit::ReadLogError;

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The queue is full. Nothing was sealed.
    #[error("the ledger has as many intents in hand as it takes")]
    Overloaded,
    /// The service is shutting down. Nothing was sealed.
    #[error("the ledger is shutting down")]
    Stopping,
    /// An earlier write failed. Nothing was sealed, and nothing will be until a restart has recovered.
    #[error("the ledger has stopped sealing: {0}")]
    Poisoned(String),
    /// The write that carried this failed. It may be sealed or not; only recovery can tell.
    #[error("the write failed; whether this was sealed is not known until the service has recovered: {0}")]
    OutcomeUnknown(String),
    /// The clock stands before the last sealed entry by more than 2 s.
    #[error("the clock is {0} ms behind the last sealed entry")]
    ClockBehind(i64),
    /// The clock ran ahead of the time that passed, by more than 2 s.
    #[error(
        "the clock stepped {ahead_ms} ms ahead of the time that passed; it is believed when it has run on for {wait_ms} ms more"
    )]
    ClockAhead {
        /// By how many milliseconds.
        ahead_ms: i64,
        /// For how many milliseconds it has yet to run on.
        wait_ms: i64,
    },
    /// The credential is not, or no longer, an active registration.
    #[error("the credential belongs to no active registration")]
    NotRegistered,
    /// The id stands for another body.
    #[error("this id was used for another body, at leaf {0}")]
    IdReused(u64),
    /// The id is too old to be told from a replay.
    #[error("the id's own time is more than 24 hours from now")]
    IdOutsideWindow,
    /// `created` is too far from the service's clock.
    #[error("\"created\" is more than 5 minutes from the service's clock")]
    CreatedOutsideWindow,
    /// One of this kind and name exists, or existed.
    #[error("{kind} \"{name}\" is, or was, registered")]
    NameTaken {
        /// What was to be registered.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No agent of this name.
    #[error("no active agent is named \"{0}\"")]
    NoSuchAgent(String),
    /// No application or tool server of this name.
    #[error("no active {kind} is named \"{name}\"")]
    NoSuchParty {
        /// What was looked for.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No policy is in shadow.
    #[error("no policy is in shadow")]
    NothingInShadow,
    /// As many applications or tool servers as the ledger holds.
    #[error("the ledger holds as many registrations of this kind as it takes")]
    TooManyRegistrations,
    /// The session is open.
    #[error("the session is open since leaf {0}")]
    SessionOpen(u64),
    /// The session is not open, or another application opened it.
    #[error(
        "the session is not open: it lapsed, or its agent or application was revoked, or it was opened anew"
    )]
    SessionNotOpen,
    /// As many sessions as the ledger holds are open and young.
    #[error("as many sessions are open as the ledger holds")]
    TooManySessions,
    /// As many agents as the ledger holds.
    #[error("the ledger holds as many agents as it takes")]
    TooManyAgents,
    /// What would be sealed is too large.
    #[error("what would be sealed is too large: {0}")]
    TooLarge(String),
    /// Something that is needed to answer cannot be read, or is damaged.
    #[error(transparent)]
    Read(#[from] ReadLogError),
    /// A key or payload cannot be opened.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The index, the journal or a derived value contradicts what is sealed.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
}
