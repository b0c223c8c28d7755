//! Values as Cedar has them, built by hand: an agent's JSON never meets Cedar's JSON reader, where
//! `{"__entity": …}` would become an entity and `{"__extn": …}` a function call. Here they are keys.
//!
//! A value is converted by its declared [`Shape`] exactly or not at all; what has no exact form is absent and
//! its RFC 6901 path is listed.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::RestrictedExpression;
use serde_json::{Map, Number, Value};

use super::json::{write_bool, write_integer, write_list, write_name, write_text_member};
use super::mention::Mention;
use super::shape::{Fields, Shape};
use crate::record::canonical::{utf16_order, write_jcs_string};

/// The largest integer that every JSON reader agrees on, 2^53 - 1.
pub(super) const EXACT: i64 = 9_007_199_254_740_991;
/// How deep a request's own JSON form may nest: twice what the deepest shape needs.
const DEPTH: usize = 32;

/// A value with its Cedar type. Ordered, so that a set has one form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Typed {
    Text(String),
    Long(i64),
    /// In ten-thousandths, as Cedar keeps decimals.
    Decimal(i64),
    Bool(bool),
    Set(BTreeSet<Self>),
    Record(Record),
}

/// A record's attributes.
pub(super) type Record = BTreeMap<String, Typed>;

impl Typed {
    /// For Cedar. `None` only if Cedar refuses a record's keys, which differ by construction.
    pub(super) fn restricted(&self) -> Option<RestrictedExpression> {
        Some(match self {
            Self::Text(text) => RestrictedExpression::new_string(text.clone()),
            Self::Long(long) => RestrictedExpression::new_long(*long),
            Self::Decimal(scaled) => RestrictedExpression::new_decimal(decimal_text(*scaled)),
            Self::Bool(bool) => RestrictedExpression::new_bool(*bool),
            Self::Set(items) => {
                let items = items.iter().map(Self::restricted).collect::<Option<Vec<_>>>()?;
                RestrictedExpression::new_set(items)
            }
            Self::Record(record) => return restricted_record(record, &Mention::Whole),
        })
    }

    /// Writes the self-describing JSON form: strings, booleans and integers as they are, sets as sorted arrays,
    /// `{"decimal": "1.5000"}`, `{"record": {…}}`.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => write_jcs_string(text, out),
            Self::Long(long) => write_integer(*long, out),
            Self::Decimal(scaled) => {
                write_text_member(b'{', "decimal", &decimal_text(*scaled), out);
                out.push(b'}');
            }
            Self::Bool(bool) => write_bool(*bool, out),
            Self::Set(items) => write_list(items, out, Self::write_json),
            Self::Record(record) => {
                write_name(b'{', "record", out);
                write_record_json(record, out);
                out.push(b'}');
            }
        }
    }

    /// Reads [`Self::write_json`]'s form; `None` for anything else.
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        Self::from_json_at(value, 0)
    }

    fn from_json_at(value: &Value, depth: usize) -> Option<Self> {
        if depth > DEPTH {
            return None;
        }
        let deeper = depth.saturating_add(1);
        Some(match value {
            Value::Null => return None,
            Value::Bool(bool) => Self::Bool(*bool),
            Value::Number(number) => Self::Long(number.as_i64()?),
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(items) => {
                Self::Set(items.iter().map(|item| Self::from_json_at(item, deeper)).collect::<Option<_>>()?)
            }
            Value::Object(object) => {
                let mut pairs = object.iter();
                match (pairs.next()?, pairs.next()) {
                    ((tag, Value::String(text)), None) if tag == "decimal" => Self::Decimal(scaled(text)?),
                    ((tag, Value::Object(attributes)), None) if tag == "record" => Self::Record(
                        attributes
                            .iter()
                            .map(|(name, value)| Some((name.clone(), Self::from_json_at(value, deeper)?)))
                            .collect::<Option<_>>()?,
                    ),
                    _ => return None,
                }
            }
        })
    }
}

/// A record for Cedar, holding only what the rules mention.
pub(super) fn restricted_record(record: &Record, mention: &Mention) -> Option<RestrictedExpression> {
    RestrictedExpression::new_record(restricted_pairs(record, mention)?).ok()
}

/// A record's pairs for Cedar, holding only what the rules mention.
pub(super) fn restricted_pairs(
    record: &Record,
    mention: &Mention,
) -> Option<Vec<(String, RestrictedExpression)>> {
    let mut pairs = Vec::new();
    for (name, value) in record {
        let Some(inner) = mention.of(name) else { continue };
        let value = match value {
            Typed::Record(record) => restricted_record(record, inner)?,
            other => other.restricted()?,
        };
        pairs.push((name.clone(), value));
    }
    Some(pairs)
}

