//! JSON Schemas on the page: one row for each member, inner members behind the path that leads to them.

use serde_json::{Map, Value};

use super::page::{escaped, marked, put, text};

/// Deeper members are left to `openapi.json`; arbitrary JSON has no end.
const DEPTH_MAX: usize = 4;

/// A longer pattern says less than the words beside it; `openapi.json` has it.
const PATTERN_MAX_CHARS: usize = 30;

/// A table of the members of a schema; nothing where it has none.
pub(super) fn members_of(page: &mut String, document: &Value, schema: Option<&Value>) {
    let mut rows = String::new();
    if let Some(schema) = schema {
        rows_of(&mut rows, document, schema, "", DEPTH_MAX);
    }
    if !rows.is_empty() {
        put(
            page,
            format_args!(
                "<div class=\"wide\"><table>\n<tr><th>Member</th><th>What</th></tr>\n{rows}</table></div>\n"
            ),
        );
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let target = text(schema, "/$ref").strip_prefix('#').and_then(|pointer| document.pointer(pointer));
    target.unwrap_or(schema)
}

fn rows_of(rows: &mut String, document: &Value, schema: &Value, prefix: &str, depth: usize) {
    let schema = resolved(document, schema);
    let required = schema.get("required").and_then(Value::as_array);
    let members = schema.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter);
    for (name, member) in members {
        let whole = resolved(document, member);
        let optional = if required.is_some_and(|r| r.iter().any(|r| r == name)) { "" } else { "optional, " };
        let about = Some(text(member, "/description")).filter(|about| !about.is_empty());
        let about = about.unwrap_or_else(|| text(whole, "/description"));
        put(
            rows,
            format_args!(
                "<tr><td><code>{prefix}{}</code></td><td>{} <span class=\"type\">{optional}{}</span></td></tr>\n",
                escaped(name),
                marked(about),
                kind(whole)
            ),
        );
        if depth > 0 {
            rows_of(rows, document, whole, &format!("{prefix}{}.", escaped(name)), depth - 1);
            if let Some(items) = whole.get("items") {
                rows_of(rows, document, items, &format!("{prefix}{}[].", escaped(name)), depth - 1);
            }
        }
    }
}

/// Type and limits in a few words, escaped.
pub(super) fn kind(schema: &Value) -> String {
    let mut words = Vec::new();
    match schema.get("type") {
        Some(Value::String(name)) => words.push(escaped(name)),
        Some(Value::Array(names)) => {
            words.push(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "));
        }
        _ => {}
    }
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        let choices = choices.iter().map(|c| c.as_str().map_or_else(|| c.to_string(), str::to_owned));
        words.push(escaped(&choices.collect::<Vec<_>>().join(" | ")));
    }
    if let Some(value) = schema.get("const") {
        words.push(format!("always {}", escaped(&value.to_string())));
    }
    for (least, most, of_what) in [
        ("minItems", "maxItems", " items"),
        ("minLength", "maxLength", " characters"),
        ("minimum", "maximum", ""),
    ] {
        match (schema.get(least), schema.get(most)) {
            (Some(least), Some(most)) if least == most => words.push(format!("{least}{of_what}")),
            (Some(least), Some(most)) => words.push(format!("{least} to {most}{of_what}")),
            (Some(least), None) => words.push(format!("at least {least}{of_what}")),
            (None, Some(most)) => words.push(format!("up to {most}{of_what}")),
            (None, None) => {}
        }
    }
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if let Some(pattern) = pattern.filter(|pattern| pattern.len() <= PATTERN_MAX_CHARS) {
        words.push(format!("<code class=\"pattern\">{}</code>", escaped(pattern)));
    }
    words.join(", ")
}
