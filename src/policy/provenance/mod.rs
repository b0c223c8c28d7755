//! Where a call's arguments come from: typed grounding, and taint.
//!
//! It reads values of a [`ValueType`] out of the user's words and out of the output paths that the registry calls
//! authoritative, keeps them in a session's [`Memory`] as keyed fingerprints, and says of a call's destinations whether
//! each *equals* such a value ([`Memory::ground`]), and whether they or the payload occur in untrusted content.
//!
//! # What it does not do
//! It decides nothing and knows no session, no clock, no disk. It never guesses: what does not parse by its kind, what is
//! over a bound, what stands in a place the registry does not name, grounds nothing.
//!
//! # Whom it may use
//! `record`, for the nouns.
//!
//! # Invariants
//! - A destination is grounded only by equality of canonical spellings of one kind; never by containment, never across
//!   kinds.
//! - What the agent says, and what a tool's output says elsewhere than in an authoritative place, only taints. Taint
//!   makes nothing more trusted.
//! - A memory holds no text, and without its key no guess can be tested against it. It is bounded, and the same whatever
//!   order the members of its inputs came in.
//! - Work is linear in the input.

mod arguments;
mod decode;
mod dump;
mod fingerprint;
mod grounding;
mod internet;
mod kind;
mod memory;
mod numbers;
mod path;
mod pattern;
mod planned;
mod python;
mod run;
#[cfg(test)]
mod steps;
mod taint;
mod words;
mod yaml;

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(in crate::policy) use decode::{Budget, decoded};
pub use fingerprint::FingerprintKey;
pub use grounding::{Asked, Grounding, PayloadStanding, Reading, Standing};
pub(in crate::policy) use internet::email_at;
pub use kind::ValueType;
pub use memory::Memory;
pub(in crate::policy) use numbers::is_iban;
pub use pattern::{Pattern, PatternError};

/// A place in a call's arguments or in a tool's output, and what kind of value stands there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Where. An array there stands for its items.
    pub at: Pattern,
    /// The kind of value.
    #[serde(rename = "type")]
    pub kind: ValueType,
}

impl Destination {
    /// Has a call with these arguments no value there? An empty text, or list, is none.
    pub(in crate::policy) fn is_absent(&self, args: &Value) -> bool {
        let any = |found| arguments::values(found, self.kind, &mut |_| ControlFlow::Break(())).is_break();
        self.at.visit(args, &mut |found| !any(found))
    }
}

/// How a tool writes its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// As JSON: a value as it is, or the text of one.
    #[default]
    Json,
    /// As the text of a Python literal (`repr`).
    Python,
    /// As plain text: the only path is the whole.
    Text,
    /// As the text of a YAML document, as `safe_dump` writes it.
    Yaml,
}

/// What the registry says about a tool's output.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutputLabels {
    /// How it is written. What is not exactly of that form has no authoritative places.
    pub format: Format,
    /// Places whose values are true records: the address book's addresses, not the text of a mail.
    pub authoritative: Vec<Destination>,
    /// Who wrote each record, kept by the service itself: a member of the record.
    pub author: Option<Pattern>,
    /// The *argument* that names the place (a channel, an inbox) whose records are read.
    pub place: Option<Destination>,
    /// May anybody outside have written what stands elsewhere in it?
    pub untrusted: bool,
    /// Is it confidential?
    pub sensitive: bool,
}
