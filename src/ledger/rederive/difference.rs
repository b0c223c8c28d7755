//! A difference between what is sealed and what was derived, and where it is.

use serde::Serialize;
use serde_json::Value;

/// What is shown of a value.
const SHOWN_CHARS: usize = 200;

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// What lies beside a leaf is not what the leaf commits to.
    Sealed,
    /// A verdict does not follow from the sealed request and policy.
    Verdict,
    /// A fact does not follow from the declared document and what came before.
    Fact,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Sealed => "payload",
            Self::Verdict => "verdict",
            Self::Fact => "facts",
        }
    }
}

/// Something sealed that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What differs.
    pub kind: Kind,
    /// The leaf.
    pub leaf: u64,
    /// What was hit: `payload of leaf 7`, `evaluation of leaf 7`, `policy of leaf 3`, `verdict of leaf 7`, `facts of leaf 7`.
    pub what: String,
    /// The call's id, where it is one call's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// Where in the evaluation (RFC 6901), or the leaf's member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What is sealed there, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
    /// What was derived, shortened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<String>,
    /// For people.
    pub detail: String,
}

impl Difference {
    /// Something that is not what its leaf commits to.
    pub(super) fn changed(leaf: u64, what: String, problem: String) -> Self {
        Self::told(Kind::Sealed, leaf, what, problem)
    }

    /// Something wrong with a decision that is at no one place of its evaluation.
    pub(super) fn of_leaf(kind: Kind, leaf: u64, problem: String) -> Self {
        Self::told(kind, leaf, format!("{} of leaf {leaf}", kind.as_str()), problem)
    }

    fn told(kind: Kind, leaf: u64, what: String, detail: String) -> Self {
        Self { kind, leaf, what, call: None, at: None, sealed: None, derived: None, detail }
    }

    /// Sealed one way, derived another.
    pub(super) fn between(
        kind: Kind,
        leaf: u64,
        at: impl Into<String>,
        sealed: Option<&Value>,
        derived: Option<&Value>,
    ) -> Self {
        let at = at.into();
        let (sealed, derived) = (shown(sealed), shown(derived));
        let detail = format!(
            "{at} is sealed as {}, derived is {}",
            sealed.as_deref().unwrap_or("nothing"),
            derived.as_deref().unwrap_or("nothing")
        );
        Self { at: Some(at), sealed, derived, ..Self::of_leaf(kind, leaf, detail) }
    }

    /// The same, of one call.
    pub(super) fn of_call(self, call: &str) -> Self {
        Self { call: Some(call.to_owned()), ..self }
    }
}

fn shown(value: Option<&Value>) -> Option<String> {
    let text = value?.to_string();
    if text.chars().count() <= SHOWN_CHARS {
        return Some(text);
    }
    Some(text.chars().take(SHOWN_CHARS).chain(['…']).collect())
}

/// The first place, in the order of documents, where two values differ: its path below `at`, and what is there.
pub(super) fn first<'a>(
    at: &str,
    sealed: Option<&'a Value>,
    derived: Option<&'a Value>,
) -> Option<(String, Option<&'a Value>, Option<&'a Value>)> {
    if sealed == derived {
        return None;
    }
    let below = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (sealed, derived) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().find_map(|name| first(&below(name), a.get(name), b.get(name)))
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            (0..a.len().max(b.len())).find_map(|i| first(&below(&i.to_string()), a.get(i), b.get(i)))
        }
        _ => Some((at.to_owned(), sealed, derived)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_place_that_differs_is_named_by_its_path() {
        let sealed = json!({"a": [1, {"x/y": true, "z": 2}], "b": 1});
        assert_eq!(first("/f", Some(&sealed), Some(&sealed.clone())), None);
        for (derived, at) in [
            (json!({"a": [1, {"x/y": false, "z": 3}], "b": 1}), "/f/a/1/x~1y"),
            (json!({"a": [1, {"x/y": true}], "b": 1}), "/f/a/1/z"),
            (json!({"a": [1], "b": 2}), "/f/a/1"),
            (json!({"a": [1, {"x/y": true, "z": 2}], "b": "1"}), "/f/b"),
            (json!({"a": [1, {"x/y": true, "z": 2}], "b": 1, "c": null}), "/f/c"),
            (json!([]), "/f"),
        ] {
            assert_eq!(first("/f", Some(&sealed), Some(&derived)).map(|found| found.0).as_deref(), Some(at));
            assert_eq!(first("/f", Some(&derived), Some(&sealed)).map(|found| found.0).as_deref(), Some(at));
        }
    }

    #[test]
    fn long_values_are_shortened_and_absent_ones_are_none() {
        let long = json!("é".repeat(1_000));
        let found = Difference::between(Kind::Fact, 7, "/x", Some(&long), None);
        assert_eq!(found.sealed.map(|text| text.chars().count()), Some(SHOWN_CHARS + 1));
        assert!(found.derived.is_none() && found.detail.ends_with("derived is nothing"));
    }
}
