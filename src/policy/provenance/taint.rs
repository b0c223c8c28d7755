//! Does a value occur in what was untrusted? Robust to case, spacing, punctuation, splitting, look-alike letters,
//! invisible characters and encodings, because both sides are *squeezed* first: letters and digits alone, in lower
//! case, look-alikes made one.
//!
//! Untrusted text is kept as 32-bit keyed fingerprints: of 8-byte pieces of the squeezed text, of which the smallest
//! of every four in a row is taken (winnowing: Schleimer, Wilkerson, Aiken, 2003), so that every common stretch of
//! [`SURE_BYTES`] is noticed wherever it stands; of its short words; and of the typed values in it. A false alarm has a
//! chance of about one in 100,000 per value; taint never makes anything more trusted.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::confusable_detection::skeleton;

use super::decode::{Budget, decoded};
use super::fingerprint::FingerprintKey;
use super::kind::ValueType;
use super::{internet, words};

/// Bytes of a piece.
const GRAM_BYTES: usize = 8;
/// Pieces in a row of which one is kept.
const WINDOW: usize = 4;
/// A common stretch of this many squeezed bytes is always noticed.
pub(super) const SURE_BYTES: usize = GRAM_BYTES + WINDOW - 1;
/// A stretch of a longer text that counts as taken over from an untrusted one, in squeezed bytes: about six words.
const COPIED_BYTES: usize = 32;
/// Fingerprints in one memory.
const GRAMS_MAX: usize = 32_768;
/// Bytes of one text that are looked at; what is beyond is not remembered, and the memory says so.
const TEXT_MAX_BYTES: usize = 256 * 1024;

/// How much of a text occurs in untrusted text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Occurrence {
    /// All of it.
    pub(super) whole: bool,
    /// A stretch of [`COPIED_BYTES`].
    pub(super) copied: bool,
    /// It has fewer letters and digits than [`SURE_BYTES`].
    pub(super) short: bool,
}

/// Domains of fingerprints: pieces, words; a kind's values have their own.
const PIECE: u8 = 0;
const WORD: u8 = 1;
const VALUES: u8 = 16;

/// The fingerprints of untrusted text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Taint {
    grams: BTreeSet<u32>,
    /// Some untrusted text was not remembered.
    pub(super) full: bool,
}

impl Taint {
    pub(super) fn len(&self) -> usize {
        self.grams.len()
    }

    /// Remembers an untrusted text and all it decodes to.
    pub(super) fn add(&mut self, key: &FingerprintKey, text: &str) {
        let text = head(text, TEXT_MAX_BYTES, &mut self.full);
        self.add_plain(key, text);
        let mut budget = Budget { bytes: TEXT_MAX_BYTES, over: false };
        decoded(text, &mut budget, &mut |text| self.add_plain(key, text));
        self.full |= budget.over;
    }

    fn add_plain(&mut self, key: &FingerprintKey, text: &str) {
        let squeezed = Squeezed::of(text);
        winnow(&squeezed.bytes, key, &mut |_, gram| {
            self.insert(gram);
            true
        });
        for word in squeezed.short_words() {
            self.insert(key.gram(WORD, word));
        }
        let _ = words::values(text, &mut |kind: ValueType, canonical: &str| {
            if let Some(domain) = domain(kind) {
                self.insert(key.gram(domain, canonical.as_bytes()));
            }
            ControlFlow::Continue(())
        });
    }

    fn insert(&mut self, gram: u32) {
        if self.grams.len() < GRAMS_MAX {
            self.grams.insert(gram);
        } else if !self.grams.contains(&gram) {
            self.full = true;
        }
    }

    /// Is this canonical spelling that of a value in untrusted text?
    pub(super) fn holds_exactly(&self, key: &FingerprintKey, kind: ValueType, canonical: &str) -> bool {
        domain(kind).is_some_and(|domain| self.grams.contains(&key.gram(domain, canonical.as_bytes())))
    }

    /// Does the value occur in untrusted text, whole?
    pub(super) fn holds_value(&self, key: &FingerprintKey, kind: ValueType, text: &str) -> bool {
        if self.grams.is_empty() {
            return false;
        }
        if let Some(canonical) = kind.canonical(text) {
            let host = internet::host_of(&canonical).filter(|_| kind == ValueType::Url);
            if self.holds_exactly(key, kind, &canonical)
                || host.is_some_and(|host| self.holds_exactly(key, ValueType::Host, host))
            {
                return true;
            }
        }
        self.in_any_reading(text, &mut |squeezed| {
            self.is_whole(key, squeezed) || self.is_copied(key, squeezed)
        })
    }

    /// How much of a text occurs in untrusted text, in whatever of its readings.
    pub(super) fn occurrence(&self, key: &FingerprintKey, text: &str) -> Occurrence {
        let mut occurrence = Occurrence::default();
        if self.grams.is_empty() {
            return occurrence;
        }
        let mut first = true;
        self.in_any_reading(text, &mut |squeezed| {
            if std::mem::take(&mut first) {
                occurrence.short = squeezed.bytes.len() < SURE_BYTES;
            }
            occurrence.whole |= self.is_whole(key, squeezed);
            occurrence.copied |= self.is_copied(key, squeezed);
            occurrence.whole && occurrence.copied
        });
        occurrence
    }

    fn in_any_reading(&self, text: &str, holds: &mut dyn FnMut(&Squeezed) -> bool) -> bool {
        let text = head(text, TEXT_MAX_BYTES, &mut false);
        let mut found = holds(&Squeezed::of(text));
        if !found {
            let mut budget = Budget { bytes: TEXT_MAX_BYTES, over: false };
            decoded(text, &mut budget, &mut |text| found = found || holds(&Squeezed::of(text)));
        }
        found
    }

