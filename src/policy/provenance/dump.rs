//! Structured output that came as text: JSON, YAML, a Python literal. Read strictly or not at all, because a text that
//! two readers take apart differently is no record.

use serde_json::Value;

use super::{Format, python, yaml};
use crate::record::json;
use crate::record::limits::FIELDS_MAX;

/// Bytes of a text that is read.
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
        Format::Yaml => yaml::read(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_depth_overflows() {
        for open in ["[", "{a: ", "- ", "(", "{'a': "] {
            let text = open.repeat(100_000);
            assert!(read(Format::Yaml, &text).is_none() && read(Format::Python, &text).is_none());
            assert!(read(Format::Json, &text).is_none());
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
