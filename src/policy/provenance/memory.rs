//! What a session has seen, as fingerprints: the user's words, trusted records, untrusted text.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fingerprint::{Fingerprint, FingerprintKey};
use super::grounding::{Grounding, Standing};
use super::kind::ValueType;
use super::pattern::{Found, Pattern};
use super::taint::Taint;
use super::{Destination, OutputLabels, dump, words};

/// Values of the user's words in one memory.
const WORDS_MAX: usize = 4_096;
/// Values of trusted records in one memory.
const RECORDS_MAX: usize = 4_096;
/// Words kept in their order.
const RUN_MAX: usize = 2_048;
/// Bytes of one text of the user's that are read.
const TEXT_MAX_BYTES: usize = 64 * 1024;
/// Words of one value that is compared by its words.
const VALUE_WORDS_MAX: usize = 64;
/// Values of one destination of one call.
const VALUES_MAX: usize = 1_024;
/// Paths named in one grounding.
const PATHS_MAX: usize = 64;

/// The provenance memory of one session: keyed fingerprints, never text, all within bounds. It is a fold over what was
/// said and answered, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Values in the user's words, and whole texts.
    words: BTreeSet<Fingerprint>,
    /// The user's words one after another.
    run: Vec<Fingerprint>,
    /// Values that authoritative outputs gave.
    records: BTreeSet<Fingerprint>,
    untrusted: Taint,
    /// Something trusted was not remembered: it grounds nothing.
    full: bool,
}

impl Memory {
    /// Remembers what the user said.
    pub fn user_words(&mut self, key: &FingerprintKey, text: &str) {
        if text.len() > TEXT_MAX_BYTES {
            // Cut somewhere, a value may be another one.
            self.full = true;
            return;
        }
        let (words, full) = (&mut self.words, &mut self.full);
        let _ = words::values(text, &mut |kind, canonical| {
            insert(words, WORDS_MAX, key.value(kind, canonical), full)
        });
        for kind in [ValueType::Id, ValueType::Path, ValueType::Secret, ValueType::Date] {
            if let Some(whole) = kind.canonical(text) {
                let _ = insert(words, WORDS_MAX, key.value(kind, &whole), full);
            }
        }
        for word in words::run(text).chain(std::iter::once(None)) {
            let word = word.map_or(Fingerprint::BREAK, |word| key.word(&word));
            let again = word == Fingerprint::BREAK && self.run.last().is_none_or(|last| *last == word);
            if again {
                continue;
            }
            if self.run.len() >= RUN_MAX {
                self.full = true;
                break;
            }
            self.run.push(word);
        }
    }

    /// Remembers a tool's output: what the registry calls authoritative in it grounds, the rest taints if the tool's
    /// output is untrusted.
    pub fn output(&mut self, key: &FingerprintKey, labels: &OutputLabels, output: &Value) {
        let read;
        let structured = match output {
            Value::String(text) => {
                read = dump::read(labels.format, text);
                read.as_ref()
            }
            other => Some(other),
        };
        if let Some(structured) = structured {
            for place in &labels.authoritative {
                self.authoritative(key, place, structured);
            }
        }
        if labels.untrusted {
            self.taint(key, output);
        }
    }

    /// Remembers nothing more: what else is said grounds nothing, and may be anything that taints.
    pub fn overflow(&mut self) {
        self.full = true;
        self.untrusted.full = true;
    }

    /// Forgets what outputs gave: whoever vouched for some of them is no longer believed.
    pub fn distrust_records(&mut self) {
        self.full |= !self.records.is_empty();
        self.records.clear();
    }

    fn authoritative(&mut self, key: &FingerprintKey, place: &Destination, output: &Value) {
        let (records, full) = (&mut self.records, &mut self.full);
        place.at.visit(output, &mut |found| {
            leaves(found, &mut |text| match place.kind.canonical(&text) {
                Some(canonical) => insert(records, RECORDS_MAX, key.value(place.kind, &canonical), full),
                None => ControlFlow::Continue(()),
            })
            .is_continue()
        });
    }

    /// Remembers what the agent says that it observed: it can only taint.
    pub fn claimed(&mut self, key: &FingerprintKey, observation: &Value) {
        self.taint(key, observation);
    }

