//! Which attributes of `context` a rule can look at, read from the rule's syntax tree.
//!
//! Contexts are built holding only what the rules of a slice mention. That changes no answer: a path that is
//! mentioned is held whole, and what is not mentioned cannot be read. Whatever this file does not understand
//! counts as mentioning everything.

use std::collections::BTreeMap;

use serde_json::Value;

/// A tree of mentioned attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mention {
    /// Everything from here on.
    Whole,
    /// These attributes and no other.
    Parts(BTreeMap<String, Self>),
}

impl Mention {
    pub(super) const NOTHING: Self = Self::Parts(BTreeMap::new());

    /// What is mentioned inside an attribute; `None` where the attribute is not mentioned at all.
    pub(super) fn of(&self, attribute: &str) -> Option<&Self> {
        match self {
            Self::Whole => Some(&Self::Whole),
            Self::Parts(parts) => parts.get(attribute),
        }
    }

    /// Adds a path, whole.
    fn add(&mut self, path: &[&str]) {
        match (self, path) {
            (Self::Whole, _) => {}
            (this, []) => *this = Self::Whole,
            (Self::Parts(parts), [first, rest @ ..]) => {
                parts.entry((*first).to_owned()).or_insert(Self::NOTHING).add(rest);
            }
        }
    }

    /// Adds all of another tree.
    pub(super) fn unite(&mut self, other: &Self) {
        match (self, other) {
            (Self::Whole, _) => {}
            (this, Self::Whole) => *this = Self::Whole,
            (Self::Parts(mine), Self::Parts(others)) => {
                for (name, inner) in others {
                    mine.entry(name.clone()).or_insert(Self::NOTHING).unite(inner);
                }
            }
        }
    }
}

/// What a rule's syntax tree, in Cedar's JSON policy format, says about `context` and strings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Survey {
    /// The attributes of `context` that the rule can read.
    pub(super) mention: Mention,
    /// The paths below `context` that a `like` looks at.
    pub(super) likes: Vec<Vec<String>>,
    /// The paths below `context` that the rule reads or asks for.
    pub(super) paths: Vec<Vec<String>>,
}

/// Surveys a rule. The walk keeps its own stack: a rule nests as deep as its author likes.
pub(super) fn survey(tree: &Value) -> Survey {
    let mut survey = Survey { mention: Mention::NOTHING, likes: Vec::new(), paths: Vec::new() };
    let mut waiting = vec![tree];
    while let Some(node) = waiting.pop() {
        if let Some(path) = context_path(node) {
            survey.mention.add(&path);
            survey.paths.push(path.into_iter().map(str::to_owned).collect());
            continue;
        }
        match node {
            Value::Array(items) => waiting.extend(items),
            Value::Object(object) => {
                if let Some(path) =
                    object.get("like").and_then(|like| like.get("left")).and_then(context_path)
                {
                    survey.likes.push(path.into_iter().map(str::to_owned).collect());
                }
                waiting.extend(object.values());
            }
            _ => {}
        }
    }
    survey.likes.sort();
    survey.likes.dedup();
    survey.paths.sort();
    survey.paths.dedup();
    survey
}

/// The path of `context.a.b` or `context.a has b`; empty for `context` itself, `None` for anything else.
fn context_path(node: &Value) -> Option<Vec<&str>> {
    let mut path = Vec::new();
    let mut node = node;
    let mut outermost = true;
    loop {
        let object = node.as_object().filter(|object| object.len() == 1)?;
        if object.get("Var").and_then(Value::as_str) == Some("context") {
            path.reverse();
            return Some(path);
        }
        // `has` yields a boolean: only as the outermost operator does it continue a path.
        let access = object.get(".").or_else(|| object.get("has").filter(|_| outermost))?;
        match access.get("attr")? {
            // `context has a.b.c`
            Value::Array(several) => {
                let several: Option<Vec<&str>> = several.iter().rev().map(Value::as_str).collect();
                path.extend(several?);
            }
            one => path.push(one.as_str()?),
        }
        node = access.get("left")?;
        outermost = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(condition: &str) -> Survey {
        let rule = format!("permit (principal, action, resource) when {{ {condition} }};");
        survey(&cedar_policy::Policy::parse(None, rule).unwrap().to_json().unwrap())
    }

    #[test]
    fn paths_are_held_whole_and_bare_context_means_everything() {
        assert_eq!(of("true").paths, Vec::<Vec<String>>::new());
        assert_eq!(
            of("context.args has a && context.args.a.b == 1").paths,
            [vec!["args", "a"], vec!["args", "a", "b"]]
        );
        assert_eq!(of("context has args.a.b").mention, {
            let mut mention = Mention::NOTHING;
            mention.add(&["args", "a", "b"]);
            mention
        });
        assert_eq!(of("context == {a: 1}").mention, Mention::Whole);
        assert_eq!(of("(if true then context else {a: 1}).a == 1").mention, Mention::Whole);
        assert_eq!(of("[context.x].contains(1)").paths, [["x"]]);
        assert_eq!(of("(context has x) == true").paths, [["x"]]);
        assert_eq!(of("context[\"odd name\"].y == 1").paths, [["odd name", "y"]]);
        assert_eq!(of("context.args.query like \"*x*\"").likes, [["args", "query"]]);
    }
}
