//! YAML that people wrote: one document, read strictly or not at all. No anchors, aliases and tags, and no name twice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use crate::record::limits::JSON_MAX_DEPTH;

/// Scalars and containers of one document.
const EVENTS: usize = 100_000;

/// The value of a document; `None` where it is not exactly one. The parser is not ours: what would be a panic in it is a
/// text that cannot be read.
pub(super) fn read(text: &str) -> Option<Value> {
    catch_unwind(AssertUnwindSafe(|| document(text))).unwrap_or_default()
}

/// A container that is open.
enum Open {
    Items(Vec<Value>),
    Members(Map<String, Value>, Option<String>),
}

fn document(text: &str) -> Option<Value> {
    let mut open: Vec<Open> = Vec::new();
    let mut whole = None;
    let mut count = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.ok()?;
        count = count.checked_add(1).filter(|count| *count <= EVENTS)?;
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
                Some(scalar(&text, style == ScalarStyle::Plain))
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

/// A plain scalar of YAML 1.2's core schema; what is quoted is a text.
fn scalar(text: &str, plain: bool) -> Value {
    if !plain {
        return Value::from(text);
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => match serde_json::from_str::<Value>(text) {
            Ok(number @ Value::Number(_)) => number,
            _ => Value::from(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_people_write_is_read_and_what_has_two_readings_is_not() {
        let text = "# who\nallow: [read_*, 'a: b'] # here\nn: 5\nyes: true\nno: \"true\"\nnone:\nlong: >\n  a\n  b\nv: 1.5.2\n";
        assert_eq!(
            read(text),
            Some(
                json!({"allow": ["read_*", "a: b"], "n": 5, "yes": true, "no": "true", "none": null, "long": "a b\n", "v": "1.5.2"})
            )
        );
        for text in
            ["a: &x 1\nb: *x", "a: !!str 1", "a: 1\na: 2", "a: 1\n---\nb: 2", "? [a]\n: 1", "a: [1", ""]
        {
            assert_eq!(read(text), None, "{text}");
        }
        for deep in ["[", "{a: ", "- "] {
            assert_eq!(read(&deep.repeat(100_000)), None);
        }
    }
}
