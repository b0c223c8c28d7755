//! JSON of a bundle's own files, read strictly: an object that says a key twice is refused, because two
//! readers may believe different ones. And what is sealed, written in canonical form (RFC 8785) straight from what
//! it says: requests and verdicts are written for every intent, and their detour over a tree of values cost more
//! than evaluating the rules.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::record::canonical::write_jcs_string;

/// Writes an array of strings in canonical form.
pub(super) fn write_texts<'a>(texts: impl IntoIterator<Item = &'a String>, out: &mut Vec<u8>) {
    write_list(texts, out, |text, out| write_jcs_string(text, out));
}

/// Writes an array in canonical form.
pub(super) fn write_list<T>(
    items: impl IntoIterator<Item = T>,
    out: &mut Vec<u8>,
    mut write: impl FnMut(T, &mut Vec<u8>),
) {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(item, out);
    }
    out.push(b']');
}

/// Writes `,"name":` with what opens it: `{` before the first member of an object, `,` before the others. Names are
/// plain ASCII, and the caller gives them in canonical order.
pub(super) fn write_name(open: u8, name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&[open, b'"']);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Writes a member whose value is a string.
pub(super) fn write_text_member(open: u8, name: &str, text: &str, out: &mut Vec<u8>) {
    write_name(open, name, out);
    write_jcs_string(text, out);
}

/// Writes a whole number.
pub(super) fn write_integer(number: i64, out: &mut Vec<u8>) {
    use std::io::Write as _;
    // INVARIANT: writing to a Vec cannot fail, so the result carries nothing.
    let _ = write!(out, "{number}");
}

/// Writes `true` or `false`.
pub(super) fn write_bool(value: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// What was just written, read back.
pub(super) fn read_back(written: &[u8]) -> Value {
    serde_json::from_slice(written).unwrap_or_default()
}

/// A JSON value whose objects name each key once.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<Value, E> {
        Ok(Value::Number(v.into()))
    }

    fn visit_f64<E: Error>(self, v: f64) -> Result<Value, E> {
        Number::from_f64(v).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        Ok(Value::String(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let Strict(value) = map.next_value()?;
            if object.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} occurs twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_key_is_refused_at_any_depth() {
        assert!(serde_json::from_str::<Strict>(r#"{"a":1,"b":[{"c":1}]}"#).is_ok());
        for text in [r#"{"a":1,"a":1}"#, r#"[{"x":{"a":1,"a":2}}]"#, r#"{"a":1,"\u0061":2}"#] {
            let error = serde_json::from_str::<Strict>(text).unwrap_err();
            assert!(error.to_string().contains("twice"), "{error}");
        }
    }
}
