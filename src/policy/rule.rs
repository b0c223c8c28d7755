//! Rules: Cedar text, read with positions, its annotations checked.

use std::collections::BTreeMap;
use std::str::FromStr;

use cedar_policy::ffi::DetailedError;
use cedar_policy::{Policy, PolicyId, PolicySet};
use serde_json::Value;

use super::annotation::Annotations;
use super::fault::{Fault, FaultKind, Place};
use super::mention::{Survey, survey};
use super::transform::Transform;

/// The engine's own codes, which no rule may take as its id.
pub(super) const NO_POLICY: &str = "no_policy";
pub(super) const NO_PERMIT: &str = "no_permit";
pub(super) const POLICY_ERROR: &str = "policy_error";
pub(super) const REQUEST_INVALID: &str = "request_invalid";
pub(super) const STOPPED: &str = "after_stopped";
pub(super) const TRANSFORM_FAILED: &str = "transform_failed";
const RESERVED: [&str; 6] = [NO_POLICY, NO_PERMIT, POLICY_ERROR, REQUEST_INVALID, STOPPED, TRANSFORM_FAILED];

/// Operators and brackets of one rule, and brackets inside brackets, before it is parsed: they bound the stack
/// that Cedar's recursive parser needs.
const OPERATORS: usize = 1_000;
const BRACKETS: usize = 64;
/// Levels of a rule's syntax tree. Cedar evaluates recursively and fails where the stack runs short; a rule
/// must not fail on one machine and hold on another.
pub(super) const LEVELS: usize = 64;

/// What a matching rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    Permit,
    Deny,
    /// Asked again within this many seconds, it may.
    Defer {
        expires_s: Option<u64>,
    },
    Hold(Box<Hold>),
    Modify(Vec<Transform>),
}

/// What a hold waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) approver: Option<String>,
    pub(super) expires_s: Option<u64>,
    pub(super) human: Option<String>,
    pub(super) quorum: Option<u32>,
    pub(super) step_up: Option<String>,
    pub(super) ticket: Option<String>,
}

/// A rule, ready to be validated.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) deed: Deed,
    pub(super) reason: Option<String>,
    pub(super) policy: Policy,
    pub(super) place: Place,
    pub(super) survey: Survey,
}

/// Reads a file of rules into `rules`, which keeps ids unique over the whole bundle.
pub(super) fn read(file: &str, text: &str, rules: &mut BTreeMap<String, Rule>, faults: &mut Vec<Fault>) {
    if let Some(offset) = overgrown(text) {
        let message =
            format!("a rule with more than {OPERATORS} operators, or brackets more than {BRACKETS} deep");
        let hint = "split the rule: several forbids, or several permits, say the same as one with ||";
        faults.push(Fault::new(FaultKind::Limit, message, hint).at(Place::offset(file, text, offset)));
        return;
    }
    let set = match PolicySet::from_str(text) {
        Ok(set) => set,
        Err(errors) => {
            faults.extend(errors.iter().map(|error| {
                let error = DetailedError::from(error);
                let hint = error
                    .help
                    .clone()
                    .unwrap_or_else(|| "correct the Cedar text at this position".to_owned());
                Fault::new(FaultKind::Syntax, error.message.clone(), hint).at(place_of(file, text, &error))
            }));
            return;
        }
    };
    if let Some(template) = set.templates().next() {
        let at = template.to_cedar();
        let place = Place::offset(file, text, text.find(at.as_str()).unwrap_or_default());
        let hint = "name the principal and the resource: templates are not supported";
        faults.push(Fault::new(FaultKind::Template, "a template with a slot", hint).at(place));
        return;
    }
    // Cedar numbers the rules of a text in their order; each keeps its own text, which gives its position.
    let mut policies: Vec<&Policy> = set.policies().collect();
    policies.sort_by_key(|policy| {
        let id: &str = policy.id().as_ref();
        id.strip_prefix("policy").and_then(|number| number.parse::<usize>().ok())
    });
    let mut from = 0_usize;
    for policy in policies {
        let own = policy.to_cedar().unwrap_or_default();
        let start = text
            .get(from..)
            .and_then(|rest| rest.find(own.as_str()))
            .map_or(from, |at| at.saturating_add(from));
        from = start.saturating_add(own.len());
        let place = Place::offset(file, text, start);
        match rule(policy, &place) {
            Ok(rule) => match rules.get(&rule.id) {
                None => {
                    rules.insert(rule.id.clone(), rule);
                }
                Some(first) => faults.push(
                    Fault::new(
                        FaultKind::Id,
                        format!("the id is taken by the rule at {}", first.place),
                        "give each rule its own @id, over all files",
                    )
                    .at(place)
                    .of_rule(&rule.id),
                ),
            },
            Err(fault) => faults.push(fault.at(place)),
        }
    }
}

