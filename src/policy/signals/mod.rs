//! What a call's arguments look like: data classes, instructions, hidden characters, SQL and shell.
//!
//! [`of_call`] reads the arguments once and gives [`Signals`]: facts, never a verdict. Rules weigh them.
//!
//! # What it does not do
//! It decides nothing, remembers nothing, asks no model, no clock and no network. It does not find everything: a signal
//! that is absent says that this detector did not see it.
//!
//! # Whom it may use
//! `record`, for the nouns.
//!
//! # Invariants
//! - The same arguments give the same signals on every machine, in whatever order their members came.
//! - Work is linear in the arguments' bytes and bounded; what was not looked at makes `over_budget`, never silence.
//! - No input panics it.
//! - A detector that changes what it finds gets a new version, and the old one stays: see [`VERSION`].

mod shell;
mod sql;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::provenance::Pattern;

pub use shell::ShellFacts;
pub use sql::SqlFacts;

/// The version of the detectors together, sealed with every decision that used them.
pub const VERSION: u32 = 1;

/// A language that the registry says an argument is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Statements for a database.
    Sql,
    /// A command line for `sh` or `bash`.
    Shell,
}

/// An argument that is parsed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parse {
    /// Where it stands. Anything but a text there counts as unparsed.
    pub at: Pattern,
    /// What it is written in.
    #[serde(rename = "as")]
    pub language: Language,
}

/// What the detectors found in one call.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Signals {
    /// Classes of data in it: `pii-email`, `pci-card-number`, ….
    pub classes: BTreeSet<String>,
    /// Text that tells a reader what to do instead of telling it something.
    pub instructions: bool,
    /// Characters that nobody sees, or that turn the direction of reading.
    pub invisible: bool,
    /// Words whose letters are of several scripts and look like one.
    pub lookalike: bool,
    /// Something readable under base64, hexadecimal digits or escapes, or a long run of it.
    pub encoded: bool,
    /// Not everything was looked at.
    pub over_budget: bool,
    /// All arguments that the registry calls SQL, together.
    pub sql: Option<SqlFacts>,
    /// All arguments that the registry calls shell, together.
    pub shell: Option<ShellFacts>,
}

/// Bytes of all texts of one call that are looked at.
pub const TEXT_MAX_BYTES: usize = 1024 * 1024;

/// What the detectors find in a call's arguments. `parses` names the arguments that are SQL or shell.
#[must_use]
pub fn of_call(args: &Value, parses: &[Parse]) -> Signals {
    let mut signals = Signals::default();
    let mut open = vec![args];
    let mut bytes = 0_usize;
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => bytes = bytes.saturating_add(text.len()),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => open.extend(members.values()),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    signals.over_budget = bytes > TEXT_MAX_BYTES;
    for parse in parses {
        let count = parse.at.values(args).len();
        match parse.language {
            Language::Sql => signals.sql.get_or_insert_default().unparsed |= count > 0,
            Language::Shell => signals.shell.get_or_insert_default().unparsed |= count > 0,
        }
    }
    signals
}
