//! Strict JSON: one reading of a document, or a refusal with its place.
//!
//! RFC 8259 leaves to each implementation what a repeated member name, a huge number or a lone surrogate means;
//! whoever signs or commits to JSON must not. This parser takes the I-JSON subset (RFC 7493) and refuses the rest:
//! see [`JsonErrorKind`] for the list.
//!
//! It is written out rather than laid over `serde_json`'s reader for three reasons: that one rounds decimal
//! fractions differently depending on a feature which any crate in the build may switch on, and a commitment
//! must not depend on that; it does not know the offset of a member name; and it cannot tell `1.0` from `1`,
//! which [RFC 8785] does not distinguish. Here a number is the nearest double (ties to even), and one that is a
//! whole number becomes an integer [`Value`], so that two documents are equal as [`Value`]s exactly when their
//! canonical forms are equal.
//!
//! [RFC 8785]: https://www.rfc-editor.org/rfc/rfc8785

mod parser;

use std::fmt;

use serde_json::{Map, Number, Value};

use super::limits::{BODY_MAX_BYTES, JSON_MAX_DEPTH};
use parser::{Fault, document, is_space};

/// 2^53: the first double beyond which whole numbers have gaps.
const TWO_POW_53: f64 = 9_007_199_254_740_992.0;
/// Longest JSON Pointer that an error repeats, in bytes: member names are the client's and may be long.
const POINTER_MAX_BYTES: usize = 256;

/// What a parse accepts at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Length of the whole text in bytes.
    pub max_bytes: usize,
    /// Containers open at once. Values over [`JSON_MAX_DEPTH`] are treated as that: nothing deeper can be
    /// committed to, and the parser recurses.
    pub max_depth: usize,
}

impl Default for JsonLimits {
    /// [`BODY_MAX_BYTES`] and [`JSON_MAX_DEPTH`].
    fn default() -> Self {
        Self { max_bytes: BODY_MAX_BYTES, max_depth: JSON_MAX_DEPTH }
    }
}

/// Why a text was refused. [`JsonErrorKind::code`] is stable; the sentence is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum JsonErrorKind {
    /// More bytes than [`JsonLimits::max_bytes`].
    #[error("the text is longer than the limit")]
    TooLong,
    /// The text starts with U+FEFF (RFC 8259 section 8.1 forbids sending one).
    #[error("the text starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8; surrogates encoded as UTF-8 and overlong forms included.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// The text ends inside a value, or is empty.
    #[error("the text ends too early")]
    UnexpectedEnd,
    /// A character that the grammar does not allow here: unquoted words, comments, trailing commas, `01`, `+1`, `.5`.
    #[error("unexpected character")]
    UnexpectedCharacter,
    /// Something other than white space after the value.
    #[error("trailing characters after the value")]
    TrailingCharacters,
    /// More containers open than [`JsonLimits::max_depth`].
    #[error("nested too deep")]
    TooDeep,
    /// A member name that its object already has, after unescaping.
    #[error("duplicate member name")]
    DuplicateKey,
    /// A number whose nearest double is a whole number beyond ±(2^53-1), however written (`1e16`, `9007199254740993.0`).
    #[error("integer beyond 2^53-1")]
    IntegerTooLarge,
    /// A number beyond the range of doubles.
    #[error("number beyond the range of a double")]
    NumberTooLarge,
    /// `\ud800`–`\udfff` that is not a high surrogate followed by a low one.
    #[error("lone surrogate in a string")]
    LoneSurrogate,
    /// A backslash followed by what JSON does not define.
    #[error("invalid escape in a string")]
    InvalidEscape,
    /// U+0000–U+001F unescaped in a string.
    #[error("unescaped control character in a string")]
    ControlCharacter,
    /// The value is not an object, where [`parse_object`] was asked for one.
    #[error("the value is not an object")]
    NotAnObject,
}

