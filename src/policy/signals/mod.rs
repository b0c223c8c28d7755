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

mod anchors;
mod characters;
mod classes;
mod lexicon;
mod scan;
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
    /// The bundle's own signals that are true, by name; where it has any. [`of_call`] leaves them to the engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named: Option<BTreeSet<String>>,
}

/// The names of all data classes, in order.
pub fn class_names() -> impl Iterator<Item = &'static str> {
    classes::CLASSES.iter().map(|(_, name)| *name)
}

/// Bytes of all texts of one call that are looked at.
pub const TEXT_MAX_BYTES: usize = 1024 * 1024;

/// What the detectors find in a call's arguments. `parses` names the arguments that are SQL or shell.
#[must_use]
pub fn of_call(args: &Value, parses: &[Parse]) -> Signals {
    let mut found = scan::Found::default();
    let texts = texts(args);
    // All or nothing: a part would depend on the order of members.
    if texts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len())) > TEXT_MAX_BYTES {
        found.over_budget = true;
    } else {
        texts.iter().for_each(|text| found.look(text));
    }
    let mut signals = Signals {
        classes: found.classes.names().map(str::to_owned).collect(),
        instructions: found.instructions,
        invisible: found.invisible,
        lookalike: found.lookalike,
        encoded: found.encoded,
        over_budget: found.over_budget,
        sql: None,
        shell: None,
        named: None,
    };
    for parse in parses {
        for value in parse.at.values(args) {
            match (parse.language, value) {
                (_, Value::Null) => {}
                (Language::Sql, value) => {
                    let facts = signals.sql.get_or_insert_default();
                    signals.over_budget |= sql::read(value.as_str(), facts);
                }
                (Language::Shell, value) => {
                    let facts = signals.shell.get_or_insert_default();
                    signals.over_budget |= shell::read(value, facts);
                }
            }
        }
    }
    signals
}

/// All texts, the names of members included.
fn texts(value: &Value) -> Vec<&str> {
    let mut texts = Vec::new();
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(items) => open.extend(items),
            Value::Object(members) => {
                for (name, value) in members {
                    texts.push(name);
                    open.push(value);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    texts
}
