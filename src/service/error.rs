//! The one error type: a stable code, what happened, and what is known about sealing.

use crate::ledger::LedgerError;

/// Whether something was sealed although an error is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedState {
    /// Nothing was.
    No,
    /// It was, durably; only the answer is missing.
    Yes,
    /// It may have been: only recovery can tell.
    Unknown,
    /// The request reads; nothing was to be sealed.
    NotAsked,
}

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $code:literal, $status:literal, $sealed:ident, $retry:literal;)+) => {
        /// Stable codes of errors. `docs/errors.md` is this table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[doc = $meaning])+ $name,)+ }

        impl ErrorCode {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The stable name.
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$name => $code,)+ } }

            /// The HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status,)+ } }

            /// Whether something was sealed.
            #[must_use]
            pub const fn sealed(self) -> SealedState { match self { $(Self::$name => SealedState::$sealed,)+ } }

            /// Whether, and how, to try again.
            #[must_use]
            pub const fn retry(self) -> &'static str { match self { $(Self::$name => $retry,)+ } }

            /// What it means.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => concat!($($meaning,)+),)+ } }
        }
    };
}

codes! {
    /// The body is not strict JSON, or a member is missing, unknown or out of range; the detail names the place.
    MalformedIntent = "malformed_intent", 400, No, "after correcting it";
    /// A header or query parameter cannot be read.
    MalformedRequest = "malformed_request", 400, No, "after correcting it";
    /// A signed intent lacks a member that its statement needs.
    MalformedStatement = "malformed_statement", 400, No, "after correcting it";
    /// The bundle does not load; the detail names file, line and rule. The active policy stays as it was.
    InvalidPolicy = "invalid_policy", 400, No, "after correcting it";
    /// No credential, or none that is registered.
    Unauthenticated = "unauthenticated", 401, No, "with another credential";
    /// The agent registered a key, so its intents must be signed.
    SignatureRequired = "signature_required", 401, No, "signed";
    /// The signature does not verify under the agent's registered key.
    SignatureInvalid = "signature_invalid", 401, No, "signed with the registered key";
    /// The credential may not do this.
    Forbidden = "forbidden", 403, No, "no";
    /// The bundle is not signed by an author whose bundles may become active here. The active policy stays as it was.
    AuthorNotAllowed = "author_not_allowed", 403, No, "signed by an author who is allowed";
    /// The intent names another agent than its credential's.
    AgentMismatch = "agent_mismatch", 403, No, "with the agent's own credential";
    /// There is no such thing, or it is not this caller's.
    NotFound = "not_found", 404, NotAsked, "no";
    /// The log is not that large yet, or has no such tile.
    NotInLog = "not_in_log", 404, NotAsked, "when the log has grown";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, No, "no";
    /// The body did not come in time.
    BodyTooSlow = "body_too_slow", 408, No, "over a connection that keeps up, with the same id";
    /// The id was used for another body, or with another seed.
    IdReused = "id_reused", 409, No, "with a new id";
    /// The id's own time is more than 24 hours from now, so a replay could not be told.
    IdOutsideWindow = "id_outside_window", 409, No, "with a new id";
    /// `created` is more than 5 minutes from the service's clock.
    CreatedOutsideWindow = "created_outside_window", 409, No, "with the present time and a new signature";
    /// One of this name is, or was, registered.
    NameTaken = "name_taken", 409, No, "with another name";
    /// The session is open already: an application says more with turns.
    SessionOpen = "session_open", 409, No, "as a turn, or with another session";
    /// The session is not open: it lapsed, its agent or application was revoked, or another application opened it anew.
    SessionNotOpen = "session_not_open", 409, No, "after opening it again";
    /// The call was not allowed, so it has no outcome.
    CallNotAllowed = "call_not_allowed", 409, No, "no";
    /// The bundle demands proofs before it becomes active, and one was not proven, or this service cannot prove; the
    /// detail says which and why. The active policy stays as it was.
    NotProven = "not_proven", 409, No, "after correcting it, or on a service that proves";
    /// Another outcome of this call is sealed.
    OutcomeReported = "outcome_reported", 409, No, "no";
    /// Several agents used this id; say which with `?agent=`.
    AmbiguousId = "ambiguous_id", 409, NotAsked, "with ?agent=NAME";
    /// The body, or what would be sealed of it, is over a limit; the detail names it.
    TooLarge = "too_large", 413, No, "smaller";
    /// The bundle that was asked for is over a limit; the detail names it.
    ExportTooLarge = "export_too_large", 413, No, "with a narrower range, or fewer documents shown";
    /// Path and query are over the limit.
    UriTooLong = "uri_too_long", 414, No, "shorter";
    /// The body is not `application/json` in UTF-8, or it is compressed.
    UnsupportedMediaType = "unsupported_media_type", 415, No, "as application/json";
    /// As many agents are registered as the ledger holds.
    TooManyAgents = "too_many_agents", 429, No, "no";
    /// As many applications or tool servers are registered as the ledger holds.
    TooManyRegistrations = "too_many_registrations", 429, No, "no";
    /// As many sessions as the ledger holds are open, and had an entry within the last day.
    TooManySessions = "too_many_sessions", 429, No, "when others have lapsed";
    /// Stored data that is needed to answer is damaged. It is not served.
    Damaged = "damaged", 500, NotAsked, "no: tell the operator, who runs fsck";
    /// It is sealed, but what its answer needs cannot be read. Where it is an intent, the tool must not run on this.
    SealedUnanswered = "sealed_unanswered", 500, Yes, "with the same id and body; tell the operator, who runs fsck";
    /// The write that carried this failed. Whether it was sealed is not known until the service has recovered.
    OutcomeUnknown = "outcome_unknown", 500, Unknown, "with the same id and body, after a restart";
    /// More intents are in hand, more bytes of bodies in memory, or more streams open, than are taken. This request sealed nothing; an earlier one with its id may have.
    Overloaded = "overloaded", 503, Unknown, "after Retry-After, with the same id";
    /// An earlier write failed; nothing is sealed until a restart has recovered. This request sealed nothing; an earlier
    /// one with its id may have.
    Poisoned = "poisoned", 503, Unknown, "after a restart, with the same id";
    /// The service is shutting down. This request sealed nothing; an earlier one with its id may have.
    Stopping = "stopping", 503, Unknown, "elsewhere or later, with the same id";
    /// The clock stands more than 2 s behind the last sealed entry.
    ClockBehind = "clock_behind", 503, No, "when the clock is right, with the same id";
    /// The clock stepped ahead of the time that passed by more than 2 s, and has not yet run on long enough to be believed.
    ClockAhead = "clock_ahead", 503, No, "after Retry-After, or when the clock is right, with the same id";
    /// The service did not answer in time. Whether the intent was sealed is not known to this answer.
    TimedOut = "timed_out", 504, Unknown, "with the same id and body";
}

