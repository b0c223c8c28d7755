//! Which facts a rule can read, and what it compares them with, from its syntax tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::super::rule::Rule;
use super::super::value::{Typed, scaled};

/// Operators that hold values against each other.
const COMPARISONS: [&str; 14] = [
    "==",
    "!=",
    "<",
    "<=",
    ">",
    ">=",
    "lessThan",
    "lessThanOrEqual",
    "greaterThan",
    "greaterThanOrEqual",
    "contains",
    "containsAll",
    "containsAny",
    "like",
];

/// What a fact is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Of {
    Principal,
    Resource,
    Context,
}

/// A fact: `context.args.amount`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FactPath {
    pub(super) of: Of,
    pub(super) path: Vec<String>,
}

impl FactPath {
    pub(super) fn names(&self) -> Vec<&str> {
        self.path.iter().map(String::as_str).collect()
    }
}

impl fmt::Display for FactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.of {
            Of::Principal => "principal",
            Of::Resource => "resource",
            Of::Context => "context",
        })?;
        self.path.iter().try_for_each(|name| {
            let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if plain { write!(f, ".{name}") } else { write!(f, "[\"{}\"]", name.escape_debug()) }
        })
    }
}

/// The facts that rules read, each with the values that it is compared with.
#[derive(Debug, Clone, Default)]
pub(super) struct Reads(BTreeMap<FactPath, BTreeSet<Typed>>);

impl Reads {
    /// Adds what a rule reads.
    pub(super) fn add(&mut self, rule: &Rule) {
        // A rule that was read has this form; it was made of it then too.
        let Ok(tree) = rule.policy.to_json() else { return };
        let mut waiting = vec![&tree];
        while let Some(node) = waiting.pop() {
            if let Some(path) = fact_path(node) {
                self.0.entry(path).or_default();
                continue;
            }
            match node {
                Value::Array(items) => waiting.extend(items),
                Value::Object(object) => {
                    for (operator, operands) in object {
                        if COMPARISONS.contains(&operator.as_str()) {
                            self.compare(operands);
                        }
                        waiting.push(operands);
                    }
                }
                _ => {}
            }
        }
    }

    /// Facts and values below a comparison are held against each other, in whatever way.
    fn compare(&mut self, operands: &Value) {
        let (mut paths, mut values) = (BTreeSet::new(), BTreeSet::new());
        let mut waiting = vec![operands];
        while let Some(node) = waiting.pop() {
            if let Some(path) = fact_path(node) {
                paths.insert(path);
            } else if let Some(value) = literal(node) {
                values.insert(value);
            } else {
                match node {
                    Value::Array(items) => waiting.extend(items),
                    Value::Object(object) => waiting.extend(object.values()),
                    _ => {}
                }
            }
        }
        for path in paths {
            self.0.entry(path).or_default().extend(values.iter().cloned());
        }
    }

    /// Each fact, but for records of which a rule reads a part.
    pub(super) fn paths(&self) -> impl Iterator<Item = &FactPath> {
        self.0.keys().filter(|path| {
            let is_part = |other: &&FactPath| {
                other.of == path.of
                    && other.path.len() > path.path.len()
                    && other.path.starts_with(&path.path)
            };
            !self.0.keys().any(|other| is_part(&other))
        })
    }

    /// What a fact, or a part of it, is compared with.
    pub(super) fn values(&self, path: &FactPath) -> BTreeSet<&Typed> {
        self.0.get(path).into_iter().flatten().collect()
    }
}

/// The path of `context.a.b`, `principal.a`, or `context.a has b`; `None` for anything else.
fn fact_path(node: &Value) -> Option<FactPath> {
    let mut path = Vec::new();
    let mut node = node;
    let mut outermost = true;
    loop {
        let object = node.as_object().filter(|object| object.len() == 1)?;
        if let Some(var) = object.get("Var").and_then(Value::as_str) {
            let of = match var {
                "principal" => Of::Principal,
                "resource" => Of::Resource,
                "context" => Of::Context,
                _ => return None,
            };
            path.reverse();
            return (!path.is_empty()).then_some(FactPath { of, path });
        }
        // `has` yields a boolean: only as the outermost operator does it continue a path.
        let access = object.get(".").or_else(|| object.get("has").filter(|_| outermost))?;
        match access.get("attr")? {
            Value::Array(several) => {
                let several: Option<Vec<String>> =
                    several.iter().rev().map(|name| name.as_str().map(str::to_owned)).collect();
                path.extend(several?);
            }
            one => path.push(one.as_str()?.to_owned()),
        }
        node = access.get("left")?;
        outermost = false;
    }
}

/// A value that stands in a rule. Of a pattern, a text that fits it.
fn literal(node: &Value) -> Option<Typed> {
    match node {
        Value::Object(object) if object.len() == 1 => {
            let (key, value) = object.iter().next()?;
            match (key.as_str(), value) {
                ("Value", Value::String(text)) => Some(Typed::Text(text.clone())),
                ("Value", Value::Bool(bool)) => Some(Typed::Bool(*bool)),
                ("Value", Value::Number(number)) => number.as_i64().map(Typed::Long),
                ("decimal", Value::Array(of)) => {
                    let text = of.first()?.get("Value")?.as_str()?;
                    scaled(text).map(Typed::Decimal)
                }
                _ => None,
            }
        }
        Value::Array(pattern) if is_pattern(pattern) => {
            let parts = pattern.iter().filter_map(|part| part.get("Literal")?.as_str());
            Some(Typed::Text(parts.collect()))
        }
        _ => None,
    }
}

fn is_pattern(items: &[Value]) -> bool {
    let part = |item: &Value| item.as_str() == Some("Wildcard") || item.get("Literal").is_some();
    !items.is_empty() && items.iter().all(part)
}
