//! Canonical JSON: RFC 8785 (JCS), restricted to what the strict parser reads back.
//!
//! JCS writes numbers as doubles, so 9007199254740993 and 9007199254740992 get the same bytes. What would not
//! survive [`json::parse`] unchanged is therefore refused here, and `parse(to_jcs(v)) == v` holds for every value
//! that was parsed strictly.
//!
//! Object order and strings are written here (a quarter of the time of a generic serializer, and entries are
//! written on the hot path); the shortest form of a fraction is left to `serde_json_canonicalizer`, which is also
//! the oracle of the tests.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::json;
use super::limits::{JSON_MAX_DEPTH, JSON_MAX_INTEGER};

/// Why a value has no canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// A number that is not finite, or a whole number beyond ±(2^53-1).
    #[error("a number beyond what JSON holds exactly (2^53-1)")]
    Number,
    /// More than [`JSON_MAX_DEPTH`] containers within each other.
    #[error("nested deeper than {JSON_MAX_DEPTH}")]
    TooDeep,
}

/// The canonical bytes of a value.
///
/// # Errors
/// [`CanonicalError`] for a value that [`json::parse`] would not accept.
pub fn to_jcs(value: &Value) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(128);
    write_jcs(value, &mut out)?;
    Ok(out)
}

/// As [`to_jcs`], as text.
///
/// # Errors
/// As [`to_jcs`].
pub fn to_jcs_string(value: &Value) -> Result<String, CanonicalError> {
    // The writers below emit nothing but UTF-8.
    to_jcs(value).map(|bytes| String::from_utf8(bytes).unwrap_or_default())
}

/// Appends the canonical bytes of a value. On an error, what was written of it so far stays in `out`.
///
/// # Errors
/// As [`to_jcs`].
pub fn write_jcs(value: &Value, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    write_value(value, JSON_MAX_DEPTH, out)
}

/// Whether the bytes are one JSON text in its canonical form: strictly parsed and written again they are the same.
#[must_use]
pub fn is_canonical(bytes: &[u8]) -> bool {
    json::parse(bytes).is_ok_and(|value| to_jcs(&value).is_ok_and(|again| again == bytes))
}

/// Appends a string with its quotes (RFC 8785 section 3.2.2.2).
pub fn write_jcs_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, from) = rest.split_at(plain_run(rest));
        out.extend_from_slice(plain);
        let Some((&byte, after)) = from.split_first() else { break };
        write_escape(byte, out);
        rest = after;
    }
    out.push(b'"');
}

/// How many bytes come before the first quote, backslash or control character. Eight at a time: texts are most of an
/// intent, and each is looked at whenever it is read or written.
pub(crate) fn plain_run(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = u64::from_le_bytes([0x80; 8]);
    // The lowest high bit that is set is exact, those above it may not be: the byte of a borrow is not the first.
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let stops = below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5C), 1);
        if stops != 0 {
            return number * 8 + (stops.trailing_zeros() / 8) as usize;
        }
    }
    let stop = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..=0x1F);
    words.len() * 8 + rest.iter().position(stop).unwrap_or(rest.len())
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    let short: &[u8] = match byte {
        b'"' => b"\\\"",
        b'\\' => b"\\\\",
        0x08 => b"\\b",
        0x09 => b"\\t",
        0x0A => b"\\n",
        0x0C => b"\\f",
        0x0D => b"\\r",
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(if byte < 0x10 { b'0' } else { b'1' });
            let low = byte & 0x0F;
            out.push(if low < 10 { b'0' + low } else { b'a' + (low - 10) });
            return;
        }
    };
    out.extend_from_slice(short);
}

fn write_value(value: &Value, room: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(number, out)?,
        Value::String(text) => write_jcs_string(text, out),
        Value::Array(items) => {
            let room = room.checked_sub(1).ok_or(CanonicalError::TooDeep)?;
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_value(item, room, out)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let room = room.checked_sub(1).ok_or(CanonicalError::TooDeep)?;
            write_object(members, room, out)?;
        }
    }
    Ok(())
}

fn write_object(members: &Map<String, Value>, room: usize, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    // Never in the map's own order: that depends on a feature of `serde_json`.
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    sorted.sort_unstable_by(|(a, _), (b, _)| utf16_order(a, b));
    out.push(b'{');
    for (i, (name, value)) in sorted.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_jcs_string(name, out);
        out.push(b':');
        write_value(value, room, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// RFC 8785 section 3.2.3: by UTF-16 code units. It differs from byte order only beyond U+FFFF.
pub(crate) fn utf16_order(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

fn write_number(number: &Number, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    let exact = match (number.as_i64(), number.as_u64()) {
        (Some(n), _) if n.unsigned_abs() <= JSON_MAX_INTEGER.unsigned_abs() => Some(n),
        (Some(_), _) | (None, Some(_)) => return Err(CanonicalError::Number),
        (None, None) => None,
    };
    if let Some(n) = exact {
        return write_integer(n, out);
    }
    let double = number.as_f64().ok_or(CanonicalError::Number)?;
    let number = json::number_of_double(double).ok_or(CanonicalError::Number)?;
    match number.as_i64() {
        Some(n) => write_integer(n, out),
        None => serde_json_canonicalizer::to_writer(&double, out).map_err(|_| CanonicalError::Number),
    }
}

fn write_integer(n: i64, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
    serde_json::to_writer(out, &n).map_err(|_| CanonicalError::Number)
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
