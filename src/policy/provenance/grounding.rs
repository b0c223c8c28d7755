//! What is known about where a call's arguments come from.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Where all destinations of a call come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The call names no destination.
    #[default]
    None,
    /// Each equals a value in the user's words or in a trusted record.
    Grounded,
    /// At least one does not, or is not known to.
    Ungrounded,
}

impl Standing {
    /// The name rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Grounded => "grounded",
            Self::Ungrounded => "ungrounded",
        }
    }
}

/// Facts about one call, from what its session has seen. Paths are those of the registry, as written there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grounding {
    /// All destinations together.
    pub destinations: Standing,
    /// The destinations that are not grounded.
    pub ungrounded: BTreeSet<String>,
    /// The destinations and payloads that occur in untrusted content.
    pub tainted: BTreeSet<String>,
    /// Does every destination, and there is one, equal a value in the user's own words?
    pub user_only: bool,
    /// Does a payload occur in untrusted content, in part?
    pub payload_tainted: bool,
    /// Was something trusted not remembered? What it would ground is ungrounded.
    pub full: bool,
    /// Was something untrusted not remembered? What it would taint is not tainted.
    pub taint_full: bool,
}
