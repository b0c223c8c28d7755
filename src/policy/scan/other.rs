//! Tools beside each other: names that stand in for others, definitions that speak of other servers' tools, and what
//! changed since somebody looked.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::AhoCorasick;
use serde_json::Value;
use unicode_security::confusable_detection::skeleton;

use super::{Finding, Place, Severity, Source, Threat};
use crate::policy::finding::{member, quoted_around, shown};
use crate::policy::registry::{Listed, differences};
use crate::policy::tools::action_id;

/// Tools that are compared in pairs.
const PAIRS_OF: usize = 1_000;
/// Characters from which on names that differ in one are alike, and in two.
const LIKE_IN_ONE: usize = 4;
const LIKE_IN_TWO: usize = 8;

/// A tool, and the file that lists it.
type Known<'a> = (Source<'a>, &'a Listed);

fn server<'a>((source, tool): &Known<'a>) -> &'a str {
    tool.server.as_deref().unwrap_or(source.server)
}

/// Names that are, or look like, those of other servers' tools.
pub(super) fn names(tools: &[Known<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let compared: Vec<(Known<'_>, String)> = tools
        .iter()
        .take(PAIRS_OF)
        .map(|known| (*known, skeleton(&known.1.name).collect::<String>().to_lowercase()))
        .collect();
    if let Some((source, tool)) = tools.get(PAIRS_OF) {
        findings.push(Place::of_tool(*source, tool).found(
            "",
            "too-many-tools",
            Threat::CrossServerAttack,
            Severity::Medium,
            format!("from here on names are not compared: more than {PAIRS_OF} tools"),
            "scan fewer servers at a time",
        ));
    }
    for (i, (one, one_skeleton)) in compared.iter().enumerate() {
        for (other, other_skeleton) in compared.iter().take(i) {
            let same_server = server(one) == server(other);
            let place = Place::of_tool(one.0, one.1);
            let theirs = shown(&action_id(server(other), &other.1.name));
            let found = |rule, severity, message: String| {
                let hint = "register one of the two, under its server's name";
                place.found("/name", rule, Threat::CrossServerAttack, severity, message, hint)
            };
            if one.1.name == other.1.name {
                let (rule, message) = match same_server {
                    true => {
                        ("listed-twice", format!("the same server lists it at {} too", shown(&other.1.at)))
                    }
                    false => ("same-name", format!("another server has a tool of this name: {theirs}")),
                };
                findings.push(found(rule, Severity::High, message));
            } else if one_skeleton == other_skeleton {
                let message = format!("its name looks the same as that of {theirs}");
                findings.push(found("lookalike-name", Severity::High, message));
            } else if !same_server && is_near(one_skeleton, other_skeleton) {
                let message = format!("its name is almost that of {theirs}");
                findings.push(found("similar-name", Severity::Medium, message));
            }
        }
    }
    findings
}

/// One letter apart, or two in longer names.
fn is_near(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let allowed = match a.len().min(b.len()) {
        0..LIKE_IN_ONE => return false,
        LIKE_IN_ONE..LIKE_IN_TWO => 1,
        _ => 2,
    };
    a.len().abs_diff(b.len()) <= allowed && distance(&a, &b) <= allowed
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(before.len());
        let mut left = i.saturating_add(1);
        row.push(left);
        for (y, pair) in b.iter().zip(before.windows(2)) {
            let [diagonal, above] = pair else { continue };
            let changed = diagonal.saturating_add(usize::from(x != y));
            left = changed.min(above.saturating_add(1)).min(left.saturating_add(1));
            row.push(left);
        }
        before = row;
    }
    before.last().copied().unwrap_or_default()
}

/// Descriptions that speak of other servers' tools: one that says what to do with them works through their rights.
pub(super) fn mentions(tools: &[Known<'_>]) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    // A name that is a plain word is in many descriptions.
    for known in tools.iter().filter(|(_, tool)| is_telling(&tool.name)) {
        owners.entry(known.1.name.as_str()).or_default().insert(server(known));
    }
    let names: Vec<&str> = owners.keys().copied().collect();
    let Ok(finder) = AhoCorasick::builder().ascii_case_insensitive(true).build(&names) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for known in tools {
        let place = Place::of_tool(known.0, known.1);
        let mut open = vec![(&known.1.whole, String::new())];
        while let Some((value, at)) = open.pop() {
            match value {
                Value::Object(members) => {
                    open.extend(members.iter().map(|(name, value)| (value, member(&at, name))));
                }
                Value::Array(items) => {
                    open.extend(items.iter().enumerate().map(|(i, item)| (item, format!("{at}/{i}"))));
                }
                Value::String(text) if at != "/name" && at != "/server" => {
                    let mention = finder.find_iter(text).find_map(|hit| {
                        let name = names.get(hit.pattern().as_usize())?;
                        let theirs = owners.get(name).is_some_and(|owners| !owners.contains(server(known)));
                        (theirs && is_word(text, hit.start(), hit.end())).then_some((*name, hit.start()))
                    });
                    let Some((name, start)) = mention else { continue };
                    let message = format!("it speaks of another server's tool: {}", shown(name));
                    let hint = "no tool needs to know another server's: read what it wants of it";
                    let found = place.found(
                        &at,
                        "speaks-of-another",
                        Threat::CrossServerAttack,
                        Severity::High,
                        message,
                        hint,
                    );
                    findings.push(Finding { excerpt: quoted_around(text, start), ..found });
                }
                _ => {}
            }
        }
    }
    findings
}

/// Of several words, or written as no word is.
fn is_telling(name: &str) -> bool {
    let inner = name.chars().skip(1).any(|c| c.is_uppercase() || c.is_ascii_digit());
    name.chars().count() >= 5 && (name.contains(['_', '-', '.']) || inner)
}

fn is_word(text: &str, start: usize, end: usize) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    !before.is_some_and(part) && !after.is_some_and(part)
}

/// What is another since the baseline.
pub(super) fn changes(tools: &[Known<'_>], baseline: Source<'_>, known: &[Listed]) -> Vec<Finding> {
    let mut looked_at: BTreeMap<String, &Listed> = BTreeMap::new();
    for tool in known {
        let server = tool.server.as_deref().unwrap_or(baseline.server);
        looked_at.insert(action_id(server, &tool.name), tool);
    }
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for known in tools {
        let id = action_id(server(known), &known.1.name);
        let place = Place::of_tool(known.0, known.1);
        let found = |rule, severity, message: String, hint: &str| {
            place.found("", rule, Threat::RugPull, severity, message, hint)
        };
        match looked_at.get(&id) {
            Some(before) => {
                let changed = differences(&definition(before, known.1), &definition(known.1, before));
                if !changed.is_empty() {
                    let hint = "read what changed; if it is meant: `foreseal tool import --repin NAME`";
                    let message = format!("it changed since the baseline: {}", changed.join("; "));
                    findings.push(found("changed-since-baseline", Severity::Critical, message, hint));
                }
            }
            None => {
                let hint = "read it, and label it: `foreseal tool import`";
                let message = "it is not in the baseline".to_owned();
                findings.push(found("new-since-baseline", Severity::Low, message, hint));
            }
        }
        seen.insert(id);
    }
    let servers: BTreeSet<&str> = tools.iter().map(server).collect();
    for (id, tool) in looked_at {
        let is_scanned = servers.contains(tool.server.as_deref().unwrap_or(baseline.server));
        if is_scanned && !seen.contains(&id) {
            findings.push(Place::of_tool(baseline, tool).found(
                "",
                "gone-since-baseline",
                Threat::RugPull,
                Severity::Info,
                "its server no longer lists it",
                "take it out of the registry",
            ));
        }
    }
    findings
}

/// What a server says a tool is; the schema of its results only where both say it.
fn definition(tool: &Listed, other: &Listed) -> Value {
    let output = tool.output.clone().filter(|_| other.output.is_some());
    let description = tool.description.clone().map(Value::String);
    let members = [("description", description), ("input", tool.input.clone()), ("output", output)];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}
