//! Structured output that came as text.

use serde_json::Value;

use super::Format;
use crate::record::json;

/// The value that a text of this form is; `None` where it is not exactly that.
pub(super) fn read(format: Format, text: &str) -> Option<Value> {
    match format {
        Format::Json => json::parse(text.as_bytes()).ok(),
        Format::Text => Some(Value::String(text.trim().to_owned())),
        Format::Python | Format::Yaml => None,
    }
}
