//! The values in a text that a person wrote: one pass over its words, each looked at by itself, in its pieces between
//! brackets and quotes, and together with the groups that follow it (an IBAN in fours, a telephone number).
//!
//! Linear: a word starts at most [`GROUPS_MAX`] groups, and every look has a bound in bytes.

use std::ops::ControlFlow;

use super::kind::{VALUE_MAX_BYTES, ValueType, fold};
use super::{internet, numbers};

/// Groups that may make one number.
const GROUPS_MAX: usize = 12;
/// Bytes of one quoted phrase.
const QUOTED_MAX_BYTES: usize = 256;
/// What stands around words and is no part of them.
const AROUND: &[char] = &[
    '"', '\'', '`', '(', ')', '[', ']', '{', '}', '<', '>', ',', ';', ':', '!', '?', '.', '*', '“', '”', '‘',
    '’', '«', '»', '…',
];
/// What separates the pieces of a word.
const BETWEEN: &[char] =
    &['"', '\'', '`', '(', ')', '[', ']', '{', '}', '<', '>', ',', ';', '|', '“', '”', '=', '*'];

/// Calls `each` with every value found, by kind and canonical spelling, until it breaks.
pub(super) fn values(
    text: &str,
    each: &mut impl FnMut(ValueType, &str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let words: Vec<&str> = text.split_whitespace().collect();
    for (at, word) in words.iter().enumerate() {
        if word.len() <= VALUE_MAX_BYTES {
            let core = core(word);
            one(core, each)?;
            // `server=db1.example.com`, `[link](https://…)`, `a@x.com,b@x.com`
            if core.contains(BETWEEN) {
                for piece in core.split(BETWEEN).map(|piece| piece.trim_matches(AROUND)) {
                    one(piece, each)?;
                }
            }
            // A path may begin with a dot, and a sentence's end is not always one's own.
            if word.starts_with("./") || word.starts_with('.') {
                emit(ValueType::Path, word.trim_end_matches(AROUND), each)?;
            }
        }
        grouped(words.get(at..).unwrap_or(&[]), at.checked_sub(1).and_then(|at| words.get(at)), each)?;
    }
    quoted(text, each)
}

/// The runs of words that texts are compared by: each word folded, `None` between two clauses.
pub(super) fn run<'a>(text: &'a str) -> impl Iterator<Item = Option<String>> + 'a {
    text.split_whitespace().flat_map(|word| {
        let breaks_before = word.starts_with(['(', '[', '{', '"', '“', '\'', '‘', '«', '`']);
        let breaks_after = word
            .ends_with([',', ';', ':', '!', '?', ')', ']', '}', '"', '”', '\'', '’', '»', '`'])
            || word.ends_with('.');
        let folded = fold(bare(core(word))).into_owned();
        let word = (!folded.is_empty()).then_some(Some(folded));
        [breaks_before.then_some(None), word, breaks_after.then_some(None)].into_iter().flatten()
    })
}

/// A word without what stands around it.
fn core(word: &str) -> &str {
    word.trim_matches(AROUND)
}

/// Without the possessive and the marks of names.
fn bare(word: &str) -> &str {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    word.trim_start_matches(['@', '#'])
}

fn emit(
    kind: ValueType,
    text: &str,
    each: &mut impl FnMut(ValueType, &str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    match kind.canonical(text) {
        Some(canonical) => each(kind, &canonical),
        None => ControlFlow::Continue(()),
    }
}

/// The values that one word is.
fn one(word: &str, each: &mut impl FnMut(ValueType, &str) -> ControlFlow<()>) -> ControlFlow<()> {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    if word.is_empty() {
        return ControlFlow::Continue(());
    }
    for kind in [ValueType::Id, ValueType::Secret, ValueType::Path] {
        emit(kind, word, each)?;
    }
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    if word.contains('@') {
        emit(ValueType::Email, word, each)?;
    }
    if word.contains('.') || word.contains("://") {
        emit(ValueType::Host, word, each)?;
        if let Some(url) = ValueType::Url.canonical(word) {
            each(ValueType::Url, &url)?;
            if let Some(host) = internet::host_of(&url) {
                emit(ValueType::Host, host, each)?;
            }
        }
    }
    if has_digit {
        for kind in [ValueType::Account, ValueType::Date, ValueType::Iban, ValueType::Phone] {
            emit(kind, word, each)?;
        }
    }
    ControlFlow::Continue(())
}

/// Numbers written in groups, beginning with the first of `words`.
fn grouped(
    words: &[&str],
    before: Option<&&str>,
    each: &mut impl FnMut(ValueType, &str) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Some(first) = words.first().map(|word| core(word)) else { return ControlFlow::Continue(()) };
    let country = first.len() >= 2
        && first.len() <= 6
        && first.bytes().take(2).all(|byte| byte.is_ascii_alphabetic())
        && first.bytes().skip(2).all(|byte| byte.is_ascii_digit());
    if country {
        let mut joined = String::with_capacity(40);
        for word in words.iter().take(GROUPS_MAX) {
            let group = core(word);
            if group.len() > 6 || !group.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                break;
            }
            joined.push_str(&group.to_ascii_uppercase());
            if numbers::is_iban(joined.as_bytes()) && joined.len() > first.len() {
                each(ValueType::Iban, &joined)?;
                emit(ValueType::Account, &joined, each)?;
            }
        }
    }
    // Only whole runs: a part of a number is another number.
    let continues = before.is_some_and(|word| is_digits(word));
    if is_digits(words.first().unwrap_or(&"")) && !continues {
        let run: Vec<&str> =
            words.iter().take_while(|word| is_digits(word)).take(GROUPS_MAX).copied().collect();
        let ended = words.get(run.len()).is_none_or(|word| !is_digits(word));
        if run.len() > 1 && ended {
            let joined = run.join(" ");
            let joined = joined.trim_end_matches(['.', ',', ';', ':', '!', '?']);
            emit(ValueType::Phone, joined, each)?;
            emit(ValueType::Account, joined, each)?;
        }
    }
    ControlFlow::Continue(())
}

/// A group of a number: digits, and what stands between them.
fn is_digits(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ',', ';', ':', '!', '?']);
    word.len() <= 20
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().all(|byte| byte.is_ascii_digit() || b"+-()./".contains(&byte))
}

/// What stands between quotes, as one value.
fn quoted(text: &str, each: &mut impl FnMut(ValueType, &str) -> ControlFlow<()>) -> ControlFlow<()> {
    for (open, close) in [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’')] {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once(open) {
            let Some((inside, next)) = after.split_once(close) else { break };
            if inside.len() <= QUOTED_MAX_BYTES
                && inside.contains(char::is_whitespace)
                && !inside.contains('\n')
            {
                for kind in [ValueType::Id, ValueType::Path, ValueType::Secret] {
                    emit(kind, inside, each)?;
                }
            }
            // The closing one may be the opening one of the next: an apostrophe.
            rest = if open == close && inside.len() > QUOTED_MAX_BYTES { after } else { next };
        }
    }
    ControlFlow::Continue(())
}
