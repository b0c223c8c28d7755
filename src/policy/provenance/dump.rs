//! Structured output that came as text: JSON, YAML, a Python literal. Read strictly or not at all, because a text that
//! two readers take apart differently is no record.

use std::panic::{AssertUnwindSafe, catch_unwind};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::{Format, python};
use crate::record::json;
use crate::record::limits::{FIELDS_MAX, JSON_MAX_DEPTH};

/// Bytes of a text that is read as YAML or Python.
pub(super) const TEXT_MAX_BYTES: usize = 1024 * 1024;
/// Values of one text.
pub(super) const VALUES_MAX: usize = 16 * FIELDS_MAX;

/// The value that a text of this form is; `None` where it is not exactly that.
pub(super) fn read(format: Format, text: &str) -> Option<Value> {
    if text.len() > TEXT_MAX_BYTES {
        return None;
    }
    match format {
        Format::Json => json::parse(text.as_bytes()).ok(),
        Format::Text => Some(Value::String(text.trim().to_owned())),
        Format::Python => python::read(text),
        // The parser is not ours: what would be a panic in it is a text that cannot be read.
        Format::Yaml => catch_unwind(AssertUnwindSafe(|| yaml(text))).unwrap_or_default(),
    }
}

/// A container that is open.
enum Open {
    Items(Vec<Value>),
    Members(Map<String, Value>, Option<String>),
}

/// One YAML document whose scalars are texts (`~`, `null` and nothing are null): no anchors, aliases, tags, and no key
/// twice.
fn yaml(text: &str) -> Option<Value> {
    yaml_with(text, &scalar)
}

/// The same, where somebody else says what a scalar is: its text, and whether it stands there without quotes. The parser
/// is not ours: what would be a panic in it is a text that cannot be read.
pub(in crate::policy) fn read_yaml(text: &str, scalar: &dyn Fn(&str, bool) -> Value) -> Option<Value> {
    let scalar = |text: &str, style: ScalarStyle| scalar(text, style == ScalarStyle::Plain);
    catch_unwind(AssertUnwindSafe(|| yaml_with(text, &scalar))).unwrap_or_default()
}

fn yaml_with(text: &str, scalar: &dyn Fn(&str, ScalarStyle) -> Value) -> Option<Value> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    let mut count = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.ok()?;
        count = count.checked_add(1).filter(|count| *count <= VALUES_MAX)?;
        let done = match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => continue,
            Event::DocumentStart(_) if whole.is_none() => continue,
            Event::SequenceStart(0, None) => {
                open.push(Open::Items(Vec::new()));
                None
            }
            Event::MappingStart(0, None) => {
                open.push(Open::Members(Map::new(), None));
                None
            }
            Event::SequenceEnd | Event::MappingEnd => Some(match open.pop()? {
                Open::Items(items) => Value::Array(items),
                Open::Members(members, None) => Value::Object(members),
                Open::Members(_, Some(_)) => return None,
            }),
            Event::Scalar(text, style, 0, None) => {
                if let Some(Open::Members(members, name @ None)) = open.last_mut() {
                    if members.contains_key(text.as_ref()) {
                        return None;
                    }
                    *name = Some(text.into_owned());
                    continue;
                }
                Some(scalar(&text, style))
            }
            _ => return None,
        };
        if open.len() > JSON_MAX_DEPTH {
            return None;
        }
        let Some(done) = done else { continue };
        match open.last_mut() {
            None if whole.is_none() => whole = Some(done),
            Some(Open::Items(items)) => items.push(done),
            // A container cannot name a member.
            Some(Open::Members(members, name)) => {
                members.insert(name.take()?, done);
            }
            None => return None,
        }
    }
    whole.filter(|_| open.is_empty())
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::String(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn yaml_is_read_as_texts_or_not_at_all() {
        let text = "- amount: 10.0\n  id: 007\n  recipient: GB29NWBK60161331926819\n  subject: 'a: b\n\n    - c: d'\n- []\n- x: {}\n  y: null\n";
        assert_eq!(
            read(Format::Yaml, text),
            Some(json!([
                {"amount": "10.0", "id": "007", "recipient": "GB29NWBK60161331926819", "subject": "a: b\n- c: d"},
                [],
                {"x": {}, "y": null},
            ]))
        );
        for text in
            ["a: &x 1\nb: *x", "a: !!str 1", "a: 1\na: 2", "a: 1\n---\nb: 2", "? [a]\n: 1", "a: [1", ""]
        {
            assert_eq!(read(Format::Yaml, text), None, "{text}");
        }
    }

    #[test]
    fn no_depth_overflows() {
        for open in ["[", "{a: ", "- ", "(", "{'a': "] {
            let text = open.repeat(100_000);
            // For YAML a round bracket is text.
            assert_eq!(read(Format::Yaml, &text).is_some(), open == "(");
            assert!(read(Format::Python, &text).is_none());
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,200}", structured in "[-\\[\\]{}():,'\"\\\\ \\na0#&*!|>?%@`~.=_x]{0,120}") {
            for text in [&text, &structured] {
                for format in [Format::Json, Format::Text, Format::Python, Format::Yaml] {
                    let _ = read(format, text);
                }
            }
        }
    }
}
