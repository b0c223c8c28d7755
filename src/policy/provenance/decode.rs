//! What a text says once its encodings are undone: escapes (`%41`, `&#65;`, `\u0041`, `\x41`), base64 and hexadecimal
//! runs, in any order, up to [`DEPTH_MAX`] of them within each other.
//!
//! Linear, within [`Budget`]: what is decoded is shorter than what it came from, and all of it together is bounded.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// Encodings undone within each other.
const DEPTH_MAX: u32 = 3;
/// Characters of a run that may be base64.
const BASE64_MIN: usize = 16;
/// Characters of a run that may be hexadecimal.
const HEX_MIN: usize = 24;
/// Bytes of readable text that a decoded run must have in a row.
const READABLE_MIN: usize = 10;

/// Takes what is left over: a run cut at any place.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Bytes that may still be decoded.
#[derive(Debug, Clone, Copy)]
pub(in crate::policy) struct Budget {
    pub(in crate::policy) bytes: usize,
    /// Was there more than the budget?
    pub(in crate::policy) over: bool,
}

/// Calls `each` with everything that `text` decodes to, not with `text` itself.
pub(in crate::policy) fn decoded(text: &str, budget: &mut Budget, each: &mut impl FnMut(&str)) {
    within(text, DEPTH_MAX, budget, &mut |text| each(text));
}

fn within(text: &str, depth: u32, budget: &mut Budget, each: &mut dyn FnMut(&str)) {
    let Some(deeper) = depth.checked_sub(1) else { return };
    #[cfg(test)]
    super::steps::add(text.len());
    let mut found = Vec::new();
    if let Some(plain) = unescaped(text) {
        found.push(plain);
    }
    runs(text, &mut found);
    for text in found {
        match budget.bytes.checked_sub(text.len()) {
            Some(left) => budget.bytes = left,
            None => {
                budget.over = true;
                return;
            }
        }
        each(&text);
        within(&text, deeper, budget, each);
    }
}

/// The text without escapes; `None` where there is none.
fn unescaped(text: &str) -> Option<String> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'&' | b'\\')) {
        return None;
    }
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let Some(first) = rest.chars().next() {
        if let Some((c, len)) = escape(rest) {
            match c {
                Escaped::Byte(byte) => out.push(byte),
                Escaped::Char(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
            rest = rest.get(len..).unwrap_or("");
            any = true;
        } else {
            out.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
            rest = rest.get(first.len_utf8()..).unwrap_or("");
        }
    }
    any.then(|| String::from_utf8_lossy(&out).into_owned())
}

enum Escaped {
    Byte(u8),
    Char(char),
}

/// The escape that `text` begins with, and its length in bytes.
fn escape(text: &str) -> Option<(Escaped, usize)> {
    let hex = |from: usize, len: usize| {
        let digits = text.get(from..from.checked_add(len)?)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if all { u32::from_str_radix(digits, 16).ok() } else { None }
    };
    let byte = |from: usize| hex(from, 2).and_then(|value| u8::try_from(value).ok());
    match text.as_bytes() {
        [b'%', ..] => byte(1).map(|byte| (Escaped::Byte(byte), 3)),
        [b'\\', b'x', ..] => byte(2).map(|byte| (Escaped::Byte(byte), 4)),
        [b'\\', b'u', ..] => hex(2, 4).and_then(char::from_u32).map(|c| (Escaped::Char(c), 6)),
        [b'&', b'#', ..] => {
            let body = text.get(2..)?;
            let end = body.bytes().take(9).position(|byte| byte == b';')?;
            let digits = body.get(..end)?;
            let value = match digits.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => digits.parse(),
            };
            let c = value.ok().and_then(char::from_u32)?;
            Some((Escaped::Char(c), end.saturating_add(3)))
        }
        _ => None,
    }
}

/// What the base64 and hexadecimal runs of a text say.
fn runs(text: &str, found: &mut Vec<String>) {
    let in_run = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=\r\n".contains(byte);
    let bytes = text.as_bytes();
    let mut start = 0_usize;
    while let Some(from) = bytes.get(start..).and_then(|rest| rest.iter().position(in_run)) {
        let from = start.saturating_add(from);
        let rest = bytes.get(from..).unwrap_or(&[]);
        let len = rest.iter().position(|byte| !in_run(byte)).unwrap_or(rest.len());
        if let Some(run) = rest.get(..len).filter(|run| run.len() >= BASE64_MIN) {
            of_run(run, found);
        }
        start = from.saturating_add(len);
    }
}

fn of_run(run: &[u8], found: &mut Vec<String>) {
    let mut symbols = Vec::with_capacity(run.len());
    let (mut hex, mut upper, mut lower, mut digits) = (true, false, false, false);
    for byte in run {
        let symbol = match byte {
            b'-' => b'+',
            b'_' => b'/',
            b'=' | b'\r' | b'\n' => continue,
            byte => *byte,
        };
        hex &= symbol.is_ascii_hexdigit();
        upper |= symbol.is_ascii_uppercase();
        lower |= symbol.is_ascii_lowercase();
        digits |= symbol.is_ascii_digit();
        symbols.push(symbol);
    }
    if hex && symbols.len() >= HEX_MIN {
        let pairs: Vec<u8> = symbols
            .chunks_exact(2)
            .filter_map(|pair| {
                std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
            })
            .collect();
        readable(&pairs, found);
    }
    // A word has one case, and a number only digits; base64 of text has both cases nearly always.
    if !(upper && lower) && !(digits && (upper || lower)) {
        return;
    }
    // What stands before it may be glued on: each of the four ways to begin.
    for skip in 0..4 {
        let whole = symbols.get(skip..).unwrap_or(&[]);
        // One symbol over is no byte.
        let len = if whole.len() % 4 == 1 { whole.len().saturating_sub(1) } else { whole.len() };
        let before = found.len();
        if let Some(bytes) = whole.get(..len).and_then(|whole| BASE64.decode(whole).ok()) {
            readable(&bytes, found);
        }
        if found.len() > before {
            return;
        }
    }
}

/// The stretches of readable text in what was decoded.
fn readable(bytes: &[u8], found: &mut Vec<String>) {
    let text = String::from_utf8_lossy(bytes);
    let is_readable = |c: char| c != '\u{FFFD}' && (!c.is_control() || matches!(c, '\n' | '\r' | '\t'));
    for stretch in text.split(|c| !is_readable(c)) {
        // Random bytes are readable now and then, but hardly ten in a row, and not as ASCII.
        let ascii = stretch.bytes().filter(u8::is_ascii).count();
        if stretch.len() >= READABLE_MIN && ascii.saturating_mul(2) >= stretch.len() {
            found.push(stretch.to_owned());
        }
    }
}
