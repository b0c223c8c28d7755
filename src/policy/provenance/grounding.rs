//! What is known about where a call's arguments come from.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Where the destinations of a call come from. A call has the last of its values' grades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The call names no destination, or only the principal's own address.
    #[default]
    None,
    /// It equals a value in the user's words, or in a trusted record that was asked for in them; or, of a URL, its host
    /// does.
    Grounded,
    /// It equals a URL that somebody whom the user named wrote, or that stood in a place the user named.
    Vouched,
    /// It equals a value in a trusted record, but the agent chose which.
    Record,
    /// None of these is known: also what does not parse, and what was not remembered because something was full.
    Ungrounded,
}

impl Standing {
    /// The name rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Grounded => "grounded",
            Self::Vouched => "vouched",
            Self::Record => "record",
            Self::Ungrounded => "ungrounded",
        }
    }
}

/// Where the payload of a call comes from. A call has the last of its texts' grades.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadStanding {
    /// There is none.
    #[default]
    None,
    /// Its words are the user's own, in a row.
    Grounded,
    /// The agent wrote it, as far as is known.
    Own,
    /// A whole text of it occurs in untrusted content.
    Tainted,
}

impl PayloadStanding {
    /// The name rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Grounded => "grounded",
            Self::Own => "own",
            Self::Tainted => "tainted",
        }
    }
}

/// Did the user ask for an act of this kind, in one of the words by which people do? A weak fact: it never allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// The registry has no words for it.
    #[default]
    Unknown,
    /// One of the words, or an inflection of one, is the user's.
    Yes,
    /// None is.
    No,
}

impl Asked {
    /// The name rules use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Yes => "yes",
            Self::No => "no",
        }
    }
}

/// How a read was chosen: found when the call is decided, needed when its output comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Reading {
    /// The selectors are the user's own, or there is nothing to select by.
    pub asked_for: bool,
    /// The place that is read is one that the user named.
    pub place_named: bool,
}

/// Facts about one call, from what its session has seen. Paths are those of the registry, as written there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Grounding {
    /// All destinations together.
    pub destinations: Standing,
    /// The destinations that are not grounded, nor vouched for, nor in a record.
    pub ungrounded: BTreeSet<String>,
    /// The destinations that occur in untrusted content, and the payloads that do as a whole.
    pub tainted: BTreeSet<String>,
    /// Does every destination, and there is one, equal a value in the user's own words?
    pub user_only: bool,
    /// The payload.
    pub payload: PayloadStanding,
    /// Does a payload occur in untrusted content as a whole?
    pub payload_tainted: bool,
    /// Does a stretch of a payload, about six words, occur in untrusted content?
    pub payload_copied: bool,
    /// Does a payload hold a URL that occurs in untrusted content and is not grounded?
    pub untrusted_links: bool,
    /// Was something trusted not remembered, or forgotten? What it would ground is ungrounded.
    pub full: bool,
    /// Was something untrusted not remembered? What it would taint is not tainted.
    pub taint_full: bool,
}