impl ErrorCode {
    /// Whether the request was refused before anything was sealed, so that it is counted as refused. What is overloaded
    /// seals nothing either; only what an earlier request with the same id did is not known.
    #[must_use]
    pub fn refuses(self) -> bool {
        self.sealed() == SealedState::No || self == Self::Overloaded
    }
}

/// An error as a caller is told it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ServiceError {
    /// The stable code.
    pub code: ErrorCode,
    /// What happened to what, with its position. Never a secret.
    pub detail: String,
    /// What to do next.
    pub hint: Option<&'static str>,
}

impl ServiceError {
    /// An error with its detail.
    #[must_use]
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), hint: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

impl From<LedgerError> for ServiceError {
    fn from(error: LedgerError) -> Self {
        let code = match &error {
            LedgerError::Overloaded => ErrorCode::Overloaded,
            LedgerError::Stopping => ErrorCode::Stopping,
            LedgerError::Poisoned(_) => ErrorCode::Poisoned,
            LedgerError::OutcomeUnknown(_) => ErrorCode::OutcomeUnknown,
            LedgerError::ClockBehind(_) => ErrorCode::ClockBehind,
            LedgerError::ClockAhead { .. } => ErrorCode::ClockAhead,
            LedgerError::NotRegistered => ErrorCode::Unauthenticated,
            LedgerError::IdReused(_) => ErrorCode::IdReused,
            LedgerError::IdOutsideWindow => ErrorCode::IdOutsideWindow,
            LedgerError::CreatedOutsideWindow => ErrorCode::CreatedOutsideWindow,
            LedgerError::NameTaken { .. } => ErrorCode::NameTaken,
            LedgerError::NoSuchAgent(_) | LedgerError::NoSuchParty { .. } | LedgerError::NothingInShadow => {
                ErrorCode::NotFound
            }
            LedgerError::TooManyRegistrations => ErrorCode::TooManyRegistrations,
            LedgerError::SessionOpen(_) => ErrorCode::SessionOpen,
            LedgerError::SessionNotOpen => ErrorCode::SessionNotOpen,
            LedgerError::TooManySessions => ErrorCode::TooManySessions,
            LedgerError::TooManyAgents => ErrorCode::TooManyAgents,
            LedgerError::TooLarge(_) => ErrorCode::TooLarge,
            LedgerError::Read(_) | LedgerError::Keyring(_) | LedgerError::Damaged(_) => ErrorCode::Damaged,
        };
        Self::new(code, error.to_string())
    }
}
