//! The values in a text that a person wrote, and its words. One pass over its tokens and what it puts in quotes; each is
//! looked at whole, and in its pieces between brackets and commas, peeled of the punctuation around it.
//!
//! Linear: every token is looked at a bounded number of times, within bounds in bytes.

use std::ops::ControlFlow;

use super::kind::{VALUE_MAX_BYTES, ValueType};
use super::{internet, numbers};

/// Groups that may make one number.
const GROUPS_MAX: usize = 12;
/// Characters of one quote.
const QUOTE_MAX_CHARS: usize = 256;
/// What is dropped at the end of a candidate, and at its start.
const CLOSING: &[char] =
    &['.', ',', ';', ':', '!', '?', '"', '\'', '`', '“', '”', '‘', '’', '«', '»', ')', ']', '}', '>'];
const OPENING: &[char] = &['"', '\'', '`', '“', '”', '‘', '’', '«', '»', '(', '[', '{', '<'];
/// What separates the pieces of a token.
const BETWEEN: &[char] = &[',', ';', '|', '(', ')', '<', '>', '[', ']', '{', '}', '"', '“', '”', '«', '»'];
/// Endings that a bare name has as a file, not as a host.
const FILE_ENDINGS: &[&str] = &[
    "txt", "md", "pdf", "doc", "docx", "xls", "xlsx", "csv", "ppt", "pptx", "odt", "ods", "png", "jpg",
    "jpeg", "gif", "svg", "zip", "gz", "tar", "json", "xml", "yaml", "yml", "toml", "py", "rs", "js", "ts",
    "java", "html", "htm", "log", "sh", "bin", "exe", "mov", "mp3", "mp4", "wav",
];

/// Takes a value's kind and canonical spelling, and says whether to go on.
pub(super) trait Take: FnMut(ValueType, &str) -> ControlFlow<()> {}
impl<F: FnMut(ValueType, &str) -> ControlFlow<()>> Take for F {}

/// Calls `each` with every value found, by kind and canonical spelling, until it breaks.
pub(super) fn values(text: &str, each: &mut impl Take) -> ControlFlow<()> {
    #[cfg(test)]
    super::steps::add(text.len());
    let tokens: Vec<&str> = text.split_whitespace().collect();
    for (at, token) in tokens.iter().enumerate() {
        if token.len() <= VALUE_MAX_BYTES {
            candidates(token, each)?;
            emit(ValueType::Secret, token, each)?;
        }
        grouped(tokens.get(at..).unwrap_or(&[]), at.checked_sub(1).and_then(|at| tokens.get(at)), each)?;
    }
    quotes(text, &mut |quote| {
        candidates(quote, each)?;
        emit(ValueType::Secret, quote, each)?;
        emit(ValueType::Id, quote, each)?;
        if looks_like_path(quote) { emit(ValueType::Path, quote, each) } else { ControlFlow::Continue(()) }
    })
}

/// The words of a text: runs of letters and digits, in which single `_`, `'` and `’` end nothing; in lower case,
/// without a final `'s`.
pub(super) fn of(text: &str) -> impl Iterator<Item = String> + '_ {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        while chars.next_if(|c| !c.is_alphanumeric()).is_some() {}
        let mut word = String::new();
        while let Some(c) = chars.peek().copied() {
            if c.is_alphanumeric() {
                word.extend(c.to_lowercase());
                chars.next();
                continue;
            }
            // It ends nothing only between two letters.
            let mut ahead = chars.clone();
            ahead.next();
            if matches!(c, '_' | '\'' | '’') && ahead.peek().is_some_and(|next| next.is_alphanumeric()) {
                word.push(c);
                chars.next();
            } else {
                break;
            }
        }
        // `Alice's` names Alice.
        if let Some(bare) = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).map(str::len) {
            word.truncate(bare);
        }
        (!word.is_empty()).then_some(word)
    })
}

fn emit(kind: ValueType, text: &str, each: &mut impl Take) -> ControlFlow<()> {
    match kind.canonical(text) {
        Some(canonical) => each(kind, &canonical),
        None => ControlFlow::Continue(()),
    }
}

/// A token or a quote, whole and in pieces.
fn candidates(text: &str, each: &mut impl Take) -> ControlFlow<()> {
    let whole = peel(text);
    candidate(whole, each)?;
    if text.contains(BETWEEN) {
        for piece in text.split(BETWEEN) {
            let piece = peel(piece);
            if piece != whole {
                candidate(piece, each)?;
            }
        }
    }
    ControlFlow::Continue(())
}

fn peel(text: &str) -> &str {
    text.trim_end_matches(CLOSING).trim_start_matches(OPENING)
}

/// The values that one candidate is.
fn candidate(text: &str, each: &mut impl Take) -> ControlFlow<()> {
    if text.is_empty() || text.len() > VALUE_MAX_BYTES {
        return ControlFlow::Continue(());
    }
    emit(ValueType::Secret, text, each)?;
    if text.contains('@') {
        let plain =
            text.get(..7).filter(|head| head.eq_ignore_ascii_case("mailto:")).and_then(|_| text.get(7..));
        emit(ValueType::Email, plain.unwrap_or(text), each)?;
    } else if text.contains('.') || text.contains("://") {
        place(text, each)?;
    }
    if text.bytes().any(|byte| byte.is_ascii_digit()) {
        emit(ValueType::Account, text, each)?;
        emit(ValueType::Phone, text, each)?;
        id(text, each)?;
    }
    if looks_like_path(text) { emit(ValueType::Path, text, each) } else { ControlFlow::Continue(()) }
}

