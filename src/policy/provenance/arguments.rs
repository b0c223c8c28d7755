//! The values that stand at a place of a call's arguments, and the one at a place of an output.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde_json::Value;

use super::kind::ValueType;
use super::pattern::Found;
use super::{Format, dump};

/// The largest whole number that a double holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// Calls `each` with every value at a place, until it breaks: a text, or `None` for what is there and has no typed form.
/// Arrays are flattened; null, and an empty text, is no value.
pub(super) fn values(
    found: Found<'_>,
    kind: ValueType,
    each: &mut dyn FnMut(Option<&str>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let value = match found {
        Found::Name(name) => return each(Some(name)),
        Found::Value(value) => value,
    };
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => in_text(text, kind, each)?,
            Value::Number(_) => each(whole(value).as_deref())?,
            Value::Array(items) => open.extend(items.iter().rev()),
            Value::Bool(_) | Value::Object(_) => each(None)?,
        }
    }
    ControlFlow::Continue(())
}

/// One text may hold several values: agents write lists as texts.
fn in_text(
    text: &str,
    kind: ValueType,
    each: &mut dyn FnMut(Option<&str>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let trimmed = text.trim();
    if kind.comes_in_lists() && trimmed.starts_with('[') && trimmed.ends_with(']') {
        let list = dump::read(Format::Json, trimmed).or_else(|| dump::read(Format::Python, trimmed));
        let Some(Value::Array(items)) = list else { return each(None) };
        for item in &items {
            match item {
                Value::String(text) => each(Some(text))?,
                Value::Number(number) if !number.is_f64() => each(Some(&number.to_string()))?,
                _ => each(None)?,
            }
        }
        return ControlFlow::Continue(());
    }
    if kind.comes_between_commas() && trimmed.contains([',', ';', '\n']) {
        for part in trimmed.split([',', ';', '\n']).map(str::trim).filter(|part| !part.is_empty()) {
            each(Some(part))?;
        }
        return ControlFlow::Continue(());
    }
    each(Some(text))
}

/// The one value at a place of an output: a text, or a whole number in digits. A list is none: its items have places.
pub(super) fn scalar(found: Found<'_>) -> Option<Cow<'_, str>> {
    match found {
        Found::Name(name) => Some(Cow::Borrowed(name)),
        Found::Value(Value::String(text)) => Some(Cow::Borrowed(text)),
        Found::Value(value) => whole(value).map(Cow::Owned),
    }
}

/// A whole number in digits.
fn whole(value: &Value) -> Option<String> {
    let number = value.as_number()?;
    if number.is_i64() || number.is_u64() {
        return Some(number.to_string());
    }
    let number = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < EXACT)?;
    // Zero has no sign.
    Some(format!("{:.0}", number + 0.0))
}