    /// Whether all of the text is known: its pieces, or, where it is too short for those, its words.
    fn is_whole(&self, key: &FingerprintKey, squeezed: &Squeezed) -> bool {
        if squeezed.bytes.len() < SURE_BYTES {
            let mut words = squeezed.words().peekable();
            return words.peek().is_some() && words.all(|word| self.grams.contains(&key.gram(WORD, word)));
        }
        let mut whole = true;
        winnow(&squeezed.bytes, key, &mut |_, gram| {
            whole = self.grams.contains(&gram);
            whole
        });
        whole
    }

    /// Whether all pieces within a stretch of [`COPIED_BYTES`] are known.
    fn is_copied(&self, key: &FingerprintKey, squeezed: &Squeezed) -> bool {
        let (mut start, mut copied) = (None, false);
        winnow(&squeezed.bytes, key, &mut |at, gram| {
            if self.grams.contains(&gram) {
                let start = *start.get_or_insert(at);
                copied = at.saturating_add(GRAM_BYTES).saturating_sub(start) >= COPIED_BYTES;
            } else {
                start = None;
            }
            !copied
        });
        copied
    }
}

/// The domain of a kind's values; none for kinds whose every word would be one.
fn domain(kind: ValueType) -> Option<u8> {
    let place = match kind.compared_as() {
        ValueType::Account => 0,
        ValueType::Email => 1,
        ValueType::Host => 2,
        ValueType::Phone => 3,
        ValueType::Url => 4,
        _ => return None,
    };
    VALUES.checked_add(place)
}

/// The beginning of a text, up to a character's boundary.
fn head<'a>(text: &'a str, max: usize, cut: &mut bool) -> &'a str {
    if text.len() <= max {
        return text;
    }
    *cut = true;
    let end = (0..=max).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or("")
}

/// A text's letters and digits, and where its words end.
struct Squeezed {
    bytes: Vec<u8>,
    /// Ends of words, in `bytes`.
    ends: Vec<usize>,
}

impl Squeezed {
    fn of(text: &str) -> Self {
        #[cfg(test)]
        super::steps::add(text.len());
        let mut squeezed = Self { bytes: Vec::with_capacity(text.len()), ends: Vec::new() };
        let mut letters = 0_usize;
        let mut after_single = false;
        // One more than the text has, so that the last word ends too.
        for c in text.chars().chain(std::iter::once(' ')) {
            let before = squeezed.bytes.len();
            if c.is_ascii() {
                push_ascii(c, &mut squeezed.bytes);
            } else {
                push_folded(c, &mut squeezed.bytes);
            }
            if squeezed.bytes.len() > before {
                letters = letters.saturating_add(1);
            } else if letters > 0 && (c.is_ascii() || c.is_whitespace()) {
                // A word ends here; `B o b` is one word.
                if letters == 1 && after_single {
                    squeezed.ends.pop();
                }
                after_single = letters == 1;
                letters = 0;
                squeezed.ends.push(before);
            }
        }
        squeezed
    }

    fn words(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.bytes.get(start..*end))
    }

    fn short_words(&self) -> impl Iterator<Item = &[u8]> {
        self.words().filter(|word| (1..SURE_BYTES).contains(&word.len()))
    }
}

/// Letters and digits; what looks alike is one.
fn push_ascii(c: char, out: &mut Vec<u8>) {
    match c.to_ascii_lowercase() {
        '0' => out.push(b'o'),
        '1' | 'i' | '|' => out.push(b'l'),
        'm' => out.extend_from_slice(b"rn"),
        c @ ('a'..='z' | '2'..='9') => out.push(u8::try_from(c).unwrap_or(b'x')),
        _ => {}
    }
}

/// A character beyond ASCII: its compatibility form, in lower case, as what it looks like (UTS #39); marks and
/// invisible characters are nothing.
fn push_folded(c: char, out: &mut Vec<u8>) {
    for c in std::iter::once(c).nfkc().flat_map(char::to_lowercase) {
        if c.is_ascii() {
            push_ascii(c, out);
            continue;
        }
        for like in skeleton(c.encode_utf8(&mut [0; 4])).flat_map(char::to_lowercase) {
            if like.is_ascii() {
                push_ascii(like, out);
            } else if like.is_alphanumeric() {
                out.extend_from_slice(like.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// Calls `each` with place and fingerprint of every piece that is kept, until it says `false`.
fn winnow(bytes: &[u8], key: &FingerprintKey, each: &mut impl FnMut(usize, u32) -> bool) {
    let mut window = [(u64::MAX, 0_usize); WINDOW];
    let mut last = usize::MAX;
    for (at, gram) in bytes.windows(GRAM_BYTES).enumerate() {
        if let Some(place) = window.get_mut(at % WINDOW) {
            *place = (order(gram), at);
        }
        if at.saturating_add(1) < WINDOW {
            continue;
        }
        // The smallest; of equal ones the last, so that both sides choose alike.
        let (_, chosen) = window.iter().copied().fold((u64::MAX, 0), |best, next| {
            if next.0 < best.0 || (next.0 == best.0 && next.1 >= best.1) { next } else { best }
        });
        if chosen != last {
            last = chosen;
            let gram = bytes.get(chosen..chosen.saturating_add(GRAM_BYTES)).unwrap_or(&[]);
            if !each(chosen, key.gram(PIECE, gram)) {
                return;
            }
        }
    }
}

/// An order of pieces that no text follows.
fn order(gram: &[u8]) -> u64 {
    let mut word = [0; GRAM_BYTES];
    for (to, from) in word.iter_mut().zip(gram) {
        *to = *from;
    }
    let mixed = u64::from_le_bytes(word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}
