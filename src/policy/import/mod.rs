//! Policies that were written for other systems, carried over into bundles: Agent-SPM's JSON, and YAML lists and rules.
//!
//! In those the first rule that matches decides; here all rules are asked and the strictest answer counts. So each rule
//! becomes one that excludes the earlier ones (see `first_match`), and conditions become named signals.
//!
//! # What it does not do
//! It reads no file and activates nothing. It does not guess: what it cannot carry over it says.
//!
//! # Invariants
//! - What is carried over in part makes the result stricter, never milder: a rule that stops, stops more; a rule that
//!   allows, allows less. Two things are milder and are always told: words of the user's, which no call carries, and
//!   matches that run over from one value into the next.
//! - What is written loads.

mod agent_spm;
mod first_match;
mod javascript;
mod lists;
mod test;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::bundle::Bundle;
use super::fault::BundleError;
use super::finding::shown;
use super::json::Strict;
use super::rule::is_name;

/// Bytes of a source.
const SOURCE_BYTES: usize = 1 << 20;
/// Rules of a source: as many as Agent-SPM takes.
const SOURCE_RULES: usize = 1_000;

/// A policy, carried over.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedPolicy {
    /// The form it was read as: `agent-spm`, `lists` or `rules`.
    pub form: &'static str,
    /// The bundle's files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Rules of the source.
    pub source_rules: usize,
    /// What was not carried over, or not wholly.
    pub left: Vec<Left>,
}

/// Something that was not carried over as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Left {
    /// The source's rule, by its name here; absent where all are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What. Escaped.
    pub what: String,
    /// What stands in its place.
    pub instead: String,
}

/// Why nothing was carried over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// More bytes or rules than are read.
    #[error("more than {SOURCE_BYTES} bytes or {SOURCE_RULES} rules")]
    TooLarge,
    /// Neither JSON nor YAML, or with a member twice, or in none of the known forms.
    #[error("neither Agent-SPM's JSON nor allow and deny lists nor rules in YAML")]
    UnknownForm,
    /// Something is not as its form says.
    #[error("{at}: {why}")]
    Malformed {
        /// Where: a pointer.
        at: String,
        /// What is wrong.
        why: &'static str,
    },
    /// What came of it does not load.
    #[error("what came of it does not load: {0}")]
    Bundle(#[from] BundleError),
}

impl ImportError {
    fn malformed(at: impl Into<String>, why: &'static str) -> Self {
        Self::Malformed { at: at.into(), why }
    }
}

/// Carries a policy over.
///
/// # Errors
/// [`ImportError`]
pub fn import(text: &str) -> Result<ImportedPolicy, ImportError> {
    if text.len() > SOURCE_BYTES {
        return Err(ImportError::TooLarge);
    }
    let document = match serde_json::from_str::<Strict>(text) {
        Ok(Strict(document)) => document,
        Err(_) => yaml::read(text).ok_or(ImportError::UnknownForm)?,
    };
    let (form, read) = if agent_spm::is(&document) {
        ("agent-spm", agent_spm::read(&document)?)
    } else if document.get("rules").is_some_and(Value::is_array) {
        ("rules", lists::read_rules(&document)?)
    } else if lists::is(&document) {
        ("lists", lists::read_lists(&document)?)
    } else {
        return Err(ImportError::UnknownForm);
    };
    if read.rules.len() > SOURCE_RULES {
        return Err(ImportError::TooLarge);
    }
    let source_rules = read.rules.len();
    let (files, left) = read.written(form);
    Bundle::load(files.clone())?;
    Ok(ImportedPolicy { form, files, source_rules, left })
}

/// Names for rules: those of the source as far as they are names, each once.
#[derive(Debug, Default)]
struct Ids(BTreeSet<String>);

/// Bytes of a rule's name that is carried over; what is made of it gets endings.
const ID_BYTES: usize = 64;

impl Ids {
    fn of(&mut self, given: &str) -> String {
        let plain =
            |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-') { c } else { '-' };
        let mut base: String = given.chars().map(plain).take(ID_BYTES).collect();
        // The engine's own codes have underscores and are lower case.
        if base.is_empty() || super::rule::is_reserved(&base) {
            base = format!("rule-{base}");
        }
        let mut id = base.clone();
        let mut number = 2_u32;
        // A hold is two rules; and two names are ours.
        let permit = |id: &str| format!("{id}.permit");
        while self.0.contains(&id)
            || self.0.contains(&permit(&id))
            || ["otherwise", "otherwise.permit", "source-expired"].contains(&id.as_str())
        {
            id = format!("{base}-{number}");
            number = number.saturating_add(1);
        }
        self.0.extend([id.clone(), permit(&id)]);
        id
    }
}

/// A text as a `@reason`: one line of at most 500 bytes.
fn reason(text: &str) -> Option<String> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut line = line.trim().to_owned();
    while line.len() > 400 {
        line.pop();
    }
    let line = line.trim_end().to_owned();
    (!line.is_empty()).then_some(line)
}

/// A role as `@approver` takes it, and whether it is the one that was given.
fn role(given: &str) -> (String, bool) {
    if is_name(given) {
        return (given.to_owned(), true);
    }
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-') { c } else { '-' };
    let role: String = given.chars().map(plain).take(ID_BYTES).collect();
    (if role.is_empty() { "nobody".to_owned() } else { role }, false)
}

/// Something that was left out of one rule.
fn left(rule: &str, what: impl AsRef<str>, instead: &str) -> Left {
    Left { rule: Some(rule.to_owned()), what: shown(what.as_ref()), instead: instead.to_owned() }
}

/// What stands in the place of a condition that cannot be carried over.
const STRICTER: &str =
    "where it stops, it stops whether this holds or not; where it allows, it allows nothing";
