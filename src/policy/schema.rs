//! The Cedar schema of a bundle: what rules are validated against and requests are built to.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Schema;
use serde_json::{Map, Value, json};

use super::tools::{self, Tool, UNREGISTERED};
use super::version::FactsForm;

/// Generates the schema from the registered tools, by their names in rules; `named`: the bundle has named signals.
///
/// # Errors
/// Cedar's own words, where it refuses a name or a type.
pub(super) fn generate(
    form: FactsForm,
    tools: &BTreeMap<String, Tool>,
    named: bool,
) -> Result<Schema, String> {
    Schema::from_json_value(json(form, tools, named)).map_err(|error| error.to_string())
}

/// The same with one more action in each group that exists without being named, as if a tool without arguments were in
/// it: by it a rule that could match is told from one that only has no tool to match yet.
///
/// # Errors
/// As [`generate`].
pub(super) fn with_tool_in_each_group(
    form: FactsForm,
    tools: &BTreeMap<String, Tool>,
    named: bool,
) -> Result<Schema, String> {
    let mut schema = json(form, tools, named);
    let mut context = context(form, named);
    context.insert("args".to_owned(), record([]));
    if let Some(actions) = schema.pointer_mut("//actions").and_then(Value::as_object_mut) {
        for group in tools::groups(form) {
            let groups = tools::groups_with(form, group);
            // No tool has this name: one slash divides a tool's server and name.
            actions.insert(format!("//{group}"), action(&groups, &context));
        }
    }
    Schema::from_json_value(schema).map_err(|error| error.to_string())
}

/// The groups of actions: those that always exist, and those that tools name.
pub(super) fn groups(form: FactsForm, registered: &BTreeMap<String, Tool>) -> BTreeSet<&str> {
    let declared = registered.values().flat_map(|tool| tool.groups.iter().map(String::as_str));
    tools::groups(form).iter().copied().chain(declared).collect()
}

/// The schema as Cedar reads it; `named`: the bundle has named signals.
pub(super) fn json(form: FactsForm, registered: &BTreeMap<String, Tool>, named: bool) -> Value {
    let groups = groups(form, registered);
    let mut actions: Map<String, Value> =
        groups.into_iter().map(|group| (group.to_owned(), json!({}))).collect();
    let context = context(form, named);
    actions.insert(UNREGISTERED.to_owned(), action(tools::unregistered_groups(form), &context));
    for (id, tool) in registered {
        let groups: Vec<&str> = tool.groups.iter().map(String::as_str).collect();
        let mut context = context.clone();
        context.insert("args".to_owned(), tool.fields.cedar_type());
        actions.insert(id.clone(), action(&groups, &context));
    }
    json!({"": {
        "entityTypes": {
            "Agent": {"shape": record([("name", string()), ("roles", strings()), ("signed", bool())])},
            "Tool": {"shape": record(resource(form))},
        },
        "actions": actions,
    }})
}

/// An action that applies to any agent and tool.
fn action(groups: &[&str], context: &Map<String, Value>) -> Value {
    let parents: Vec<Value> = groups.iter().map(|group| json!({"id": group})).collect();
    json!({
        "memberOf": parents,
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Tool"],
            "context": {"type": "Record", "attributes": context},
        },
    })
}

fn resource(form: FactsForm) -> Vec<(&'static str, Value)> {
    let mut attributes = vec![("name", string()), ("registered", bool()), ("server", string())];
    if form != FactsForm::V1 {
        attributes.extend(["irreversible", "labelled", "sensitive", "untrusted"].map(|name| (name, bool())));
        attributes.push(("region", optional(string())));
    }
    attributes
}

