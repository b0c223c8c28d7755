//! The Cedar schema of a bundle: what rules are validated against and requests are built to.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::Schema;
use serde_json::{Map, Value, json};

use super::tools::{GROUPS, Tool, UNREGISTERED, UNREGISTERED_GROUPS};

/// Generates the schema from the registered tools, by their names in rules.
///
/// # Errors
/// Cedar's own words, where it refuses a name or a type.
pub(super) fn generate(tools: &BTreeMap<String, Tool>) -> Result<Schema, String> {
    Schema::from_json_value(json(tools)).map_err(|error| error.to_string())
}

fn json(tools: &BTreeMap<String, Tool>) -> Value {
    let groups: BTreeSet<&str> = GROUPS
        .into_iter()
        .chain(tools.values().flat_map(|tool| tool.groups.iter().map(String::as_str)))
        .collect();
    let mut actions: Map<String, Value> =
        groups.into_iter().map(|group| (group.to_owned(), json!({}))).collect();
    actions.insert(UNREGISTERED.to_owned(), action(&UNREGISTERED_GROUPS, None));
    for (id, tool) in tools {
        let groups: Vec<&str> = tool.groups.iter().map(String::as_str).collect();
        actions.insert(id.clone(), action(&groups, Some(&tool.fields.cedar_type())));
    }
    let string = json!({"type": "String"});
    let bool = json!({"type": "Boolean"});
    json!({"": {
        "entityTypes": {
            "Agent": {"shape": record(&[
                ("name", &string),
                ("roles", &json!({"type": "Set", "element": {"type": "String"}})),
                ("signed", &bool),
            ])},
            "Tool": {"shape": record(&[("name", &string), ("registered", &bool), ("server", &string)])},
        },
        "actions": actions,
    }})
}

/// An action that applies to any agent and tool; without `args` where no schema is known.
fn action(groups: &[&str], args: Option<&Value>) -> Value {
    let string = json!({"type": "String"});
    let optional = json!({"type": "String", "required": false});
    let long = json!({"type": "Long"});
    let tool = record(&[("name", &string), ("server", &string)]);
    let claimed = record(&[
        ("goal_stated", &json!({"type": "Boolean"})),
        ("observations", &long),
        ("reasoning_steps", &long),
    ]);
    let time = record(&[("ms", &long)]);
    let unrepresented = json!({"type": "Set", "element": {"type": "String"}});
    let mut attributes = vec![
        ("calls_in_intent", &long),
        ("claimed", &claimed),
        ("environment", &optional),
        ("principal", &optional),
        ("time", &time),
        ("tool", &tool),
        ("unrepresented", &unrepresented),
    ];
    if let Some(args) = args {
        attributes.push(("args", args));
    }
    let parents: Vec<Value> = groups.iter().map(|group| json!({"id": group})).collect();
    json!({
        "memberOf": parents,
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": ["Tool"],
            "context": record(&attributes),
        },
    })
}

fn record(attributes: &[(&str, &Value)]) -> Value {
    let attributes: Map<String, Value> =
        attributes.iter().map(|(name, of_type)| ((*name).to_owned(), (*of_type).clone())).collect();
    json!({"type": "Record", "attributes": attributes})
}