/// An identifier in a sentence has a digit and is no number: amounts, dates and times must not name records.
fn id(text: &str, each: &mut impl Take) -> ControlFlow<()> {
    let named = text.len() >= 4
        && text.bytes().any(|byte| byte.is_ascii_digit())
        && !text.bytes().all(|byte| byte.is_ascii_digit() || b".:/,-".contains(&byte));
    if named { emit(ValueType::Id, text, each) } else { ControlFlow::Continue(()) }
}

/// A URL and its host; a bare name with a file's ending is neither.
fn place(text: &str, each: &mut impl Take) -> ControlFlow<()> {
    let Some(url) = ValueType::Url.canonical(text) else { return ControlFlow::Continue(()) };
    let Some(host) = internet::host_of(&url) else { return ControlFlow::Continue(()) };
    let marked = text.contains('/') || text.get(..4).is_some_and(|head| head.eq_ignore_ascii_case("www."));
    let ending = host.rsplit('.').next().unwrap_or("");
    if !marked && FILE_ENDINGS.contains(&ending) {
        return ControlFlow::Continue(());
    }
    each(ValueType::Url, &url)?;
    each(ValueType::Host, host)
}

fn looks_like_path(text: &str) -> bool {
    let ending = text.rsplit_once('.').map_or("", |(_, ending)| ending);
    (text.contains('/') && !text.contains("://"))
        || ((1..=5).contains(&ending.len()) && ending.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// Numbers written in groups, beginning with the first of `tokens`: an IBAN in fours, a telephone number.
fn grouped(tokens: &[&str], before: Option<&&str>, each: &mut impl Take) -> ControlFlow<()> {
    let Some(first) = tokens.first().map(|token| peel(token)) else { return ControlFlow::Continue(()) };
    let country = first.len() == 4
        && first.bytes().take(2).all(|byte| byte.is_ascii_alphabetic())
        && first.bytes().skip(2).all(|byte| byte.is_ascii_digit());
    if country {
        let mut joined = first.to_ascii_uppercase();
        for token in tokens.iter().skip(1).take(GROUPS_MAX) {
            let group = peel(token);
            let fits =
                (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_alphanumeric());
            // Words follow a number that has no last group: where the checksum is right, it ended.
            if !fits || numbers::is_iban(joined.as_bytes()) {
                break;
            }
            joined.push_str(&group.to_ascii_uppercase());
            if group.len() < 4 || group.len() < token.len() {
                break;
            }
        }
        if joined.len() > first.len() {
            emit(ValueType::Account, &joined, each)?;
        }
    }
    // Only whole runs: a part of a number is another number.
    let continues =
        before.is_some_and(|token| is_digits(token) && !token.ends_with([',', ';', '.', ':', '!', '?']));
    if is_digits(tokens.first().unwrap_or(&"")) && !continues {
        let mut len = 0_usize;
        for token in tokens.iter().take(GROUPS_MAX).take_while(|token| is_digits(token)) {
            len = len.saturating_add(1);
            if token.ends_with([',', ';', '.', ':', '!', '?']) {
                break;
            }
        }
        if len > 1 {
            emit(ValueType::Phone, peel(&tokens.get(..len).unwrap_or(&[]).join(" ")), each)?;
        }
    }
    ControlFlow::Continue(())
}

/// A group of a number: digits, and what stands between them.
fn is_digits(token: &str) -> bool {
    let token = token.trim_end_matches([',', ';', '.', ':', '!', '?']);
    token.len() <= 20
        && token.bytes().any(|byte| byte.is_ascii_digit())
        && token.bytes().all(|byte| byte.is_ascii_digit() || b"+-()./".contains(&byte))
}

/// What stands between quotes on one line, where the quotes stand where quotes do.
fn quotes(text: &str, each: &mut impl FnMut(&str) -> ControlFlow<()>) -> ControlFlow<()> {
    let opens_after = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || "([{,:;".contains(c));
    let closes_before = |c: Option<char>| c.is_none_or(|c| c.is_whitespace() || ")]},.:;!?".contains(c));
    for (open, close) in [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('‘', '’'), ('«', '»')]
    {
        let mut at = 0_usize;
        while let Some(from) = text.get(at..).and_then(|rest| rest.find(open)) {
            let from = at.saturating_add(from);
            at = from.saturating_add(open.len_utf8());
            if !opens_after(text.get(..from).and_then(|head| head.chars().next_back())) {
                continue;
            }
            let rest = text.get(at..).unwrap_or("");
            let end = rest
                .char_indices()
                .take(QUOTE_MAX_CHARS.saturating_add(1))
                .find(|(_, c)| *c == close || *c == open || *c == '\n');
            let Some((end, found)) = end else { continue };
            let inside = rest.get(..end).unwrap_or("");
            let after = rest.get(end.saturating_add(found.len_utf8())..).and_then(|rest| rest.chars().next());
            if found == close && !inside.is_empty() && closes_before(after) {
                each(inside)?;
                at = at.saturating_add(end).saturating_add(close.len_utf8());
            }
        }
    }
    ControlFlow::Continue(())
}
