//! What a session has seen, as fingerprints: the user's words, trusted records, untrusted text.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fingerprint::{Fingerprint, FingerprintKey};
use super::grounding::{Asked, Grounding, PayloadStanding, Reading, Standing};
use super::kind::ValueType;
use super::pattern::{Found, Pattern};
use super::run::Run;
use super::taint::Taint;
use super::{Destination, OutputLabels, arguments, dump, internet, words};

/// Values of the user's words in one memory, and different words.
const WORDS_MAX: usize = 16_384;
/// Values of trusted records in one memory, of each sort.
const RECORDS_MAX: usize = 4_096;
/// Words kept in their order.
const RUN_MAX: usize = 16_384;
/// Bytes of one text of the user's that are read.
const TEXT_MAX_BYTES: usize = 64 * 1024;
/// Values of one destination of one call.
const VALUES_MAX: usize = 1_024;
/// Paths named in one grounding.
const PATHS_MAX: usize = 64;

/// The provenance memory of one session: keyed fingerprints, never text, all within bounds. It is a fold over what was
/// said and answered, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Values in the user's words.
    words: BTreeSet<Fingerprint>,
    /// The user's words one after another, with a break after each text.
    run: Run,
    /// The user's words, each.
    vocabulary: BTreeSet<u64>,
    /// The principal's own addresses.
    own: BTreeSet<Fingerprint>,
    /// Values of authoritative outputs that were asked for, and of those that were not.
    asked_for: BTreeSet<Fingerprint>,
    records: BTreeSet<Fingerprint>,
    /// URLs by authors, or in places, that the user named.
    vouched: BTreeSet<Fingerprint>,
    untrusted: Taint,
    /// Something trusted was not remembered: it grounds nothing, and nothing more is.
    full: bool,
    /// Something trusted is not any more.
    forgot: bool,
}

impl Memory {
    /// Remembers what the user said.
    pub fn user_words(&mut self, key: &FingerprintKey, text: &str) {
        if self.full || text.len() > TEXT_MAX_BYTES {
            // Cut somewhere, a value may be another one.
            self.full = true;
            return;
        }
        let (said, full) = (&mut self.words, &mut self.full);
        let _ = words::values(text, &mut |kind: ValueType, canonical: &str| {
            insert(said, WORDS_MAX, key.value(kind, canonical), full)
        });
        for word in words::of(text) {
            if self.run.len() >= RUN_MAX || self.vocabulary.len() >= WORDS_MAX {
                self.full = true;
                break;
            }
            let word = key.word(&word);
            self.run.push(word);
            self.vocabulary.insert(word);
        }
        self.run.end_text();
    }

    /// Remembers an address as the principal's own: it is no destination.
    pub fn principal(&mut self, key: &FingerprintKey, address: &str) {
        if let Some(canonical) = ValueType::Email.canonical(address) {
            let _ = insert(&mut self.own, WORDS_MAX, key.value(ValueType::Email, &canonical), &mut self.full);
        }
    }

    /// How a call that reads chooses what it reads. The selectors are the user's own if one that has a value is: several
    /// of them narrow. Where there is nothing to select by there is nothing to steer.
    #[must_use]
    pub fn reading(
        &self,
        key: &FingerprintKey,
        selectors: &[Destination],
        output: &OutputLabels,
        args: &Value,
    ) -> Reading {
        let (mut any, mut own) = (false, false);
        for selector in selectors {
            let grounded = |text: &str| self.grade(key, selector.kind, text) == Standing::Grounded;
            let (there, all) = all_are(selector, args, &grounded);
            any |= there;
            own |= there && all;
        }
        let named = |place: &Destination| all_are(place, args, &|text| self.said(key, place.kind, text));
        let place_named = output.place.as_ref().is_some_and(|place| named(place) == (true, true));
        Reading { asked_for: own || !any, place_named }
    }

