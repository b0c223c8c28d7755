//! More expressions, for what only proofs say, and what rules say looked through and rewritten.

use serde_json::{Map, Value, json};

use crate::policy::expression::{applied, binary, literal, var};

/// `Type::"id"`.
pub(super) fn entity(of_type: &str, id: &str) -> Value {
    json!({"Value": {"__entity": {"type": of_type, "id": id}}})
}

/// `base.a.b`.
pub(super) fn path(base: &str, attributes: &[&str]) -> Value {
    attributes.iter().fold(var(base), |left, attribute| json!({".": {"left": left, "attr": attribute}}))
}

/// `base.a has b`, for the path `["a", "b"]`.
pub(super) fn has(base: &str, attributes: &[&str]) -> Value {
    match attributes.split_last() {
        Some((last, parents)) => json!({"has": {"left": path(base, parents), "attr": last}}),
        None => literal(true),
    }
}

/// `left >= right`.
pub(super) fn at_least(left: Value, right: Value) -> Value {
    binary(">=", left, right)
}

/// `left <= right`.
pub(super) fn at_most(left: Value, right: Value) -> Value {
    binary("<=", left, right)
}

/// `left || right`.
pub(super) fn or(left: Value, right: Value) -> Value {
    binary("||", left, right)
}

/// `if condition then then else true`.
pub(super) fn if_then(condition: Value, then: Value) -> Value {
    applied("if-then-else", [("if", condition), ("then", then), ("else", literal(true))])
}

/// `arg.isEmpty()`.
pub(super) fn is_empty(arg: Value) -> Value {
    applied("isEmpty", [("arg", arg)])
}

/// `[items].contains(member)`.
pub(super) fn one_of(items: Vec<Value>, member: Value) -> Value {
    let set = Value::Object(Map::from_iter([("Set".to_owned(), Value::Array(items))]));
    binary("contains", set, member)
}

/// The ids of the entities of a type that an expression or a rule names.
pub(super) fn mentions<'a>(tree: &'a Value, of_type: &str, see: &mut impl FnMut(&'a str)) {
    let mut waiting = vec![tree];
    while let Some(node) = waiting.pop() {
        match node {
            Value::Array(items) => waiting.extend(items),
            Value::Object(object) => {
                let is = object.get("type").and_then(Value::as_str) == Some(of_type);
                if let Some(id) = object.get("id").and_then(Value::as_str).filter(|_| is && object.len() == 2)
                {
                    see(id);
                }
                waiting.extend(object.values());
            }
            _ => {}
        }
    }
}

/// Renames entities of a type.
pub(super) fn rename(tree: &mut Value, of_type: &str, to: &impl Fn(&str) -> Option<String>) {
    match tree {
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, of_type, to)),
        Value::Object(object) => {
            let is = object.len() == 2 && object.get("type").and_then(Value::as_str) == Some(of_type);
            if let Some(Value::String(id)) = object.get_mut("id").filter(|_| is) {
                if let Some(other) = to(id) {
                    *id = other;
                }
                return;
            }
            object.values_mut().for_each(|inner| rename(inner, of_type, to));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use cedar_policy::Policy;

    use super::*;

    #[test]
    fn entities_are_renamed_and_records_that_look_like_them_are_not() {
        let mut rule = Policy::parse(None,
            "permit (principal, action in Action::\"x\", resource) when { action in [Action::\"x\", Action::\"z\"] && {type: \"Action\", id: \"x\"} == context.r };",
        ).unwrap().to_json().unwrap();
        rename(&mut rule, "Action", &|id| (id == "x").then(|| "old x".to_owned()));
        let text = Policy::from_json(None, rule).unwrap().to_cedar().unwrap();
        assert_eq!(text.matches("old x").count(), 2, "{text}");
        assert!(text.contains("\"x\"") && text.contains("Action::\"z\""), "{text}");
    }
}
