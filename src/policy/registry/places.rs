//! The texts among a tool's arguments, and what their names and formats make of them.

use serde_json::Value;

use crate::policy::finding::member;

/// Levels of a schema that are looked at.
const DEPTH: usize = 4;

/// An argument, or a part of one, that is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Text {
    /// As labels name it: `/to`, `/cc/*`.
    pub(super) at: String,
    /// The name of the argument or member that it is.
    pub(super) name: String,
    /// JSON Schema's `format`.
    pub(super) format: Option<String>,
}

/// The texts that a schema's properties may be, in order of their paths.
pub(super) fn texts(schema: &Value) -> Vec<Text> {
    let mut found = Vec::new();
    let mut open = vec![(schema, String::new(), String::new(), 0_usize)];
    while let Some((schema, at, name, depth)) = open.pop() {
        if is(schema, "string") && !at.is_empty() {
            let format = schema.get("format").and_then(Value::as_str).map(str::to_owned);
            found.push(Text { at: at.clone(), name: name.clone(), format });
        }
        if depth >= DEPTH {
            continue;
        }
        for choices in ["anyOf", "oneOf", "allOf"] {
            let choices = schema.get(choices).and_then(Value::as_array).into_iter().flatten();
            open.extend(choices.map(|choice| (choice, at.clone(), name.clone(), depth.saturating_add(1))));
        }
        if let Some(items) = schema.get("items").filter(|items| items.is_object() && !at.is_empty()) {
            open.push((items, format!("{at}/*"), name.clone(), depth.saturating_add(1)));
        }
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            open.push((inner, member(&at, name), name.clone(), depth.saturating_add(1)));
        }
    }
    found.sort_by(|a, b| a.at.cmp(&b.at));
    found.dedup_by(|a, b| a.at == b.at);
    found
}

/// May a value of this schema be of this type?
fn is(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    }
}

/// The parts of a name: `sendTo_user-id` is send, to, user, id.
pub(in crate::policy) fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() {
            parts.push(String::new());
        } else {
            if c.is_uppercase() && before_lower {
                parts.push(String::new());
            }
            if let Some(part) = parts.last_mut() {
                part.extend(c.to_lowercase());
            }
        }
        before_lower = c.is_lowercase() || c.is_numeric();
    }
    parts.retain(|part| !part.is_empty());
    parts
}

impl Text {
    /// The type of destination that its format or name suggests.
    pub(super) fn suggests(&self) -> Option<&'static str> {
        let by_format = self.format.as_deref().and_then(|format| match format {
            "email" | "idn-email" => Some("email"),
            "uri" | "url" | "iri" | "uri-reference" => Some("url"),
            "hostname" | "idn-hostname" | "ipv4" | "ipv6" => Some("host"),
            _ => None,
        });
        by_format.or_else(|| parts(&self.name).iter().find_map(|part| of_part(part)))
    }

    /// The language that its name says it is written in.
    pub(super) fn language(&self) -> Option<&'static str> {
        parts(&self.name).iter().find_map(|part| match part.as_str() {
            "sql" => Some("sql"),
            "command" | "cmd" | "shell" | "bash" | "script" => Some("shell"),
            _ => None,
        })
    }
}

/// What a word in an argument's name says about where the argument leads.
fn of_part(part: &str) -> Option<&'static str> {
    Some(match part {
        "to" | "cc" | "bcc" | "recipient" | "recipients" | "email" | "emails" | "mail" | "participants"
        | "attendees" | "invitees" => "email",
        "iban" => "iban",
        "account" | "beneficiary" | "payee" => "account",
        "url" | "uri" | "link" | "webhook" | "callback" | "endpoint" | "href" => "url",
        "host" | "hostname" | "domain" | "server" | "ip" => "host",
        "path" | "file" | "filename" | "filepath" | "directory" | "dir" | "folder" => "path",
        "channel" | "room" => "channel",
        "user" | "username" | "handle" | "assignee" | "member" => "handle",
        "phone" | "mobile" | "msisdn" => "phone",
        "destination" | "target" => "text",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_found_below_lists_objects_and_choices() {
        let schema = json!({"type": "object", "properties": {
            "to": {"type": "array", "items": {"type": "string", "format": "email"}},
            "amount": {"type": "number"},
            "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "target": {"type": "object", "properties": {"webhookUrl": {"type": ["string", "null"]}}}}});
        let found: Vec<(String, Option<&str>)> =
            texts(&schema).into_iter().map(|text| (text.at.clone(), text.suggests())).collect();
        assert_eq!(
            found,
            [
                ("/note".to_owned(), None),
                ("/target/webhookUrl".to_owned(), Some("url")),
                ("/to/*".to_owned(), Some("email"))
            ]
        );
        assert_eq!(parts("sendTo_user-id"), ["send", "to", "user", "id"]);
        assert_eq!(parts("HTTPHost2x"), ["httphost2x"]);
        assert!(parts("__").is_empty());
    }
}