    /// Remembers a tool's output: what the registry calls authoritative in it grounds, the rest taints if the tool's
    /// output is untrusted.
    pub fn output(&mut self, key: &FingerprintKey, labels: &OutputLabels, reading: Reading, output: &Value) {
        let read;
        let structured = match output {
            Value::String(text) => {
                read = dump::read(labels.format, text);
                read.as_ref()
            }
            other => Some(other),
        };
        if let Some(structured) = structured.filter(|_| !self.full) {
            for place in &labels.authoritative {
                self.authoritative(key, place, reading, structured);
            }
            if let Some(author) = &labels.author {
                self.vouched_for(key, author, reading, structured);
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

    /// Forgets what outputs gave: whoever reported some of it is no longer believed.
    pub fn distrust_records(&mut self) {
        for set in [&mut self.asked_for, &mut self.records, &mut self.vouched] {
            self.forgot |= !set.is_empty();
            set.clear();
        }
    }

    fn authoritative(&mut self, key: &FingerprintKey, place: &Destination, reading: Reading, output: &Value) {
        let full = &mut self.full;
        let set = if reading.asked_for { &mut self.asked_for } else { &mut self.records };
        place.at.visit(output, &mut |found| {
            let canonical = arguments::scalar(found).and_then(|text| place.kind.canonical(&text));
            canonical.is_none_or(|canonical| {
                insert(set, RECORDS_MAX, key.value(place.kind, &canonical), full).is_continue()
            })
        });
    }

    /// The URLs in records whose author, or whose place, the user named.
    fn vouched_for(&mut self, key: &FingerprintKey, author: &Pattern, reading: Reading, output: &Value) {
        let Some((records, name)) = author.split_last() else { return };
        let mut urls = Vec::new();
        records.visit(output, &mut |found| {
            let Found::Value(Value::Object(members)) = found else { return true };
            let author = members.get(name).and_then(|author| arguments::scalar(Found::Value(author)));
            let named = author.is_some_and(|author| {
                // An address is compared whole; a name in front of one says nothing.
                let handle = author.trim().trim_start_matches(['@', '#']);
                let kind = if handle.contains('@') { ValueType::Email } else { ValueType::Handle };
                self.said(key, kind, &author)
            });
            if named || reading.place_named {
                let texts = members
                    .iter()
                    .filter(|(member, _)| *member != name)
                    .filter_map(|(_, value)| value.as_str());
                for text in texts {
                    let _ = words::values(text, &mut |kind: ValueType, canonical: &str| {
                        if kind == ValueType::Url {
                            urls.push(key.value(kind, canonical));
                        }
                        ControlFlow::Continue(())
                    });
                }
            }
            urls.len() < RECORDS_MAX
        });
        for url in urls {
            let _ = insert(&mut self.vouched, RECORDS_MAX, url, &mut self.full);
        }
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

    /// Did the user ask for an act of this kind, in one of these words?
    #[must_use]
    pub fn asked(&self, key: &FingerprintKey, acts: &[String]) -> Asked {
        if acts.is_empty() {
            return Asked::Unknown;
        }
        let said = |word: &str| self.vocabulary.contains(&key.word(word));
        let any = acts.iter().any(|act| inflections(act).iter().any(|form| said(form)));
        if any { Asked::Yes } else { Asked::No }
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
            Grounding { full: self.is_full(), taint_full: self.untrusted.full, ..Grounding::default() };
        let (mut any, mut user_only) = (false, true);
        for destination in destinations {
            let (mut worst, mut tainted, mut count) = (Standing::None, false, 0_usize);
            destination.at.visit(args, &mut |found| {
                arguments::values(found, destination.kind, &mut |text| {
                    count = count.saturating_add(1);
                    let Some(text) = text.filter(|_| count <= VALUES_MAX) else {
                        worst = Standing::Ungrounded;
                        return ControlFlow::Break(());
                    };
                    let grade = self.grade(key, destination.kind, text);
                    worst = worst.max(grade);
                    user_only &= grade == Standing::Grounded && self.said(key, destination.kind, text);
                    let read = self.untrusted.holds_value(key, destination.kind, text);
                    tainted |= read;
                    ControlFlow::Continue(())
                })
                .is_continue()
            });
            any |= count > 0;
            grounding.destinations = grounding.destinations.max(worst);
            if worst == Standing::Ungrounded {
                put(&mut grounding.ungrounded, &destination.at);
            }
            if tainted {
                put(&mut grounding.tainted, &destination.at);
            }
        }
        grounding.user_only = any && user_only && grounding.destinations == Standing::Grounded;
        for pattern in payload {
            self.payload(key, pattern, args, &mut grounding);
        }
        grounding.payload_tainted = grounding.payload == PayloadStanding::Tainted;
        grounding
    }

    fn payload(&self, key: &FingerprintKey, pattern: &Pattern, args: &Value, grounding: &mut Grounding) {
        let mut worst = PayloadStanding::None;
        pattern.visit(args, &mut |found| {
            texts(found, &mut |text, within| {
                let occurrence = self.untrusted.occurrence(key, text);
                // What is short within an object is the name or the number of something.
                let whole = occurrence.whole && !(within && occurrence.short);
                let grade = match self.said_in_a_row(key, text) {
                    None => PayloadStanding::None,
                    Some(true) => PayloadStanding::Grounded,
                    Some(false) if whole => PayloadStanding::Tainted,
                    Some(false) => PayloadStanding::Own,
                };
                worst = worst.max(grade);
                grounding.payload_copied |= grade > PayloadStanding::Grounded && occurrence.copied;
                grounding.untrusted_links = grounding.untrusted_links || self.has_untrusted_link(key, text);
            });
            true
        });
        if worst == PayloadStanding::Tainted {
            put(&mut grounding.tainted, pattern);
        }
        grounding.payload = grounding.payload.max(worst);
    }

    fn has_untrusted_link(&self, key: &FingerprintKey, text: &str) -> bool {
        if self.untrusted.len() == 0 {
            return false;
        }
        words::values(text, &mut |kind: ValueType, canonical: &str| {
            let untrusted = kind == ValueType::Url
                && self.untrusted.holds_exactly(key, kind, canonical)
                && self.grade(key, kind, canonical) == Standing::Ungrounded;
            if untrusted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .is_break()
    }

    /// Fingerprints held, of all sorts: what the memory costs, in units of 16 bytes at most.
    #[must_use]
    pub fn fingerprints(&self) -> usize {
        let sets = [&self.words, &self.own, &self.asked_for, &self.records, &self.vouched];
        let others = [self.run.len(), self.vocabulary.len(), self.untrusted.len()];
        sets.iter().map(|set| set.len()).chain(others).fold(0, usize::saturating_add)
    }

    /// Was something trusted not remembered, or forgotten?
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.full || self.forgot
    }

    /// The first grade that applies to a value.
    pub(super) fn grade(&self, key: &FingerprintKey, kind: ValueType, text: &str) -> Standing {
        let Some(canonical) = kind.canonical(text) else { return Standing::Ungrounded };
        let value = key.value(kind, &canonical);
        let host = (kind == ValueType::Url).then(|| internet::host_of(&canonical)).flatten();
        let host = host.map(|host| key.value(ValueType::Host, host));
        let named = |set: &BTreeSet<Fingerprint>| {
            set.contains(&value) || host.as_ref().is_some_and(|host| set.contains(host))
        };
        if kind == ValueType::Email && self.own.contains(&value) {
            Standing::None
        } else if named(&self.words) || self.said_by_words(key, kind, &canonical) || named(&self.asked_for) {
            Standing::Grounded
        } else if kind == ValueType::Url && self.vouched.contains(&value) {
            Standing::Vouched
        } else if self.records.contains(&value) {
            Standing::Record
        } else {
            Standing::Ungrounded
        }
    }

    /// Is the value in the user's own words?
    fn said(&self, key: &FingerprintKey, kind: ValueType, text: &str) -> bool {
        kind.canonical(text).is_some_and(|canonical| {
            let host = (kind == ValueType::Url).then(|| internet::host_of(&canonical)).flatten();
            self.words.contains(&key.value(kind, &canonical))
                || host.is_some_and(|host| self.words.contains(&key.value(ValueType::Host, host)))
                || self.said_by_words(key, kind, &canonical)
        })
    }

    /// Kinds that are made of words are looked for in the user's.
    fn said_by_words(&self, key: &FingerprintKey, kind: ValueType, canonical: &str) -> bool {
        match kind {
            ValueType::Channel | ValueType::Handle | ValueType::Name | ValueType::Text => {
                self.said_in_a_row(key, canonical) == Some(true)
            }
            ValueType::Terms => words::of(canonical).all(|word| {
                let known = |word: &str| self.vocabulary.contains(&key.word(word));
                known(&word)
                    || known(&format!("{word}s"))
                    || word.strip_suffix('s').is_some_and(|singular| !singular.is_empty() && known(singular))
            }),
            _ => false,
        }
    }

    /// Whether the words of a text stand one after another in what the user said; `None` where it has none.
    fn said_in_a_row(&self, key: &FingerprintKey, text: &str) -> Option<bool> {
        let mut words = words::of(text).map(|word| key.word(&word)).peekable();
        words.peek()?;
        // Most texts hold a word that the user never said.
        let known: Option<Vec<u64>> =
            words.map(|word| self.vocabulary.contains(&word).then_some(word)).collect();
        Some(known.is_some_and(|words| words.len() == 1 || self.run.holds(&words)))
    }
}

/// A word and its regular English inflections.
fn inflections(word: &str) -> Vec<String> {
    let word = word.to_lowercase();
    let mut forms: Vec<String> =
        ["", "s", "es", "ed", "d", "ing"].iter().map(|end| format!("{word}{end}")).collect();
    if let Some(stem) = word.strip_suffix('e') {
        forms.push(format!("{stem}ing"));
    }
    if let Some(stem) = word.strip_suffix('y') {
        forms.extend([format!("{stem}ies"), format!("{stem}ied")]);
    }
    if let Some(last) = word.chars().next_back().filter(|_| word.len() > 2) {
        forms.extend([format!("{word}{last}ing"), format!("{word}{last}ed")]);
    }
    forms
}

/// Whether there are values at a place of the arguments, and whether all of them are such.
fn all_are(place: &Destination, args: &Value, such: &dyn Fn(&str) -> bool) -> (bool, bool) {
    let (mut any, mut all) = (false, true);
    place.at.visit(args, &mut |found| {
        arguments::values(found, place.kind, &mut |text| {
            any = true;
            all &= text.is_some_and(such);
            if all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .is_continue()
    });
    (any, all)
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

/// Calls `each` with the texts and numbers at a place, at any depth, and whether an object is around them.
fn texts(found: Found<'_>, each: &mut dyn FnMut(&str, bool)) {
    let mut open = match found {
        Found::Name(name) => return each(name, false),
        Found::Value(value) => vec![(value, false)],
    };
    while let Some((value, within)) = open.pop() {
        match value {
            Value::String(text) => each(text, within),
            Value::Number(number) => each(&number.to_string(), within),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, within))),
            Value::Object(members) => open.extend(members.values().map(|member| (member, true))),
            Value::Null | Value::Bool(_) => {}
        }
    }
}

#[cfg(test)]
mod disguises;
#[cfg(test)]
mod tests;
