//! Cedar expressions as data: Cedar's own JSON policy format, in which rules are read, joined and rewritten. Nothing is
//! ever pasted into Cedar text.

use serde_json::{Map, Value, json};

/// `principal`, `action`, `resource`, `context`.
pub(super) fn var(name: &str) -> Value {
    json!({"Var": name})
}

/// A literal.
pub(super) fn literal(value: impl Into<Value>) -> Value {
    json!({"Value": value.into()})
}

/// An operator with its operands by name.
pub(super) fn applied<const N: usize>(operator: &str, operands: [(&str, Value); N]) -> Value {
    let operands = operands.into_iter().map(|(name, operand)| (name.to_owned(), operand));
    Value::Object(Map::from_iter([(operator.to_owned(), Value::Object(operands.collect()))]))
}

/// An operator between two operands.
pub(super) fn binary(operator: &str, left: Value, right: Value) -> Value {
    applied(operator, [("left", left), ("right", right)])
}

/// `left == right`.
pub(super) fn equal(left: Value, right: Value) -> Value {
    binary("==", left, right)
}

/// `left in right`.
pub(super) fn within(left: Value, right: Value) -> Value {
    binary("in", left, right)
}

/// `!arg`.
pub(super) fn not(arg: Value) -> Value {
    applied("!", [("arg", arg)])
}

/// All of them; `true` where there is none.
pub(super) fn all(parts: impl IntoIterator<Item = Value>) -> Value {
    parts.into_iter().reduce(|left, right| binary("&&", left, right)).unwrap_or_else(|| literal(true))
}

/// What a rule demands beside its effect: its scope and its conditions, as one expression.
pub(super) fn demands(rule: &Value) -> Option<Value> {
    let scopes = ["principal", "action", "resource"].map(|variable| scope(variable, rule.get(variable)?));
    let conditions = rule.get("conditions")?.as_array()?.iter().map(|condition| {
        let body = condition.get("body")?.clone();
        match condition.get("kind")?.as_str()? {
            "when" => Some(body),
            "unless" => Some(not(body)),
            _ => None,
        }
    });
    let parts: Vec<Value> = scopes.into_iter().chain(conditions).collect::<Option<_>>()?;
    Some(all(parts))
}

fn scope(variable: &str, constraint: &Value) -> Option<Value> {
    let named = |uid: &Value| Some(json!({"Value": {"__entity": uid.get("__entity").unwrap_or(uid)}}));
    let of_type =
        || Some(json!({"is": {"left": var(variable), "entity_type": constraint.get("entity_type")?}}));
    match constraint.get("op")?.as_str()? {
        "All" => Some(literal(true)),
        "==" => Some(equal(var(variable), named(constraint.get("entity")?)?)),
        "in" => {
            let groups = match (constraint.get("entity"), constraint.get("entities")) {
                (Some(one), _) => named(one)?,
                (None, several) => {
                    let several = several?.as_array()?.iter().map(named);
                    json!({"Set": several.collect::<Option<Vec<_>>>()?})
                }
            };
            Some(within(var(variable), groups))
        }
        "is" => match constraint.get("in") {
            None => of_type(),
            Some(inner) => {
                let inner = named(inner.get("entity")?)?;
                Some(all([of_type()?, within(var(variable), inner)]))
            }
        },
        _ => None,
    }
}

/// The rule with these demanded as well, before what it demands itself.
pub(super) fn guarded(rule: &Value, guards: &[Value]) -> Value {
    let mut rule = rule.clone();
    if let Some(Value::Array(conditions)) = rule.get_mut("conditions") {
        let guards = guards.iter().map(|guard| json!({"kind": "when", "body": guard}));
        conditions.splice(0..0, guards);
    }
    rule
}

#[cfg(test)]
mod tests {
    use cedar_policy::{Policy, PolicyId};

    use super::*;

    fn json(rule: &str) -> Value {
        Policy::parse(None, rule).unwrap().to_json().unwrap()
    }

    /// What a rule demands is what a rule without scope says in its condition: read back by Cedar, printed alike.
    #[test]
    fn demands_are_scope_and_conditions() {
        for (rule, said) in [
            ("forbid (principal, action, resource);", "true && true && true"),
            (
                "forbid (principal == Agent::\"a\", action in Action::\"x\", resource is Tool) when { context.b } unless { context.c };",
                "principal == Agent::\"a\" && action in Action::\"x\" && resource is Tool && context.b && !context.c",
            ),
            (
                "permit (principal, action in [Action::\"x\", Action::\"y\"], resource == Tool::\"s/t\");",
                "true && action in [Action::\"x\", Action::\"y\"] && resource == Tool::\"s/t\"",
            ),
            (
                "permit (principal is Agent in Agent::\"a\", action == Action::\"x\", resource);",
                "principal is Agent && principal in Agent::\"a\" && action == Action::\"x\" && true",
            ),
        ] {
            let plain = json(&format!("permit (principal, action, resource) when {{ {said} }};"));
            let expected = plain.pointer("/conditions/0/body").unwrap();
            let made =
                guarded(&json("permit (principal, action, resource);"), &[demands(&json(rule)).unwrap()]);
            let read = Policy::from_json(Some(PolicyId::new("p")), made.clone()).unwrap();
            let again = read.to_json().unwrap();
            let printed = |value: &Value| {
                let rule = json!({"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"},
                                  "resource": {"op": "All"}, "conditions": [{"kind": "when", "body": value}]});
                Policy::from_json(None, rule).unwrap().to_cedar().unwrap().replace(['(', ')'], "")
            };
            assert_eq!(printed(again.pointer("/conditions/0/body").unwrap()), printed(expected), "{rule}");
        }
    }
}
