//! `tools.json`: the tools that a bundle's rules speak about.
//!
//! # Names in rules
//! A tool is `Action::"<server>/<tool>"` and `Tool::"<server>/<tool>"`. In both halves `%` is written `%25`
//! and `/` is written `%2F`, so the one slash separates: no two tools share a name, and no tool shares one
//! with a group, which has no slash. A tool without a server is `"/<tool>"`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::fault::{Fault, FaultKind, Place};
use super::json::Strict;
use super::labels::{
    DeclaredLabels, DeclaredOutput, DeclaredParse, DeclaredPlace, Labels, check_pin, pinned_digest,
};
use super::shape::Fields;
use super::version::FactsForm;

/// The bundle's file of tools.
pub(super) const FILE: &str = "tools.json";
/// The group of all registered tools.
pub(super) const CALL: &str = "call";
/// The action of every tool that is not registered; also a name that no group may take.
pub(super) const UNREGISTERED: &str = "unregistered";
/// The group of all tools that do something to the world; nobody writes it, see [`ACTS`].
pub(super) const ACT: &str = "act";
/// The groups that exist without being named.
pub(super) const GROUPS: [&str; 15] = [
    "access",
    ACT,
    CALL,
    "credential",
    "destructive",
    "execute",
    "external",
    "fetch",
    "irreversible",
    "message",
    "payment",
    "physical",
    "read",
    "security",
    "write",
];
/// What is in one of these is in [`ACT`].
const ACTS: [&str; 8] =
    ["access", "credential", "destructive", "execute", "external", "payment", "physical", "security"];
/// The groups that existed without being named in version 1.
const GROUPS_V1: [&str; 5] = [CALL, "destructive", "external", "payment", "read"];
/// The groups an unregistered tool is in: it might do anything.
const UNREGISTERED_GROUPS: [&str; 3] = [ACT, "destructive", "external"];
const UNREGISTERED_GROUPS_V1: [&str; 2] = ["destructive", "external"];

/// The groups that exist without being named.
pub(super) const fn groups(form: FactsForm) -> &'static [&'static str] {
    match form {
        FactsForm::V1 => &GROUPS_V1,
        FactsForm::V2 => &GROUPS,
    }
}

/// The groups an unregistered tool is in.
pub(super) const fn unregistered_groups(form: FactsForm) -> &'static [&'static str] {
    match form {
        FactsForm::V1 => &UNREGISTERED_GROUPS_V1,
        FactsForm::V2 => &UNREGISTERED_GROUPS,
    }
}

/// The groups of a tool that declares this one alone.
pub(super) fn groups_with(form: FactsForm, group: &'static str) -> Vec<&'static str> {
    let act = form != FactsForm::V1 && ACTS.contains(&group);
    [CALL, group].into_iter().chain(act.then_some(ACT)).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Tools in a bundle.
const MOST_TOOLS: usize = 1_000;
/// Groups of one tool.
const MOST_GROUPS: usize = 32;
/// Bytes of a tool's or a server's name.
const NAME_BYTES: usize = 1_024;

/// A registered tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// The server it lives on; empty where none is named.
    pub server: String,
    /// Its name there.
    pub name: String,
    /// The groups its action is in, `call` included, sorted.
    pub groups: Vec<String>,
    /// What the registry says about it beside its arguments' types.
    pub labels: Labels,
    /// SHA-256 of the canonical form of its description and input schema: what a pin holds.
    pub digest: [u8; 32],
    /// Is it pinned to that digest?
    pub pinned: bool,
    pub(super) fields: Fields,
    /// Has it a schema of its arguments?
    pub(super) schema: bool,
    /// Arguments that its schema requires.
    pub(super) required: BTreeSet<String>,
}

impl Tool {
    /// The tool's name in rules: see the module.
    #[must_use]
    pub fn action_id(&self) -> String {
        action_id(&self.server, &self.name)
    }

    /// The arguments that its input schema declares.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.fields.names()
    }
}

/// The name in rules of the tool `name` on `server`: unambiguous, see the room's documentation.
///
/// ```
/// use foreseal::policy::action_id;
/// assert_eq!(action_id("bank", "send_money"), "bank/send_money");
/// assert_eq!(action_id("", "send_money"), "/send_money");
/// assert_ne!(action_id("a/b", "c"), action_id("a", "b/c"));
/// ```
#[must_use]
pub fn action_id(server: &str, name: &str) -> String {
    let mut id = String::with_capacity(server.len().saturating_add(name.len()).saturating_add(1));
    escape_into(&mut id, server);
    id.push('/');
    escape_into(&mut id, name);
    id
}

