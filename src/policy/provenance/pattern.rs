//! Paths into arguments and outputs, as the registry writes them: RFC 6901, where a whole segment may be `*` (every
//! item of an array, every member of an object) and the last may be `~` (the *names* of an object's members; RFC 6901
//! gives a lone `~` no meaning).

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Segments of one pattern.
const SEGMENTS_MAX: usize = 32;
/// Bytes of one pattern.
const BYTES_MAX: usize = 1_024;

/// A path into a JSON value that may lead to many places.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    segments: Vec<Segment>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Segment {
    /// One member or item.
    Key(String),
    /// Each of them.
    Each,
    /// The names of an object's members.
    Names,
}

/// Why a text is no [`Pattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Neither empty nor beginning with `/`.
    #[error("a path is empty or begins with \"/\"")]
    Start,
    /// A `~` that is neither `~0` nor `~1` nor the whole last segment.
    #[error(
        "\"~\" is written \"~0\", and \"/\" within a name \"~1\"; alone it stands last, for the names of members"
    )]
    Escape,
    /// More than 32 segments or 1,024 bytes.
    #[error("a path has at most {SEGMENTS_MAX} segments and {BYTES_MAX} bytes")]
    TooLong,
}

/// What a pattern leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Found<'a> {
    Value(&'a Value),
    Name(&'a str),
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`]
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > BYTES_MAX {
            return Err(PatternError::TooLong);
        }
        let mut segments = Vec::new();
        if !text.is_empty() {
            let rest = text.strip_prefix('/').ok_or(PatternError::Start)?;
            for segment in rest.split('/') {
                if matches!(segments.last(), Some(Segment::Names)) {
                    return Err(PatternError::Escape);
                }
                segments.push(match segment {
                    "*" => Segment::Each,
                    "~" => Segment::Names,
                    name => Segment::Key(unescaped(name)?),
                });
            }
        }
        if segments.len() > SEGMENTS_MAX {
            return Err(PatternError::TooLong);
        }
        Ok(Self { text: text.to_owned(), segments })
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The pattern of what holds the last member, and that member's name; `None` where the last segment is no name.
    pub(super) fn split_last(&self) -> Option<(Self, &str)> {
        let (last, segments) = self.segments.split_last()?;
        let Segment::Key(name) = last else { return None };
        let text = self.text.rsplit_once('/').map_or("", |(text, _)| text);
        Some((Self { text: text.to_owned(), segments: segments.to_vec() }, name))
    }

    /// The member of the root that it leads through.
    pub(in crate::policy) fn first_name(&self) -> Option<&str> {
        match self.segments.first()? {
            Segment::Key(name) => Some(name),
            Segment::Each | Segment::Names => None,
        }
    }

    /// Calls `each` with everything the pattern leads to in `root`, in document order, until it says `false`.
    pub(super) fn visit<'a>(&self, root: &'a Value, each: &mut impl FnMut(Found<'a>) -> bool) -> bool {
        walk(&self.segments, root, each)
    }

    /// The values that the pattern leads to.
    pub(in crate::policy) fn values<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        let mut values = Vec::new();
        self.visit(root, &mut |found| {
            if let Found::Value(value) = found {
                values.push(value);
            }
            true
        });
        values
    }
}

/// Recurses as deep as the pattern is long, which is bounded.
fn walk<'a>(segments: &[Segment], at: &'a Value, each: &mut impl FnMut(Found<'a>) -> bool) -> bool {
    let Some((segment, rest)) = segments.split_first() else { return each(Found::Value(at)) };
    match (segment, at) {
        (Segment::Key(name), Value::Object(members)) => match members.get(name) {
            Some(value) => walk(rest, value, each),
            None => true,
        },
        (Segment::Key(name), Value::Array(items)) => match index(name).and_then(|index| items.get(index)) {
            Some(value) => walk(rest, value, each),
            None => true,
        },
        (Segment::Each, Value::Object(members)) => members.values().all(|value| walk(rest, value, each)),
        (Segment::Each, Value::Array(items)) => items.iter().all(|value| walk(rest, value, each)),
        (Segment::Names, Value::Object(members)) => members.keys().all(|name| each(Found::Name(name))),
        _ => true,
    }
}

fn unescaped(name: &str) -> Result<String, PatternError> {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PatternError::Escape),
            },
            c => c,
        });
    }
    Ok(out)
}

/// RFC 6901 section 4: digits without a leading zero.
fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with('0');
    if plain && name.bytes().all(|byte| byte.is_ascii_digit()) { name.parse().ok() } else { None }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(pattern: &str, value: &Value) -> Vec<String> {
        let mut out = Vec::new();
        Pattern::parse(pattern).unwrap().visit(value, &mut |found| {
            out.push(match found {
                Found::Value(value) => value.to_string(),
                Found::Name(name) => format!("name {name}"),
            });
            true
        });
        out
    }

    #[test]
    fn patterns_lead_where_rfc_6901_and_the_stars_say() {
        let value =
            json!({"a": [{"b": 1}, {"b": 2}, {"c": 3}], "m": {"x": {"b": 4}, "y": 5}, "~/": 6, "*": 7});
        assert_eq!(found("/a/*/b", &value), ["1", "2"]);
        assert_eq!(found("/a/1/b", &value), ["2"]);
        assert_eq!(found("/a/01/b", &value), Vec::<String>::new());
        assert_eq!(found("/m/*", &value), [r#"{"b":4}"#, "5"]);
        assert_eq!(found("/m/~", &value), ["name x", "name y"]);
        assert_eq!(found("/~0~1", &value), ["6"]);
        assert_eq!(found("", &json!(1)), ["1"]);
        assert_eq!(found("/*/*/b", &value), ["1", "2", "4"]);
        assert_eq!(found("/a/-1", &value), Vec::<String>::new());
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (text, error) in [
            ("a", PatternError::Start),
            ("/a~2", PatternError::Escape),
            ("/a~", PatternError::Escape),
            ("/~/a", PatternError::Escape),
            (&"/a".repeat(33), PatternError::TooLong),
        ] {
            assert_eq!(Pattern::parse(text), Err(error), "{text}");
        }
    }
}