/// Writes a record as a JSON object in canonical form.
pub(super) fn write_record_json(record: &Record, out: &mut Vec<u8>) {
    let mut attributes: Vec<(&String, &Typed)> = record.iter().collect();
    // The map is in byte order already, which is the canonical one as long as names are plain.
    if !record.keys().all(|name| name.is_ascii()) {
        attributes.sort_by(|a, b| utf16_order(a.0, b.0));
    }
    out.push(b'{');
    for (i, (name, value)) in attributes.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_jcs_string(name, out);
        out.push(b':');
        value.write_json(out);
    }
    out.push(b'}');
}

/// A tool's arguments as a record, and the paths of what has no exact form.
pub(super) fn arguments(args: &Map<String, Value>, fields: &Fields) -> (Record, BTreeSet<String>) {
    let mut lost = BTreeSet::new();
    let record = record(args, fields, "", &mut lost);
    (record, lost)
}

fn record(object: &Map<String, Value>, fields: &Fields, path: &str, lost: &mut BTreeSet<String>) -> Record {
    let mut record = Record::new();
    for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let path = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        let branch = fields.branches(name).iter().find(|branch| fits(value, &branch.shape));
        match branch.and_then(|branch| Some((branch, convert(value, &branch.shape, &path, lost)?))) {
            Some((branch, value)) => {
                record.insert(branch.attribute.clone(), value);
            }
            None => {
                lost.insert(path);
            }
        }
    }
    record
}

/// Is this the branch for values of this kind? A number's range and places are looked at later.
const fn fits(value: &Value, shape: &Shape) -> bool {
    matches!(
        (value, shape),
        (Value::String(_), Shape::Text)
            | (Value::Number(_), Shape::Long | Shape::Decimal)
            | (Value::Bool(_), Shape::Bool)
            | (Value::Array(_), Shape::Set(_))
            | (Value::Object(_), Shape::Record(_))
    )
}

/// `None` where the value as a whole has no exact form; parts of a record that have none go to `lost`.
fn convert(value: &Value, shape: &Shape, path: &str, lost: &mut BTreeSet<String>) -> Option<Typed> {
    Some(match (value, shape) {
        (Value::String(text), Shape::Text) => Typed::Text(text.clone()),
        (Value::Bool(bool), Shape::Bool) => Typed::Bool(*bool),
        (Value::Number(number), Shape::Long) => Typed::Long(exact_long(number)?),
        (Value::Number(number), Shape::Decimal) => Typed::Decimal(exact_scaled(number)?),
        (Value::Object(object), Shape::Record(fields)) => Typed::Record(record(object, fields, path, lost)),
        (Value::Array(items), Shape::Set(element)) => {
            // A set of less than the whole would be another set: one element without an exact form loses all.
            let mut inner = BTreeSet::new();
            let set =
                items.iter().map(|item| convert(item, element, path, &mut inner)).collect::<Option<_>>()?;
            if !inner.is_empty() {
                return None;
            }
            Typed::Set(set)
        }
        _ => return None,
    })
}

/// An integer that every JSON reader agrees on; `5.0` is 5, as in RFC 8785.
fn exact_long(number: &Number) -> Option<i64> {
    let long = plain(number)?.parse::<i64>().ok()?;
    (-EXACT..=EXACT).contains(&long).then_some(long)
}

/// The number in plain decimal notation: the shortest digits that read back as the same double, which is the
/// number that RFC 8785 seals. No exponent, no trailing `.0`.
fn plain(number: &Number) -> Option<String> {
    match (number.as_i64(), number.as_u64()) {
        (Some(integer), _) => Some(integer.to_string()),
        (None, Some(integer)) => Some(integer.to_string()),
        // The range of decimals ends far below, and smaller than this only zero has four places.
        (None, None) => {
            number.as_f64().filter(|f| f.abs() < 1e16).map(|f| (if f == 0.0 { 0.0 } else { f }).to_string())
        }
    }
}

/// Ten-thousandths of a number, where that is exact.
pub(super) fn exact_scaled(number: &Number) -> Option<i64> {
    scaled(&plain(number)?)
}

/// Ten-thousandths of a number in plain notation: `None` beyond four places or out of Cedar's range.
pub(super) fn scaled(text: &str) -> Option<i64> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if fraction.len() > 4 || !all_digits(whole) || !all_digits(fraction) {
        return None;
    }
    let scaled = format!("{}{whole}{fraction:0<4}", if negative { "-" } else { "" });
    scaled.parse().ok()
}

/// Ten-thousandths as Cedar writes decimals, always with four places.
pub(super) fn decimal_text(scaled: i64) -> String {
    let sign = if scaled < 0 { "-" } else { "" };
    let magnitude = scaled.unsigned_abs();
    format!("{sign}{}.{:04}", magnitude / 10_000, magnitude % 10_000)
}

#[cfg(test)]
mod tests;
