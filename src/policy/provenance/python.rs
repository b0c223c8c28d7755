//! Python literals, as `repr` writes them: dictionaries, lists, strings, numbers, `True`, `False`, `None`. Anything
//! else (tuples, sets, calls, names, f-strings, byte strings, sums, strings side by side) is not read.

use serde_json::{Map, Number, Value};

use super::dump::VALUES_MAX;
use crate::record::limits::JSON_MAX_DEPTH;

/// The value of a literal; `None` where the text is not exactly one.
pub(super) fn read(text: &str) -> Option<Value> {
    let mut reader = Reader { rest: text.trim(), values: 0 };
    let value = reader.value(0)?;
    reader.rest.is_empty().then_some(value)
}

struct Reader<'a> {
    rest: &'a str,
    values: usize,
}

impl<'a> Reader<'a> {
    /// One value and the space after it. Recurses at most [`JSON_MAX_DEPTH`] deep.
    fn value(&mut self, depth: usize) -> Option<Value> {
        self.values = self.values.checked_add(1).filter(|count| *count <= VALUES_MAX)?;
        let deeper = depth.checked_add(1).filter(|depth| *depth <= JSON_MAX_DEPTH)?;
        let value = match self.rest.chars().next()? {
            '[' => Value::Array(self.items(deeper)?),
            '{' => self.members(deeper)?,
            '\'' | '"' => Value::String(self.string()?),
            _ => self.word()?,
        };
        self.space();
        Some(value)
    }

    fn space(&mut self) {
        #[cfg(test)]
        super::steps::add(1);
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, c: char) -> bool {
        let Some(rest) = self.rest.strip_prefix(c) else { return false };
        self.rest = rest;
        self.space();
        true
    }

    fn items(&mut self, depth: usize) -> Option<Vec<Value>> {
        self.skip_one();
        let mut items = Vec::new();
        while !self.rest.starts_with(']') {
            items.push(self.value(depth)?);
            if !self.take(',') {
                break;
            }
        }
        self.take(']').then_some(items)
    }

    fn members(&mut self, depth: usize) -> Option<Value> {
        self.skip_one();
        let mut members = Map::new();
        while !self.rest.starts_with('}') {
            let Value::String(name) = self.value(depth)? else { return None };
            if !self.take(':') || members.contains_key(&name) {
                return None;
            }
            members.insert(name, self.value(depth)?);
            if !self.take(',') {
                break;
            }
        }
        self.take('}').then_some(Value::Object(members))
    }

    /// The opening bracket.
    fn skip_one(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
        self.space();
    }

    fn string(&mut self) -> Option<String> {
        let mut chars = self.rest.chars();
        let quote = chars.next()?;
        // `repr` writes no long strings.
        if self.rest.get(..3).is_some_and(|head| head.chars().all(|c| c == quote)) {
            return None;
        }
        let mut out = String::new();
        loop {
            match chars.next()? {
                c if c == quote => break,
                '\n' => return None,
                '\\' => escape(&mut chars, &mut out)?,
                c => out.push(c),
            }
        }
        self.rest = chars.as_str();
        Some(out)
    }

    fn word(&mut self) -> Option<Value> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_');
        let len = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(match word {
            "None" => Value::Null,
            "True" => Value::Bool(true),
            "False" => Value::Bool(false),
            number if number.contains(['.', 'e']) => {
                let plain = number.bytes().all(|byte| byte.is_ascii_digit() || b"+-.e".contains(&byte));
                Value::Number(plain.then(|| number.parse().ok()).flatten().and_then(Number::from_f64)?)
            }
            number => {
                let digits = number.strip_prefix('-').unwrap_or(number);
                let canonical = digits == "0" || !digits.starts_with('0');
                let plain =
                    canonical && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
                // Python's integers have no end; as values they are their digits anyway.
                let text = || Value::String(number.to_owned());
                plain.then(|| {
                    number.parse::<i64>().map_or_else(|_| text(), |number| Value::Number(number.into()))
                })?
            }
        })
    }
}

/// What stands after a backslash.
fn escape(chars: &mut std::str::Chars<'_>, out: &mut String) -> Option<()> {
    let c = match chars.next()? {
        c @ ('\\' | '\'' | '"') => c,
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'v' => '\u{b}',
        'x' => code(chars, 2)?,
        'u' => code(chars, 4)?,
        'U' => code(chars, 8)?,
        // Octal and named characters: `repr` writes none.
        _ => return None,
    };
    out.push(c);
    Some(())
}

/// The character of so many hexadecimal digits.
fn code(chars: &mut std::str::Chars<'_>, len: usize) -> Option<char> {
    let mut code = 0_u32;
    for _ in 0..len {
        code = code.checked_mul(16)?.checked_add(chars.next()?.to_digit(16)?)?;
    }
    char::from_u32(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_repr_writes_is_read_and_nothing_else() {
        assert_eq!(
            read(r#"{'a': [1, -2.5, True, None], "b's": [1,], 'c': [], 'd': '\x41\u00e9\n\'', '7': {}} "#),
            Some(json!({"a": [1, -2.5, true, null], "b's": [1], "c": [], "d": "Aé\n'", "7": {}}))
        );
        for text in [
            "",
            "x",
            "f('a')",
            "{'a': 1, 'a': 2}",
            "{'a'}",
            "'a' 'b'",
            "b'a'",
            "(1)",
            "(1, 2)",
            "{1: 2}",
            "{1}",
            "[1",
            "1 + 2",
            "01",
            "1_0",
            "'''a'''",
            "'a\nb'",
            r"'\q'",
            r"'\ud800'",
            "[,]",
            "inf",
            "nan",
            "[1]]",
            "{1: }",
            "--1",
            "-",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_is_lost_before_the_deepest() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(JSON_MAX_DEPTH)).is_some());
        assert!(read(&nested(JSON_MAX_DEPTH + 1)).is_none());
    }
}
