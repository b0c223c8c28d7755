//! The grammar: recursive descent over valid UTF-8.

use serde_json::{Map, Number, Value};

use super::{JsonErrorKind, JsonLimits, number_of_double};
use crate::record::canonical::plain_run;
use crate::record::limits::{JSON_MAX_DEPTH, JSON_MAX_INTEGER};

/// An error on its way up: containers add their token as it passes them.
pub(super) struct Fault {
    pub(super) kind: JsonErrorKind,
    /// Byte offset in the text.
    pub(super) offset: usize,
    /// Where, from the innermost container outwards.
    pub(super) tokens_reversed: Vec<String>,
}

impl Fault {
    /// Boxed, because results of every value carry it and it is rare.
    pub(super) fn new(kind: JsonErrorKind, offset: usize) -> Box<Self> {
        Box::new(Self { kind, offset, tokens_reversed: Vec::new() })
    }

    fn within(mut self: Box<Self>, token: impl Into<String>) -> Box<Self> {
        self.tokens_reversed.push(token.into());
        self
    }
}

pub(super) type Parsed<T> = Result<T, Box<Fault>>;

/// One whole text.
pub(super) fn document(bytes: &[u8], limits: &JsonLimits) -> Parsed<Value> {
    if bytes.len() > limits.max_bytes {
        return Err(Fault::new(JsonErrorKind::TooLong, limits.max_bytes));
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Err(Fault::new(JsonErrorKind::ByteOrderMark, 0));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Fault::new(JsonErrorKind::InvalidUtf8, error.valid_up_to()))?;
    let mut parser = Parser { text, at: 0, room: limits.max_depth.min(JSON_MAX_DEPTH) };
    parser.skip_space();
    let value = parser.value()?;
    parser.skip_space();
    if parser.at < text.len() {
        return Err(Fault::new(JsonErrorKind::TrailingCharacters, parser.at));
    }
    Ok(value)
}

pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// Recursive descent over valid UTF-8. `at` is always on a character's start; `room` is how many more containers
/// may open, so recursion is bounded by [`JSON_MAX_DEPTH`].
struct Parser<'t> {
    text: &'t str,
    at: usize,
    room: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// The error for what stands at `at`: an end or a character that does not belong here.
    fn unexpected<T>(&self) -> Parsed<T> {
        let kind = match self.peek() {
            None => JsonErrorKind::UnexpectedEnd,
            Some(_) => JsonErrorKind::UnexpectedCharacter,
        };
        Err(Fault::new(kind, self.at))
    }

    fn value(&mut self) -> Parsed<Value> {
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => Ok(Value::Number(self.number()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.unexpected(),
        }
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        for expected in word.bytes() {
            if self.peek() != Some(expected) {
                return self.unexpected();
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn nested(&mut self, container: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        let Some(room) = self.room.checked_sub(1) else {
            return Err(Fault::new(JsonErrorKind::TooDeep, self.at));
        };
        self.room = room;
        self.at += 1;
        self.skip_space();
        let value = container(self)?;
        self.room += 1;
        Ok(value)
    }

    /// After `[` and white space.
    fn array(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::Array(items));
        }
        loop {
            match self.value() {
                Ok(item) => items.push(item),
                Err(fault) => return Err(fault.within(items.len().to_string())),
            }
            if self.after_item(b']')? {
                return Ok(Value::Array(items));
            }
        }
    }

    /// After `{` and white space.
    fn object(&mut self) -> Parsed<Value> {
        let mut members = Map::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            let name_at = self.at;
            if self.peek() != Some(b'"') {
                return self.unexpected();
            }
            let name = self.string()?;
            if members.contains_key(&name) {
                return Err(Fault::new(JsonErrorKind::DuplicateKey, name_at).within(name));
            }
            match self.member_value() {
                Ok(value) => members.insert(name, value),
                Err(fault) => return Err(fault.within(name)),
            };
            if self.after_item(b'}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn member_value(&mut self) -> Parsed<Value> {
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.unexpected();
        }
        self.at += 1;
        self.skip_space();
        self.value()
    }

    /// Between two items: true at the container's end, false after a comma.
    fn after_item(&mut self, close: u8) -> Parsed<bool> {
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(true)
            }
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(false)
            }
            _ => self.unexpected(),
        }
    }

    /// On the opening quote.
    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let mut out = self.plain_run().to_owned();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    let c = self.escape()?;
                    out.push(c);
                }
                Some(_) => return Err(Fault::new(JsonErrorKind::ControlCharacter, self.at)),
                None => return self.unexpected(),
            }
            out.push_str(self.plain_run());
        }
    }

    /// Everything up to the next quote, backslash or control character.
    fn plain_run(&mut self) -> &'t str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let run = plain_run(rest.as_bytes());
        self.at += run;
        // The stop bytes are ASCII, so `run` is on a character boundary.
        rest.get(..run).unwrap_or_default()
    }

    /// On the backslash.
    fn escape(&mut self) -> Parsed<char> {
        let start = self.at;
        self.at += 1;
        let plain = match self.peek() {
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape(start);
            }
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{C}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(_) => return Err(Fault::new(JsonErrorKind::InvalidEscape, start)),
            None => return self.unexpected(),
        };
        self.at += 1;
        Ok(plain)
    }

    /// After `\u`; `start` is the backslash.
    fn unicode_escape(&mut self, start: usize) -> Parsed<char> {
        let lone = || Fault::new(JsonErrorKind::LoneSurrogate, start);
        let first = self.four_hex(start)?;
        let code = match first {
            0xD800..=0xDBFF => {
                if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u".as_slice()) {
                    return Err(lone());
                }
                let low_start = self.at;
                self.at += 2;
                let low = self.four_hex(low_start)?;
                if !(0xDC00..=0xDFFF).contains(&low) {
                    return Err(lone());
                }
                0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00)
            }
            other => other,
        };
        // What is left that is not a scalar value is a low surrogate on its own.
        char::from_u32(code).ok_or_else(lone)
    }

    fn four_hex(&mut self, start: usize) -> Parsed<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(byte) = self.peek() else { return self.unexpected() };
            let Some(digit) = char::from(byte).to_digit(16) else {
                return Err(Fault::new(JsonErrorKind::InvalidEscape, start));
            };
            code = code * 16 + digit;
            self.at += 1;
        }
        Ok(code)
    }

    /// On `-` or a digit (RFC 8259 section 6).
    fn number(&mut self) -> Parsed<Number> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let literal = self.text.get(start..self.at).unwrap_or_default();
        number_of(literal, whole).map_err(|kind| Fault::new(kind, start))
    }

    /// At least one digit.
    fn digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { self.unexpected() } else { Ok(()) }
    }
}

/// The value of a literal that follows the grammar; `whole`: it has neither fraction nor exponent.
fn number_of(literal: &str, whole: bool) -> Result<Number, JsonErrorKind> {
    if whole {
        // What does not fit an i64 is beyond 2^53 all the more.
        return match literal.parse::<i64>() {
            Ok(n) if n.unsigned_abs() <= JSON_MAX_INTEGER.unsigned_abs() => Ok(Number::from(n)),
            _ => Err(JsonErrorKind::IntegerTooLarge),
        };
    }
    // The standard library rounds correctly whatever the features of other crates.
    let double: f64 = literal.parse().map_err(|_| JsonErrorKind::UnexpectedCharacter)?;
    if !double.is_finite() {
        return Err(JsonErrorKind::NumberTooLarge);
    }
    number_of_double(double).ok_or(JsonErrorKind::IntegerTooLarge)
}
