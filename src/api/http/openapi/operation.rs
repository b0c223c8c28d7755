//! What is said of one operation. The router takes no handler without it.

use axum::routing::MethodFilter;
use serde_json::Value;

use super::answer::Answer;
use crate::service::ErrorCode;

/// One method on one path, described.
#[derive(Debug)]
pub(in crate::api::http) struct Operation {
    /// Its method.
    pub(in crate::api::http) method: Method,
    /// Its path, as the router takes it; a `{*name}` takes several segments.
    pub(in crate::api::http) path: &'static str,
    /// A name that is its own, for generated clients.
    pub(in crate::api::http) id: &'static str,
    /// Where it stands.
    pub(in crate::api::http) group: Group,
    /// One line.
    pub(in crate::api::http) summary: &'static str,
    /// What a caller must know beyond it.
    pub(in crate::api::http) description: &'static str,
    /// Who may ask.
    pub(in crate::api::http) needs: Needs,
    /// What it does to the ledger: decides which errors of the ledger it can answer.
    pub(in crate::api::http) work: Work,
    /// Path, query and header parameters. Query parameters that are not here are refused.
    pub(in crate::api::http) parameters: &'static [Parameter],
    /// The body it reads. Without one, a body that comes is not read.
    pub(in crate::api::http) body: Option<Body>,
    /// What it answers when it does as it is asked.
    pub(in crate::api::http) answers: &'static [Answer],
    /// The errors of its own, beside those that follow from the fields above: [`Operation::codes`].
    pub(in crate::api::http) errors: &'static [ErrorCode],
}

/// Methods that operations have. `HEAD` is answered wherever `GET` is, by the same handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::http) enum Method {
    Get,
    Post,
}

/// Sections of the documentation, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::http) enum Group {
    Intents,
    Log,
    Proofs,
    Sessions,
    Agents,
    Applications,
    ToolServers,
    Policies,
    Watching,
    Description,
}

/// Whose credential an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::http) enum Needs {
    /// Nobody's.
    Nothing,
    /// Any registered one, unless the service runs with `--public-log`.
    LogReader,
    /// Any registered one.
    AnyCaller,
    /// An agent's.
    Agent,
    /// An operator's.
    Operator,
    /// An application's.
    Application,
    /// A tool server's.
    ToolServer,
}

/// What an operation does to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::http) enum Work {
    /// Nothing: it answers from memory, and within no time.
    None,
    /// It answers from memory, within the time every request has.
    Looks,
    /// It reads what is stored.
    Reads,
    /// It seals.
    Seals,
}

/// Where a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::http) enum Place {
    Path,
    Query,
    Header,
}

/// One parameter.
#[derive(Debug)]
pub(in crate::api::http) struct Parameter {
    pub(in crate::api::http) name: &'static str,
    pub(in crate::api::http) place: Place,
    pub(in crate::api::http) required: bool,
    pub(in crate::api::http) description: &'static str,
    /// Its JSON Schema.
    pub(in crate::api::http) schema: fn() -> Value,
    /// A value that is taken.
    pub(in crate::api::http) example: &'static str,
}

/// A JSON body.
#[derive(Debug)]
pub(in crate::api::http) struct Body {
    /// The component that is its schema.
    pub(in crate::api::http) schema: &'static str,
    pub(in crate::api::http) bytes_max: usize,
    pub(in crate::api::http) example: fn() -> Value,
}

impl Method {
    /// As it is written on the wire.
    pub(in crate::api::http) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    /// As the document writes it.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
        }
    }

    /// As the router takes it.
    pub(in crate::api::http) const fn filter(self) -> MethodFilter {
        match self {
            Self::Get => MethodFilter::GET,
            Self::Post => MethodFilter::POST,
        }
    }

    /// Whether a request of this method comes to it.
    pub(in crate::api::http) fn takes(self, method: &axum::http::Method) -> bool {
        method.as_str() == self.as_str() || (self == Self::Get && method == axum::http::Method::HEAD)
    }
}

impl Group {
    /// Every group, in order.
    pub(super) const ALL: [Self; 10] = [
        Self::Intents,
        Self::Sessions,
        Self::Log,
        Self::Proofs,
        Self::Agents,
        Self::Applications,
        Self::ToolServers,
        Self::Policies,
        Self::Watching,
        Self::Description,
    ];

    /// Its name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Intents => "Intents",
            Self::Log => "Log",
            Self::Proofs => "Proofs",
            Self::Sessions => "Sessions",
            Self::Agents => "Agents",
            Self::Applications => "Applications",
            Self::ToolServers => "Tool servers",
            Self::Policies => "Policies",
            Self::Watching => "Watching",
            Self::Description => "Description",
        }
    }

    /// What is in it.
    pub(super) const fn about(self) -> &'static str {
        match self {
            Self::Intents => {
                "What an agent does: declare what it is about to do, and act only on the answer."
            }
            Self::Log => {
                "The log itself, as C2SP tlog-tiles: any client of that format reads and verifies it."
            }
            Self::Proofs => {
                "Proofs within the log, made by the service for those who do not want to read tiles."
            }
            Self::Sessions => {
                "What others than the agent say: an application of its user, a tool server of results. Decisions rest on it."
            }
            Self::Applications => {
                "Registering what opens sessions and passes on the user's words. Operators only."
            }
            Self::ToolServers => "Registering what reports the outcomes of calls. Operators only.",
            Self::Agents => "Registering agents, giving them new credentials, ending them. Operators only.",
            Self::Policies => "The rules that decide. Operators only.",
            Self::Watching => "For whoever watches the process.",
            Self::Description => "This description.",
        }
    }
}

impl Operation {
    /// The path as OpenAPI writes it.
    pub(super) fn template(&self) -> String {
        self.path.replace("{*", "{")
    }

    /// Every error it can answer, in the order of the table of codes.
    pub(in crate::api::http) fn codes(&self) -> Vec<ErrorCode> {
        use ErrorCode as E;
        // Whatever the path: its query may be too long, or name what the path does not know.
        let mut codes = vec![E::MalformedRequest, E::UriTooLong];
        codes.extend(self.errors);
        codes.extend(match self.needs {
            Needs::Nothing => &[][..],
            Needs::LogReader | Needs::AnyCaller => &[E::Unauthenticated],
            Needs::Agent | Needs::Operator | Needs::Application | Needs::ToolServer => {
                &[E::Unauthenticated, E::Forbidden]
            }
        });
        codes.extend(match self.work {
            Work::None => &[][..],
            Work::Looks => &[E::TimedOut],
            Work::Reads => &[E::TimedOut, E::Damaged],
            Work::Seals => &[
                E::TimedOut,
                E::Damaged,
                E::Overloaded,
                E::Poisoned,
                E::Stopping,
                E::ClockBehind,
                E::ClockAhead,
                E::OutcomeUnknown,
            ],
        });
        if self.body.is_some() {
            codes.extend([E::TooLarge, E::UnsupportedMediaType, E::BodyTooSlow, E::Overloaded]);
        }
        E::ALL.iter().copied().filter(|code| codes.contains(code)).collect()
    }
}
