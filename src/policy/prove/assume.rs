//! What is true of every request that the engine builds, said as a Cedar expression: without it a solver finds calls that
//! cannot be, such as the payment tool with another tool's labels.
//!
//! Only what rules mention is said. To say less is always sound: more is then possible than can be.

use std::collections::BTreeSet;

use cedar_policy::{EntityUid, RequestEnv};
use serde_json::Value;

use super::terms::{at_least, at_most, entity, has, if_then, is_empty, one_of, or, path};
use crate::policy::bundle::Bundle;
use crate::policy::expression::{all, equal, literal, not, var};
use crate::policy::labels::Labels;
use crate::policy::mention::Mention;
use crate::policy::plan::Standing;
use crate::policy::provenance::{Asked, PayloadStanding, Standing as Grounded};
use crate::policy::request::resource;
use crate::policy::scope::Target;
use crate::policy::shape::{Fields, Shape};
use crate::policy::signals::Language;
use crate::policy::tools::{self, Tool, UNREGISTERED};
use crate::policy::value::{EXACT, Typed};

/// The calls that are judged as one action: a registered tool's, or all unregistered ones'.
#[derive(Debug, Clone)]
pub(super) struct Environment<'a> {
    /// The action's id.
    pub(super) action: &'a str,
    pub(super) groups: BTreeSet<&'a str>,
    pub(super) tool: Option<&'a Tool>,
    /// Its types.
    pub(super) env: RequestEnv,
}

impl<'a> Environment<'a> {
    /// All of a bundle's: its tools by name, then what is not registered. `None` only if Cedar refuses its own names.
    pub(super) fn all(bundle: &'a Bundle) -> Option<Vec<Self>> {
        let registered = bundle.tools.iter().map(|(id, tool)| {
            (id.as_str(), tool.groups.iter().map(String::as_str).collect::<BTreeSet<_>>(), Some(tool))
        });
        let groups = tools::unregistered_groups(bundle.form()).iter().copied().collect();
        let of = |(action, groups, tool): (&'a str, BTreeSet<&'a str>, Option<&'a Tool>)| {
            let uid = EntityUid::from_json(serde_json::json!({"type": "Action", "id": action})).ok()?;
            let env = RequestEnv::new("Agent".parse().ok()?, uid, "Tool".parse().ok()?);
            Some(Self { action, groups, tool, env })
        };
        registered.chain([(UNREGISTERED, groups, None)]).map(of).collect()
    }

    pub(super) fn target(&self) -> Target<'_> {
        Target { action: self.action, groups: &self.groups, tool: self.tool.map(|_| self.action) }
    }

    /// For people: the tool's name in rules.
    pub(super) fn name(&self) -> String {
        self.tool.map_or_else(|| UNREGISTERED.to_owned(), |_| self.action.to_owned())
    }
}

/// What the rules in question look at.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    pub(super) mention: Mention,
    /// Agents named.
    pub(super) agents: BTreeSet<String>,
    /// Registered tools that are named, by id or otherwise.
    pub(super) tools: BTreeSet<String>,
}

impl Looked {
    /// Everything, and no name.
    pub(super) const fn everything() -> Self {
        Self { mention: Mention::Whole, agents: BTreeSet::new(), tools: BTreeSet::new() }
    }

    fn at(&self, attributes: &[&str]) -> bool {
        attributes.iter().try_fold(&self.mention, |mention, attribute| mention.of(attribute)).is_some()
    }
}

/// What is true of every call in the environment.
pub(super) fn assumption(bundle: &Bundle, environment: &Environment<'_>, looked: &Looked) -> Value {
    let mut parts = Vec::new();
    parts.extend(looked.agents.iter().map(|agent| {
        let named = equal(path("principal", &["name"]), literal(agent.as_str()));
        equal(equal(var("principal"), entity("Agent", agent)), named)
    }));
    tool(bundle, environment, looked, &mut parts);
    let labels = environment.tool.map(|tool| &tool.labels);
    grounding(labels, looked, &mut parts);
    plan_and_asked(labels, looked, &mut parts);
    signals(labels, looked, &mut parts);
    counts(looked, &mut parts);
    if let Some(tool) = environment.tool {
        integers(&tool.fields, &mut vec!["args"], looked, &mut parts);
    }
    all(parts)
}

fn tool(bundle: &Bundle, environment: &Environment<'_>, looked: &Looked, parts: &mut Vec<Value>) {
    let (server, name) = environment.tool.map_or(("", ""), |tool| (&tool.server, &tool.name));
    for (attribute, value) in resource(bundle.form(), server, name, environment.tool) {
        let value = match value {
            Typed::Text(text) => literal(text),
            Typed::Bool(bool) => literal(bool),
            _ => continue,
        };
        let here = path("resource", &[&attribute]);
        match attribute.as_str() {
            // What is not registered may have any name.
            "name" | "server" if environment.tool.is_none() => {}
            "region" => parts.push(all([has("resource", &["region"]), equal(here, value)])),
            _ => parts.push(equal(here, value)),
        }
    }
    if environment.tool.is_none_or(|tool| tool.labels.region.is_none()) {
        parts.push(not(has("resource", &["region"])));
    }
    if looked.at(&["tool"]) {
        parts.extend(
            ["name", "server"].map(|half| equal(path("context", &["tool", half]), path("resource", &[half]))),
        );
    }
    match environment.tool {
        Some(_) => parts.push(equal(var("resource"), entity("Tool", environment.action))),
        None => {
            let registered = looked.tools.iter().filter_map(|id| bundle.tools.get(id));
            parts.extend(registered.map(|tool| {
                let same = [("name", &tool.name), ("server", &tool.server)]
                    .map(|(half, text)| equal(path("resource", &[half]), literal(text.as_str())));
                all([not(equal(var("resource"), entity("Tool", &tool.action_id()))), not(all(same))])
            }));
        }
    }
}

