//! What one bundle says otherwise than another, rule by rule and tool by tool, and whether that is stricter or milder as
//! far as can be told without a solver.

use std::collections::BTreeMap;

use cedar_policy::Policy;
use serde::Serialize;
use serde_json::Value;

use super::bundle::Bundle;
use super::rule::{Deed, Hold, Rule};
use super::tools::Tool;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// A rule.
    Rule,
    /// A tool.
    Tool,
    /// What the bundle says about itself, its tests and its proofs.
    Bundle,
}

/// Where a change leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Some call may get a milder outcome, or wait for less.
    Weakening,
    /// That takes a solver, or a reader.
    Unknown,
    /// No call gets a milder outcome by it.
    Tightening,
    /// It decides nothing.
    Neutral,
}

impl Direction {
    /// The name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weakening => "weakening",
            Self::Unknown => "unknown",
            Self::Tightening => "tightening",
            Self::Neutral => "neutral",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// What it is about.
    pub aspect: Aspect,
    /// The rule's id, the tool's name in rules, or the file.
    pub name: String,
    /// Where it leads.
    pub direction: Direction,
    /// Does the rule match other calls than before? Then a solver can say which.
    pub other_calls: bool,
    /// In words.
    pub what: String,
    /// The old text, where there is one to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The new text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

const OTHER_CALLS: &str = "it matches other calls";

/// What `new` says otherwise than `old`: rules, then tools, then the rest, each by name.
#[must_use]
pub fn diff(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let mut changes = Vec::new();
    for (id, pair) in pairs(&old.rules, &new.rules) {
        let mut change = |direction, what: String, texts: (Option<String>, Option<String>)| {
            let (old, new) = texts;
            let other_calls = what == OTHER_CALLS;
            let name = id.to_owned();
            changes.push(Change { aspect: Aspect::Rule, name, direction, other_calls, what, old, new });
        };
        match pair {
            (None, Some(rule)) => {
                change(added(&rule.deed), format!("added: it {}", does(&rule.deed)), (None, text(rule)));
            }
            (Some(rule), None) => {
                let direction = match rule.deed {
                    Deed::Permit => Direction::Tightening,
                    _ => Direction::Weakening,
                };
                change(
                    direction,
                    format!("removed: it {}", does_in_the_past(&rule.deed)),
                    (text(rule), None),
                );
            }
            (Some(old), Some(new)) => rule(old, new, &mut change),
            (None, None) => {}
        }
    }
    for (id, pair) in pairs(&old.tools, &new.tools) {
        let mut change = |direction, what: &str| {
            let (name, what) = (id.to_owned(), what.to_owned());
            let (aspect, other_calls) = (Aspect::Tool, false);
            changes.push(Change { aspect, name, direction, other_calls, what, old: None, new: None });
        };
        match pair {
            (None, Some(_)) => change(Direction::Weakening, "added: rules for registered tools reach it now"),
            (Some(_), None) => change(Direction::Tightening, "removed: it is judged as an unregistered tool"),
            (Some(old), Some(new)) => tool(old, new, &mut change),
            (None, None) => {}
        }
    }
    changes.extend(about(old, new));
    changes
}

/// Both maps side by side, by name.
fn pairs<'a, T>(
    old: &'a BTreeMap<String, T>,
    new: &'a BTreeMap<String, T>,
) -> BTreeMap<&'a str, (Option<&'a T>, Option<&'a T>)> {
    let names = old.keys().chain(new.keys());
    names.map(|name| (name.as_str(), (old.get(name), new.get(name)))).collect()
}

fn does(deed: &Deed) -> &'static str {
    match deed {
        Deed::Permit => "permits",
        Deed::Deny => "denies",
        Deed::Defer { .. } => "defers",
        Deed::Hold(_) => "holds",
        Deed::Modify(_) => "changes calls",
    }
}

fn does_in_the_past(deed: &Deed) -> &'static str {
    match deed {
        Deed::Permit => "permitted",
        Deed::Deny => "denied",
        Deed::Defer { .. } => "deferred",
        Deed::Hold(_) => "held",
        Deed::Modify(_) => "changed calls",
    }
}

const fn added(deed: &Deed) -> Direction {
    match deed {
        Deed::Permit => Direction::Weakening,
        _ => Direction::Tightening,
    }
}

/// How strict a rule is; the smaller, the stricter.
const fn rank(deed: &Deed) -> u8 {
    match deed {
        Deed::Deny => 0,
        Deed::Defer { .. } => 1,
        Deed::Hold(_) => 2,
        Deed::Modify(_) => 3,
        Deed::Permit => 4,
    }
}

/// The rule as text, without its annotations.
fn text(rule: &Rule) -> Option<String> {
    let mut tree = rule.policy.to_json().ok()?;
    tree.as_object_mut()?.remove("annotations");
    Policy::from_json(None, tree).ok()?.to_cedar()
}

/// Scope and conditions, as data.
fn matching(rule: &Rule) -> Option<Value> {
    let mut tree = rule.policy.to_json().ok()?;
    let members = tree.as_object_mut()?;
    members.remove("annotations");
    members.remove("effect");
    Some(tree)
}

type Texts = (Option<String>, Option<String>);

