//! What is allowed in a rule and probably not meant.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ActionConstraint;

use super::fault::Warning;
use super::rule::{Deed, Rule};
use super::scope::{self, Reach, Target};
use super::shape::{Fields, Shape};
use super::tools::Tool;

/// Parts of argument names whose values have a grammar that `like` does not know.
const PARTS: [&str; 14] = [
    "address",
    "cmd",
    "command",
    "domain",
    "email",
    "endpoint",
    "host",
    "path",
    "query",
    "recipient",
    "script",
    "shell",
    "sql",
    "url",
];
/// Whole argument names of that kind.
const WHOLE: [&str; 7] = ["bcc", "cc", "from", "iban", "to", "uri", "where"];

/// Looks at one rule.
pub(super) fn look(rule: &Rule, tools: &BTreeMap<String, Tool>) -> Vec<Warning> {
    let mut messages = Vec::new();
    if rule.deed == Deed::Permit && rule.policy.action_constraint() == ActionConstraint::Any {
        messages.push(
            "permits every action, tools that are not registered included: write `action in Action::\"call\"`"
                .to_owned(),
        );
    }
    for path in &rule.survey.likes {
        let name = path.last().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        if WHOLE.contains(&name.as_str()) || PARTS.iter().any(|part| name.contains(part)) {
            messages.push(format!(
                "`like` on {} is guessing: quoting, case and encodings of such a text hide from a pattern",
                path.join(".")
            ));
        }
    }
    for path in &rule.survey.paths {
        let Some((first, inside)) = path.split_first() else { continue };
        if first == "args"
            && !inside.is_empty()
            && !reached(rule, tools).any(|tool| has(&tool.fields, inside))
        {
            messages.push(format!(
                "no tool that the rule reaches has {}: look for a typing error",
                path.join(".")
            ));
        }
    }
    messages
        .into_iter()
        .map(|message| Warning { place: rule.place.clone(), rule: rule.id.clone(), message })
        .collect()
}

fn reached<'a>(rule: &'a Rule, tools: &'a BTreeMap<String, Tool>) -> impl Iterator<Item = &'a Tool> {
    tools.iter().filter_map(|(id, tool)| {
        let groups: BTreeSet<&str> = tool.groups.iter().map(String::as_str).collect();
        let target = Target { action: id, groups: &groups, tool: Some(id) };
        (scope::reach(&rule.policy, target) != Reach::Never).then_some(tool)
    })
}

fn has(fields: &Fields, path: &[String]) -> bool {
    let Some((first, rest)) = path.split_first() else { return true };
    match fields.shape(first) {
        None => false,
        Some(Shape::Record(inner)) => has(inner, rest),
        Some(_) => rest.is_empty(),
    }
}