fn texts<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Value> {
    names.into_iter().map(literal).collect()
}

fn grounding(labels: Option<&Labels>, looked: &Looked, parts: &mut Vec<Value>) {
    let here = |attribute: &str| path("context", &["grounding", attribute]);
    let labels = labels.filter(|labels| labels.labelled);
    let standing = |standing: Grounded| equal(here("destinations"), literal(standing.name()));
    if !looked.at(&["grounding"]) {
        return;
    }
    let grades = match labels {
        None => vec![Grounded::Ungrounded],
        Some(labels) if labels.destinations.is_empty() => vec![Grounded::None],
        Some(_) => {
            vec![
                Grounded::None,
                Grounded::Grounded,
                Grounded::Vouched,
                Grounded::Record,
                Grounded::Ungrounded,
            ]
        }
    };
    parts.push(one_of(texts(grades.iter().map(|grade| grade.name())), here("destinations")));
    parts.push(equal(is_empty(here("ungrounded")), not(standing(Grounded::Ungrounded))));
    parts.push(or(not(here("user_only")), standing(Grounded::Grounded)));
    let carries = labels.is_none_or(|labels| !labels.payload.is_empty());
    let all_grades =
        [PayloadStanding::None, PayloadStanding::Grounded, PayloadStanding::Own, PayloadStanding::Tainted];
    let grades = all_grades.iter().filter(|grade| carries || **grade == PayloadStanding::None);
    parts.push(one_of(texts(grades.map(|grade| grade.name())), here("payload")));
    let tainted = equal(here("payload"), literal(PayloadStanding::Tainted.name()));
    parts.push(equal(here("payload_tainted"), tainted));
    if !carries {
        parts.extend(["payload_copied", "untrusted_links"].map(|flag| not(here(flag))));
    }
}

fn plan_and_asked(labels: Option<&Labels>, looked: &Looked, parts: &mut Vec<Value>) {
    if looked.at(&["asked"]) {
        let asked = match labels.filter(|labels| !labels.asked.is_empty()) {
            None => vec![Asked::Unknown],
            Some(_) => vec![Asked::Yes, Asked::No],
        };
        parts.push(one_of(texts(asked.iter().map(|asked| asked.name())), path("context", &["asked"])));
    }
    if looked.at(&["plan"]) {
        let standings = [Standing::Application, Standing::Early, Standing::Late];
        let known =
            one_of(texts(standings.iter().map(|one| one.as_str())), path("context", &["plan", "standing"]));
        let step = equal(has("context", &["plan", "step"]), path("context", &["plan", "conforms"]));
        parts.push(where_there(&["plan"], all([known, step])));
    }
}

fn signals(labels: Option<&Labels>, looked: &Looked, parts: &mut Vec<Value>) {
    let parsed =
        |language| labels.is_some_and(|labels| labels.parse.iter().any(|parse| parse.language == language));
    for (name, language) in [("shell", Language::Shell), ("sql", Language::Sql)] {
        if looked.at(&["signals", name]) && !parsed(language) {
            parts.push(not(has("context", &["signals", name])));
        }
    }
}

/// Integers that every JSON reader agrees on, and no count below zero.
fn counts(looked: &Looked, parts: &mut Vec<Value>) {
    const COUNTS: [&[&str]; 11] = [
        &["calls_in_intent"],
        &["claimed", "observations"],
        &["claimed", "reasoning_steps"],
        &["loop", "repeats"],
        &["rate", "agent_minute"],
        &["rate", "session_minute"],
        &["session", "calls"],
        &["session", "delegation_depth"],
        &["session", "denials"],
        &["session", "turns"],
        &["time", "ms"],
    ];
    for attributes in COUNTS.into_iter().filter(|attributes| looked.at(attributes)) {
        let least = if attributes == ["time", "ms"] { -EXACT } else { 0 };
        parts.push(between(least, path("context", attributes)));
    }
    const OPTIONAL: [&[&str]; 2] = [&["plan", "step"], &["signals", "sql", "statements"]];
    for attributes in OPTIONAL.into_iter().filter(|attributes| looked.at(attributes)) {
        parts.push(where_there(attributes, between(0, path("context", attributes))));
    }
}

/// `if context has a && context.a has b then … else true`: Cedar learns from no other form what is there.
fn where_there(attributes: &[&str], then: Value) -> Value {
    let there = (1..=attributes.len()).filter_map(|n| Some(has("context", attributes.get(..n)?)));
    if_then(all(there), then)
}

fn between(least: i64, value: Value) -> Value {
    all([at_least(value.clone(), literal(least)), at_most(value, literal(EXACT))])
}

/// The integers among the arguments, those in records included.
fn integers<'a>(fields: &'a Fields, at: &mut Vec<&'a str>, looked: &Looked, parts: &mut Vec<Value>) {
    for branch in fields.names().flat_map(|name| fields.branches(name)) {
        at.push(&branch.attribute);
        if looked.at(at) {
            match &branch.shape {
                Shape::Long => {
                    parts.push(where_there(at, between(-EXACT, path("context", at))));
                }
                Shape::Record(inner) => integers(inner, at, looked, parts),
                Shape::Text | Shape::Decimal | Shape::Bool | Shape::Set(_) => {}
            }
        }
        at.pop();
    }
}