fn rule(old: &Rule, new: &Rule, change: &mut impl FnMut(Direction, String, Texts)) {
    let none = || (None, None);
    if matching(old) != matching(new) {
        change(Direction::Unknown, OTHER_CALLS.to_owned(), (text(old), text(new)));
    }
    match (&old.deed, &new.deed) {
        (Deed::Hold(old), Deed::Hold(new)) => {
            hold(old, new, &mut |direction, what| change(direction, what, none()));
        }
        (Deed::Defer { expires_s: old }, Deed::Defer { expires_s: new }) => {
            expiry(*old, *new, &mut |direction, what| change(direction, what, none()));
        }
        (Deed::Modify(old), Deed::Modify(new)) if old != new => {
            let kept = old.iter().all(|transform| new.contains(transform));
            let direction = if kept { Direction::Tightening } else { Direction::Weakening };
            let texts = |transforms: &[super::transform::Transform]| {
                let texts: Vec<&str> = transforms.iter().map(|transform| transform.text.as_str()).collect();
                Some(texts.join("; "))
            };
            change(direction, "it changes calls otherwise".to_owned(), (texts(old), texts(new)));
        }
        (old, new) if rank(old) != rank(new) => {
            let direction = if rank(new) < rank(old) { Direction::Tightening } else { Direction::Weakening };
            change(direction, format!("it {}, and {}", does(new), does_in_the_past(old)), none());
        }
        _ => {}
    }
    if old.reason != new.reason {
        change(
            Direction::Neutral,
            "it gives another reason".to_owned(),
            (old.reason.clone(), new.reason.clone()),
        );
    }
}

fn expiry(old: Option<u64>, new: Option<u64>, change: &mut impl FnMut(Direction, String)) {
    let shown = |expires: Option<u64>| expires.map_or_else(|| "never".to_owned(), |s| format!("after {s} s"));
    let direction = match (old, new) {
        (old, new) if old == new => return,
        (None, _) => Direction::Tightening,
        (Some(old), Some(new)) if new < old => Direction::Tightening,
        _ => Direction::Weakening,
    };
    change(direction, format!("it expires {}, not {}", shown(new), shown(old)));
}

fn hold(old: &Hold, new: &Hold, change: &mut impl FnMut(Direction, String)) {
    let members = [
        ("approver", &old.approver, &new.approver),
        ("human", &old.human, &new.human),
        ("step_up", &old.step_up, &new.step_up),
        ("ticket", &old.ticket, &new.ticket),
    ];
    for (name, old, new) in members {
        match (old, new) {
            (old, new) if old == new => {}
            (None, Some(new)) => change(Direction::Tightening, format!("{name} {new:?} is demanded as well")),
            (Some(old), None) => {
                change(Direction::Weakening, format!("{name} {old:?} is demanded no longer"));
            }
            (old, new) => {
                let shown = |name: &Option<String>| name.clone().unwrap_or_default();
                change(Direction::Weakening, format!("{name} is {:?}, not {:?}", shown(new), shown(old)));
            }
        }
    }
    let (before, after) = (old.quorum.unwrap_or(1), new.quorum.unwrap_or(1));
    if before != after {
        let direction = if after > before { Direction::Tightening } else { Direction::Weakening };
        change(direction, format!("{after} must approve, not {before}"));
    }
    expiry(old.expires_s, new.expires_s, change);
}

fn tool(old: &Tool, new: &Tool, change: &mut impl FnMut(Direction, &str)) {
    let differs = [
        (old.groups != new.groups, "it is in other groups"),
        (old.fields != new.fields || old.required != new.required, "it takes other arguments"),
        (old.labels != new.labels, "its labels are others: its calls have other facts"),
    ];
    for (differs, what) in differs {
        if differs {
            change(Direction::Unknown, what);
        }
    }
    match (old.pinned, new.pinned) {
        (true, false) => change(Direction::Weakening, "it is pinned no longer"),
        (false, true) => change(Direction::Tightening, "it is pinned now"),
        _ => {}
    }
    if old.digest != new.digest && old.fields == new.fields {
        change(Direction::Neutral, "its description, or how its schema is written, is another");
    }
}

fn about(old: &Bundle, new: &Bundle) -> Vec<Change> {
    let change = |name: &str, direction, what: String| Change {
        aspect: Aspect::Bundle,
        name: name.to_owned(),
        direction,
        other_calls: false,
        what,
        old: None,
        new: None,
    };
    let (before, after) = (old.manifest(), new.manifest());
    let mut changes = Vec::new();
    if before.author != after.author {
        changes.push(change("manifest.json", Direction::Unknown, "its author is another".to_owned()));
    }
    if before.mode != after.mode {
        let what = format!("its mode is {}, not {}", after.mode.as_str(), before.mode.as_str());
        changes.push(change("manifest.json", Direction::Unknown, what));
    }
    if old.named.is_some() && old.named != new.named {
        let what = "the signals that rules look for are others, and may be true of fewer calls".to_owned();
        changes.push(change("signals.json", Direction::Weakening, what));
    }
    match (before.proofs_required, after.proofs_required) {
        (true, false) => {
            changes.push(change(
                "manifest.json",
                Direction::Weakening,
                "proofs are required no longer".to_owned(),
            ));
        }
        (false, true) => {
            changes.push(change(
                "manifest.json",
                Direction::Tightening,
                "proofs are required now".to_owned(),
            ));
        }
        _ => {}
    }
    let gone: Vec<&str> = old
        .claims()
        .iter()
        .filter(|claim| !new.claims().iter().any(|other| other.property == claim.property))
        .map(|claim| claim.id.as_str())
        .collect();
    if !gone.is_empty() {
        let what = format!("no longer to be proven as it was: {}", gone.join(", "));
        changes.push(change("proofs.json", Direction::Weakening, what));
    }
    if old.tests() != new.tests() {
        let what = format!("it brings {} tests, not {}", new.tests(), old.tests());
        changes.push(change("tests", Direction::Neutral, what));
    }
    changes
}