impl JsonErrorKind {
    /// A stable code, `snake_case`, for machines.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::ByteOrderMark => "byte_order_mark",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::UnexpectedEnd => "unexpected_end",
            Self::UnexpectedCharacter => "unexpected_character",
            Self::TrailingCharacters => "trailing_characters",
            Self::TooDeep => "too_deep",
            Self::DuplicateKey => "duplicate_key",
            Self::IntegerTooLarge => "integer_too_large",
            Self::NumberTooLarge => "number_too_large",
            Self::LoneSurrogate => "lone_surrogate",
            Self::InvalidEscape => "invalid_escape",
            Self::ControlCharacter => "control_character",
            Self::NotAnObject => "not_an_object",
        }
    }
}

/// A refusal with its place. The text itself is not repeated, except for member names in [`JsonError::pointer`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    /// What is wrong.
    #[source]
    pub kind: JsonErrorKind,
    /// Line of the offending place, from 1; lines end with U+000A.
    pub line: usize,
    /// Column of it, from 1, in characters (Unicode scalar values) since the line's start.
    pub column: usize,
    /// Byte offset of it from the start of the text.
    pub offset: usize,
    /// RFC 6901 pointer to the value or member concerned, the whole document being `""`. Cut after 256 bytes, with `…`.
    pub pointer: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at line {}, column {}", self.kind, self.line, self.column)?;
        if !self.pointer.is_empty() {
            write!(f, " (at {:?})", self.pointer)?;
        }
        Ok(())
    }
}

impl JsonError {
    /// Finds line and column.
    fn at(text: &[u8], fault: &Fault) -> Self {
        let before = text.get(..fault.offset).unwrap_or(text);
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
        let is_char_start = |b: &&u8| **b & 0xC0 != 0x80;
        let line = before.iter().filter(|&&b| b == b'\n').count() + 1;
        let column = before.iter().skip(line_start).filter(is_char_start).count() + 1;
        let mut pointer = String::new();
        for token in fault.tokens_reversed.iter().rev() {
            pointer.push('/');
            push_escaped(token, &mut pointer);
            if pointer.len() > POINTER_MAX_BYTES {
                pointer.truncate(pointer.floor_char_boundary(POINTER_MAX_BYTES));
                pointer.push('…');
                break;
            }
        }
        Self { kind: fault.kind, line, column, offset: fault.offset, pointer }
    }
}

/// Appends one reference token, escaped as RFC 6901 section 3 says.
pub(super) fn push_escaped(token: &str, path: &mut String) {
    if !token.contains(['~', '/']) {
        path.push_str(token);
        return;
    }
    for c in token.chars() {
        match c {
            '~' => path.push_str("~0"),
            '/' => path.push_str("~1"),
            other => path.push(other),
        }
    }
}

/// Parses one JSON text under the default [`JsonLimits`].
///
/// # Errors
/// [`JsonError`] with the first offending place in reading order (length, byte order mark and UTF-8 are looked at
/// before the grammar).
pub fn parse(bytes: &[u8]) -> Result<Value, JsonError> {
    parse_with(bytes, &JsonLimits::default())
}

/// Parses one JSON text under the given limits.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(bytes: &[u8], limits: &JsonLimits) -> Result<Value, JsonError> {
    document(bytes, limits).map_err(|fault| JsonError::at(bytes, &fault))
}

/// Parses one JSON text that must be an object.
///
/// # Errors
/// As [`parse`], and [`JsonErrorKind::NotAnObject`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match parse(bytes)? {
        Value::Object(map) => Ok(map),
        _ => {
            let offset = bytes.iter().position(|b| !is_space(*b)).unwrap_or(0);
            Err(JsonError::at(bytes, &Fault::new(JsonErrorKind::NotAnObject, offset)))
        }
    }
}

/// The number as JSON between implementations knows it: a whole one as an integer, `None` beyond ±(2^53-1).
pub(super) fn number_of_double(double: f64) -> Option<Number> {
    if double.abs() >= TWO_POW_53 {
        return None;
    }
    if double.fract() == 0.0 {
        // INVARIANT: whole and below 2^53 in magnitude, so exact in an i64. Minus zero becomes zero, as in RFC 8785.
        #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
        return Some(Number::from(double as i64));
    }
    Number::from_f64(double)
}

#[cfg(test)]
#[path = "json_tests.rs"]
pub(crate) mod tests;
