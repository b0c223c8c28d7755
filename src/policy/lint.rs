//! What is allowed in a rule and probably not meant.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::ActionConstraint;

use super::argument_path::ArgumentPath;
use super::fault::{Fault, FaultKind, Warning};
use super::named::{self, NamedSignals};
use super::rule::{Deed, Rule};
use super::scope::{self, Reach, Target};
use super::shape::{Fields, Shape};
use super::tools::Tool;
use super::transform::Transform;

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

/// Rules that look for a named signal that the bundle does not declare: they would never find it.
pub(super) fn unknown_signals<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    declared: Option<&NamedSignals>,
) -> Vec<Fault> {
    let Some(declared) = declared else { return Vec::new() };
    let mut faults = Vec::new();
    for rule in rules {
        let Ok(tree) = rule.policy.to_json() else { continue };
        faults.extend(named::names_in(&tree).iter().filter(|name| !declared.has(name)).map(|name| {
            let message = format!("no signal {name:?} is declared");
            let hint = "declare it in signals.json, or correct the name";
            Fault::new(FaultKind::Signals, message, hint).at(rule.place.clone()).of_rule(&rule.id)
        }));
    }
    faults
}

/// What a rule's transforms may not do to the tools that it reaches.
pub(super) fn transform_faults(rule: &Rule, tools: &BTreeMap<String, Tool>) -> Vec<Fault> {
    let Deed::Modify(transforms) = &rule.deed else { return Vec::new() };
    let wrong = |transform: &Transform, why: String, hint: &str| {
        Fault::new(FaultKind::Annotation, format!("@transform({:?}): {why}", transform.text), hint)
            .at(rule.place.clone())
            .of_rule(&rule.id)
    };
    let mut faults = Vec::new();
    for transform in transforms {
        let argument = transform.at.argument();
        let touches = |tool: &Tool| {
            let mut paths = tool.labels.destinations.iter();
            paths.any(|known| {
                ArgumentPath::parse(known.at.as_str()).is_ok_and(|path| path.overlaps(&transform.at))
            })
        };
        let mut known = false;
        for tool in reached(rule, tools).filter(|tool| tool.fields.declares(argument)) {
            known = known || !transform.is_of_destinations() || touches(tool);
            if transform.replaces() && touches(tool) {
                let hint = "a destination may be removed, never replaced: use drop or drop-ungrounded";
                let why = format!("it would replace a destination of {:?}", tool.action_id());
                faults.push(wrong(transform, why, hint));
            }
            if transform.drops_argument() && tool.required.contains(argument) {
                let hint = "deny or hold such calls, or name the tools that can do without it";
                faults.push(wrong(transform, format!("{:?} requires the argument", tool.action_id()), hint));
            }
        }
        if !known {
            let what = if transform.is_of_destinations() { "destination" } else { "argument" };
            let why = format!("no tool that the rule reaches has this {what}");
            faults.push(wrong(transform, why, "look for a typing error, or declare it in tools.json"));
        }
    }
    faults
}

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