fn escape_into(id: &mut String, part: &str) {
    for c in part.chars() {
        match c {
            '%' => id.push_str("%25"),
            '/' => id.push_str("%2F"),
            c => id.push(c),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tools: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    #[serde(default)]
    server: String,
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    input: Option<Strict>,
    /// For people and models; no rule sees it. Part of what a pin holds.
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    output: DeclaredOutput,
    #[serde(default)]
    destinations: Option<Vec<DeclaredPlace>>,
    #[serde(default)]
    selectors: Vec<DeclaredPlace>,
    #[serde(default)]
    payload: Vec<String>,
    #[serde(default)]
    asked: Vec<String>,
    #[serde(default)]
    amount: Option<String>,
    #[serde(default)]
    parse: Vec<DeclaredParse>,
    #[serde(default)]
    irreversible: bool,
    #[serde(default)]
    region: Option<String>,
    #[serde(default)]
    pin: Option<String>,
}

/// Reads `tools.json`: the tools by their names in rules.
pub(super) fn read(form: FactsForm, text: &str) -> Result<BTreeMap<String, Tool>, Vec<Fault>> {
    let file: File = serde_json::from_str(text).map_err(|error| {
        let place = Place { file: FILE.to_owned(), line: error.line(), column: error.column() };
        let shown = error.to_string();
        let message =
            shown.rsplit_once(" at line ").map_or(shown.as_str(), |(message, _)| message).to_owned();
        let hint = "tools.json is {\"tools\": [{\"server\", \"name\", \"description\", \"groups\", \"input\", \"output\", \
                    \"destinations\", \"selectors\", \"payload\", \"asked\", \"amount\", \"parse\", \"irreversible\", \"region\", \"pin\"}]}; correct it at this \
                    position";
        vec![Fault::new(FaultKind::Syntax, message, hint).at(place)]
    })?;
    if file.tools.len() > MOST_TOOLS {
        let message = format!("{} tools, more than {MOST_TOOLS}", file.tools.len());
        return Err(vec![
            Fault::new(FaultKind::Limit, message, "remove tools that no agent uses").at(Place::file(FILE)),
        ]);
    }
    let mut tools = BTreeMap::new();
    let mut faults = Vec::new();
    for (index, declared) in file.tools.into_iter().enumerate() {
        match declared.check(form) {
            Ok(tool) => {
                let id = tool.action_id();
                if tools.insert(id.clone(), tool).is_some() {
                    faults.push(fault(
                        index,
                        &format!("the tool {id:?} is declared twice"),
                        "keep one of the two",
                    ));
                }
            }
            Err((message, hint)) => faults.push(fault(index, &message, hint)),
        }
    }
    if faults.is_empty() { Ok(tools) } else { Err(faults) }
}

/// The tools of a bundle's files, by their names in rules, without its rules: what the fold over a log needs of a policy.
/// Files that are no bundle's have none; a policy's were read when it became active.
#[must_use]
pub fn tools_of(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Tool> {
    let text = files.get(FILE).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(|text| read(FactsForm::NOW, text).ok()).unwrap_or_default()
}

fn fault(index: usize, message: &str, hint: &str) -> Fault {
    Fault::new(FaultKind::Tools, format!("tool {index}: {message}"), hint).at(Place::file(FILE))
}

impl Declared {
    fn check(self, form: FactsForm) -> Result<Tool, (String, &'static str)> {
        if self.name.is_empty() {
            return Err(("the name is empty".to_owned(), "name the tool as its server does"));
        }
        for (what, name) in [("name", &self.name), ("server", &self.server)] {
            if name.len() > NAME_BYTES {
                return Err((
                    format!("the {what} has more than {NAME_BYTES} bytes"),
                    "shorten it at the server",
                ));
            }
        }
        if self.groups.len() > MOST_GROUPS {
            return Err((format!("more than {MOST_GROUPS} groups"), "name fewer groups"));
        }
        let mut groups: BTreeSet<String> = BTreeSet::from([CALL.to_owned()]);
        for group in &self.groups {
            check_group(group)?;
            groups.insert(group.clone());
        }
        if form != FactsForm::V1 {
            if groups.contains(ACT) {
                let hint = "leave it out: what is external, destructive, a payment and the like is in it";
                return Err((format!("the group {ACT:?} is not for declaring"), hint));
            }
            if ACTS.iter().any(|group| groups.contains(*group)) {
                groups.insert(ACT.to_owned());
            }
        }
        let known = match &self.input {
            None => None,
            Some(Strict(schema)) => Some(
                Fields::of_schema(schema)
                    .map_err(|why| (format!("{:?}: {why}", self.name), "correct the tool's \"input\""))?,
            ),
        };
        let input = self.input.as_ref().map(|Strict(schema)| schema);
        let digest = pinned_digest(self.description.as_deref(), input);
        let of_tool = |(message, hint): (String, &'static str)| (format!("{:?}: {message}", self.name), hint);
        if let Some(pin) = &self.pin {
            check_pin(pin, digest).map_err(of_tool)?;
        }
        let required = input.and_then(|schema| schema.get("required")).and_then(serde_json::Value::as_array);
        let required =
            required.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect();
        let labels = DeclaredLabels {
            destinations: self.destinations,
            selectors: self.selectors,
            payload: self.payload,
            asked: self.asked,
            amount: self.amount,
            parse: self.parse,
            output: self.output,
            irreversible: self.irreversible,
            region: self.region,
        };
        let labels = labels.check(known.as_ref()).map_err(of_tool)?;
        Ok(Tool {
            server: self.server,
            groups: groups.into_iter().collect(),
            labels,
            digest: digest.unwrap_or_default(),
            pinned: self.pin.is_some(),
            schema: known.is_some(),
            fields: known.unwrap_or_default(),
            required,
            name: self.name,
        })
    }
}

fn check_group(group: &str) -> Result<(), (String, &'static str)> {
    let well_formed = group.len() <= 64
        && group.starts_with(|c: char| c.is_ascii_lowercase())
        && group.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'));
    if !well_formed {
        return Err((
            format!("the group {group:?} is not a name"),
            "a group's name is a lower-case letter, then letters, digits, - and _, at most 64 in all",
        ));
    }
    if group == CALL || group == UNREGISTERED {
        return Err((
            format!("the group {group:?} is not for declaring"),
            "leave it out: every registered tool is in \"call\", and \"unregistered\" is the action of all others",
        ));
    }
    Ok(())
}