/// What the context of every action holds; `args` comes with a tool's own schema.
fn context(form: FactsForm, named: bool) -> Map<String, Value> {
    let mut claimed = vec![("goal_stated", bool()), ("observations", long()), ("reasoning_steps", long())];
    let mut attributes = vec![
        ("calls_in_intent", long()),
        ("environment", optional(string())),
        ("time", record([("ms", long())])),
        ("tool", record([("name", string()), ("server", string())])),
        ("unrepresented", strings()),
    ];
    match form {
        FactsForm::V1 => attributes.push(("principal", optional(string()))),
        FactsForm::V2 => {
            claimed.extend(["environment", "principal"].map(|name| (name, optional(string()))));
            attributes.extend(facts(named));
        }
    }
    attributes.push(("claimed", record(claimed)));
    attributes.into_iter().map(|(name, of_type)| (name.to_owned(), of_type)).collect()
}

/// What version 2 added: the types of `facts`.
fn facts(named: bool) -> Vec<(&'static str, Value)> {
    let principal = record([("id", string()), ("roles", strings())]);
    let session = [
        ("calls", long()),
        ("delegation_depth", long()),
        ("denials", long()),
        ("incomplete", bool()),
        ("labels", strings()),
        ("opened", bool()),
        ("turns", long()),
    ];
    let grounding = [
        ("destinations", string()),
        ("full", bool()),
        ("payload", string()),
        ("payload_copied", bool()),
        ("payload_tainted", bool()),
        ("taint_full", bool()),
        ("tainted", strings()),
        ("ungrounded", strings()),
        ("untrusted_links", bool()),
        ("user_only", bool()),
    ];
    let plan = [("conforms", bool()), ("standing", string()), ("step", optional(long()))];
    vec![
        ("asked", string()),
        ("grounding", record(grounding)),
        ("loop", record([("repeats", long())])),
        ("plan", optional(record(plan))),
        ("principal", optional(principal)),
        ("rate", record([("agent_minute", long()), ("session_minute", long())])),
        ("session", record(session)),
        ("signals", record(signals(named))),
        ("spend", record([("call", optional(decimal())), ("total", decimal()), ("unknown", bool())])),
    ]
}

fn signals(named: bool) -> Vec<(&'static str, Value)> {
    let bools = |names: &[&'static str]| names.iter().map(|name| (*name, bool())).collect::<Vec<_>>();
    let mut sql = bools(&[
        "comments",
        "ddl",
        "escapes",
        "grants",
        "reads",
        "tautology",
        "unfiltered",
        "unparsed",
        "writes",
    ]);
    sql.extend([("statements", long()), ("tables", strings())]);
    let mut shell = bools(&[
        "destructive",
        "dynamic",
        "inline_code",
        "network",
        "pipe_to_shell",
        "privileged",
        "redirects",
        "substitution",
        "unparsed",
    ]);
    shell.extend(["commands", "programs", "pushes"].map(|name| (name, strings())));
    let mut signals: Vec<(&str, Value)> =
        ["encoded", "instructions", "invisible", "lookalike", "over_budget"]
            .map(|name| (name, bool()))
            .into();
    signals.extend([
        ("classes", strings()),
        ("shell", optional(record(shell))),
        ("sql", optional(record(sql))),
    ]);
    if named {
        signals.push(("named", strings()));
    }
    signals
}

fn string() -> Value {
    json!({"type": "String"})
}

fn strings() -> Value {
    json!({"type": "Set", "element": {"type": "String"}})
}

fn bool() -> Value {
    json!({"type": "Boolean"})
}

fn long() -> Value {
    json!({"type": "Long"})
}

fn decimal() -> Value {
    json!({"type": "Extension", "name": "decimal"})
}

fn optional(mut of_type: Value) -> Value {
    if let Some(of_type) = of_type.as_object_mut() {
        of_type.insert("required".to_owned(), Value::Bool(false));
    }
    of_type
}

fn record(attributes: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let attributes: Map<String, Value> =
        attributes.into_iter().map(|(name, of_type)| (name.to_owned(), of_type)).collect();
    json!({"type": "Record", "attributes": attributes})
}