/// The position that one of Cedar's errors speaks of.
pub(super) fn place_of(file: &str, text: &str, error: &DetailedError) -> Place {
    match error.source_locations.first() {
        Some(label) => Place::offset(file, text, label.loc.start),
        None => Place::file(file),
    }
}

/// Where a rule exceeds what a rule may have; strings and comments do not count.
pub(super) fn overgrown(text: &str) -> Option<usize> {
    let (mut operators, mut open, mut start) = (0_usize, 0_usize, 0_usize);
    let mut previous = ' ';
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                while let Some((_, inner)) = chars.next() {
                    match inner {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if chars.peek().is_some_and(|(_, next)| *next == '/') => {
                while chars.next_if(|(_, inner)| *inner != '\n').is_some() {}
            }
            ';' => (operators, open, start) = (0, 0, at.saturating_add(1)),
            '(' | '[' | '{' => (operators, open) = (operators.saturating_add(1), open.saturating_add(1)),
            ')' | ']' | '}' => open = open.saturating_sub(1),
            // The last letter of `if`: a chain of conditionals nests as deep as it is long.
            'f' if previous == 'i' => operators = operators.saturating_add(1),
            '.' | '!' | '-' | '+' | '*' | '<' | '>' | '=' | '&' | '|' => {
                operators = operators.saturating_add(1);
            }
            _ => {}
        }
        if operators > OPERATORS || open > BRACKETS {
            return Some(start);
        }
        previous = c;
    }
    None
}

/// Levels of a syntax tree in Cedar's JSON format, where each expression is two levels of JSON.
pub(super) fn levels(tree: &Value) -> usize {
    let mut deepest = 0;
    let mut waiting = vec![(tree, 0_usize)];
    while let Some((node, depth)) = waiting.pop() {
        deepest = deepest.max(depth);
        let deeper = depth.saturating_add(1);
        match node {
            Value::Array(items) => waiting.extend(items.iter().map(|item| (item, deeper))),
            Value::Object(object) => waiting.extend(object.values().map(|value| (value, deeper))),
            _ => {}
        }
    }
    deepest / 2
}

/// Checks one rule's annotations.
fn rule(policy: &Policy, place: &Place) -> Result<Rule, Fault> {
    let id = policy.annotation("id").ok_or_else(|| {
        Fault::new(FaultKind::Id, "the rule has no @id", "put @id(\"a-name-of-its-own\") before it")
    })?;
    let fault = |kind, message: String, hint: &str| Fault::new(kind, message, hint).of_rule(id);
    if !is_name(id) {
        let hint = "an id is 1 to 128 letters, digits, and . _ : -";
        return Err(fault(FaultKind::Id, "the @id is not a name".to_owned(), hint));
    }
    if is_reserved(id) {
        return Err(fault(
            FaultKind::Id,
            "the @id is one of the engine's own codes".to_owned(),
            "choose another @id",
        ));
    }
    let annotations =
        Annotations::read(policy).map_err(|(message, hint)| fault(FaultKind::Annotation, message, hint))?;
    let tree = policy
        .to_json()
        .map_err(|error| fault(FaultKind::Syntax, error.to_string(), "write the rule in a simpler form"))?;
    if levels(&tree) > LEVELS {
        let hint = "split the rule, or compare with many values by [\"a\", \"b\"].contains(…)";
        return Err(fault(
            FaultKind::Limit,
            format!("more than {LEVELS} operators in a row or inside each other"),
            hint,
        ));
    }
    Ok(Rule {
        id: id.to_owned(),
        deed: annotations.deed,
        reason: annotations.reason,
        policy: policy.new_id(PolicyId::new(id)),
        place: place.clone(),
        survey: survey(&tree),
    })
}

/// Is it one of the engine's own codes?
pub(super) fn is_reserved(id: &str) -> bool {
    RESERVED.contains(&id)
}

/// 1 to 128 letters, digits, and `. _ : -`.
pub(super) fn is_name(value: &str) -> bool {
    (1..=128).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-'))
}