    fn taint(&mut self, key: &FingerprintKey, value: &Value) {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => self.untrusted.add(key, text),
                Value::Number(number) => self.untrusted.add(key, &number.to_string()),
                Value::Array(items) => open.extend(items),
                Value::Object(members) => {
                    for (name, value) in members {
                        self.untrusted.add(key, name);
                        open.push(value);
                    }
                }
                Value::Null | Value::Bool(_) => {}
            }
        }
    }

    /// Where a call's destinations come from, and whether they or its payload occur in untrusted content.
    #[must_use]
    pub fn ground(
        &self,
        key: &FingerprintKey,
        destinations: &[Destination],
        payload: &[Pattern],
        args: &Value,
    ) -> Grounding {
        let mut grounding =
            Grounding { full: self.full, taint_full: self.untrusted.full, ..Grounding::default() };
        let (mut any, mut all, mut user_only) = (false, true, true);
        for destination in destinations {
            let (mut grounded, mut tainted, mut count) = (true, false, 0_usize);
            destination.at.visit(args, &mut |found| {
                leaves_or_unknown(found, &mut |leaf| {
                    count = count.saturating_add(1);
                    any = true;
                    let Some(text) = leaf.filter(|_| count <= VALUES_MAX) else {
                        grounded = false;
                        return ControlFlow::Break(());
                    };
                    let by_user = self.said(key, destination.kind, &text);
                    user_only &= by_user;
                    grounded &= by_user || self.recorded(key, destination.kind, &text);
                    tainted = tainted || self.untrusted.holds_value(key, destination.kind, &text);
                    ControlFlow::Continue(())
                })
                .is_continue()
            });
            all &= grounded;
            if !grounded {
                put(&mut grounding.ungrounded, &destination.at);
            }
            if tainted {
                put(&mut grounding.tainted, &destination.at);
            }
        }
        for pattern in payload {
            let mut tainted = false;
            pattern.visit(args, &mut |found| {
                let _ = leaves(found, &mut |text| {
                    tainted = tainted || self.untrusted.holds_part(key, &text);
                    if tainted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                !tainted
            });
            if tainted {
                put(&mut grounding.tainted, pattern);
                grounding.payload_tainted = true;
            }
        }
        grounding.destinations = match (any, all) {
            (false, _) => Standing::None,
            (true, true) => Standing::Grounded,
            (true, false) => Standing::Ungrounded,
        };
        grounding.user_only = any && all && user_only;
        grounding
    }

    /// Fingerprints held, of all sorts: what the memory costs, in units of 16 bytes at most.
    #[must_use]
    pub fn fingerprints(&self) -> usize {
        [self.words.len(), self.run.len(), self.records.len(), self.untrusted.len()]
            .iter()
            .fold(0, |sum: usize, len| sum.saturating_add(*len))
    }

    /// Was something trusted not remembered, because the memory is full?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full
    }

    fn said(&self, key: &FingerprintKey, kind: ValueType, text: &str) -> bool {
        let Some(canonical) = kind.canonical(text) else { return false };
        self.words.contains(&key.value(kind, &canonical))
            || (matches!(kind, ValueType::Channel | ValueType::Handle | ValueType::Text)
                && self.said_in_a_row(key, &canonical))
    }

    /// Whether the words of a text stand one after another in what the user said.
    fn said_in_a_row(&self, key: &FingerprintKey, text: &str) -> bool {
        let mut run: Vec<Fingerprint> = Vec::new();
        for word in words::run(text) {
            let word = word.map_or(Fingerprint::BREAK, |word| key.word(&word));
            if word == Fingerprint::BREAK && run.last().is_none_or(|last| *last == word) {
                continue;
            }
            if run.len() >= VALUE_WORDS_MAX {
                return false;
            }
            run.push(word);
        }
        while run.last() == Some(&Fingerprint::BREAK) {
            run.pop();
        }
        !run.is_empty() && self.run.windows(run.len()).any(|said| said == run)
    }

    fn recorded(&self, key: &FingerprintKey, kind: ValueType, text: &str) -> bool {
        kind.canonical(text).is_some_and(|canonical| self.records.contains(&key.value(kind, &canonical)))
    }
}

fn insert(
    set: &mut BTreeSet<Fingerprint>,
    max: usize,
    value: Fingerprint,
    full: &mut bool,
) -> ControlFlow<()> {
    if set.len() >= max && !set.contains(&value) {
        *full = true;
        return ControlFlow::Break(());
    }
    set.insert(value);
    ControlFlow::Continue(())
}

fn put(paths: &mut BTreeSet<String>, pattern: &Pattern) {
    if paths.len() < PATHS_MAX {
        paths.insert(pattern.as_str().to_owned());
    }
}

/// The texts at a place: a scalar's own, or those of an array's items.
fn leaves(found: Found<'_>, each: &mut impl FnMut(String) -> ControlFlow<()>) -> ControlFlow<()> {
    leaves_or_unknown(found, &mut |leaf| leaf.map_or(ControlFlow::Continue(()), &mut *each))
}

/// As [`leaves`]; `None` for what is there and is no text: an object, a truth value. Null is absent.
fn leaves_or_unknown(
    found: Found<'_>,
    each: &mut impl FnMut(Option<String>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let value = match found {
        Found::Name(name) => return each(Some(name.to_owned())),
        Found::Value(value) => value,
    };
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Null => {}
            Value::String(text) => each(Some(text.clone()))?,
            Value::Number(number) => each(Some(number.to_string()))?,
            Value::Array(items) => open.extend(items.iter().rev()),
            Value::Bool(_) | Value::Object(_) => each(None)?,
        }
    }
    ControlFlow::Continue(())
}
