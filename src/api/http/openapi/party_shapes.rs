//! JSON Schemas of applications, tool servers, and what they say.

use serde_json::{Value, json};

use super::shapes::{UUID_7, base64, described, hash, id, index, name, object};
use crate::record::limits;

fn registered(title: &str, token: Option<&str>) -> Value {
    let mut required = vec!["name", "index", "revoked"];
    let mut members = json!({
        "name": described(id(), "Its name."),
        "index": index("Leaf index of the entry that says so."),
        "revoked": { "type": "boolean", "description": "Whether its registration has ended." },
    });
    if let (Some(prefix), Some(members)) = (token, members.as_object_mut()) {
        required.push("token");
        let pattern = format!("^{prefix}[A-Za-z0-9_-]+$");
        let told = json!({ "type": "string", "pattern": pattern, "description": "Its token: told here, once, and nowhere stored." });
        members.insert("token".to_owned(), told);
    }
    object(title, &required, members)
}

fn page(title: &str, member: &str, of: &str) -> Value {
    object(
        title,
        &[member],
        json!({ member: {
            "type": "array", "maxItems": limits::PAGE_MAX_ITEMS, "items": registered(of, None),
            "description": "In the order of their registration. A full page: ask for the next with ?after= the last one's registration.",
        } }),
    )
}

fn words(description: &str) -> Value {
    json!({ "type": "array", "maxItems": limits::WORDS_MAX, "items": { "type": "string" }, "description": description })
}

fn plan(description: &str) -> Value {
    let step = json!({
        "type": "object", "required": ["tool"],
        "properties": { "tool": name(limits::TOOL_NAME_MAX_BYTES, "The tool's name.") },
    });
    let steps = json!({ "type": "array", "maxItems": limits::PLAN_STEPS_MAX, "items": step, "description": "Its steps." });
    described(object("A plan", &["steps"], json!({ "steps": steps })), description)
}

fn id_of_retry() -> Value {
    json!({ "type": "string", "pattern": UUID_7, "description": "A UUIDv7; makes retries safe." })
}

/// By their names in the document.
pub(super) fn components() -> [(&'static str, Value); 10] {
    let new_session = object(
        "A session to open",
        &["agent", "session", "words"],
        json!({
            "id": id_of_retry(),
            "agent": described(id(), "The agent's name."),
            "session": described(id(), "The session, as the agent's intents name it."),
            "principal": object("The end user", &["id"], json!({
                "id": name(limits::PRINCIPAL_MAX_BYTES, "Who, as the application names its users; up to this many bytes."),
                "roles": { "type": "array", "maxItems": limits::ROLES_MAX, "items": id(), "description": "The roles that the application gives them." },
            })),
            "environment": described(id(), "prod, staging, …"),
            "words": words("The user's own words, oldest first."),
            "plan": plan("What the user agreed to."),
            "delegation_depth": { "type": "integer", "minimum": 0, "maximum": limits::DELEGATION_DEPTH_MAX, "description": "How many agents stand between the user and this one." },
        }),
    );
    let new_turn = object(
        "What the user said",
        &["words"],
        json!({
            "id": id_of_retry(),
            "words": words("The user's own words."),
            "plan": plan("What the user agrees to from here on; absent, the plan before holds."),
        }),
    );
    let new_outcome = object(
        "What became of a call",
        &["call", "status", "result"],
        json!({
            "call": described(id(), "The call's id in its intent."),
            "status": { "enum": ["ok", "error"], "description": "Whether the call did what it was to do." },
            "result": { "description": "What the tool answered: any JSON." },
        }),
    );
    let seed = object("The seed of its record", &["seed"], json!({ "seed": hash() }));
    let sealed = object(
        "A leaf, and what proves and opens it",
        &["id", "index", "receipt", "entry", "opening"],
        json!({
            "id": { "type": "string", "pattern": UUID_7, "description": "The entry's id." },
            "index": index("Its leaf index."),
            "receipt": { "type": "string", "pattern": "^c2sp\\.org/tlog-proof@v1\\n", "description": "A C2SP tlog-proof." },
            "entry": described(base64(), "The leaf's bytes."),
            "opening": object("What opens its commitment", &["declared"], json!({ "declared": seed })),
        }),
    );
    [
        (
            "NewParty",
            object("One to register", &["name"], json!({ "name": described(id(), "Its name, for good.") })),
        ),
        ("RegisteredApplication", registered("An application with its new token", Some("fsp_"))),
        ("RegisteredToolServer", registered("A tool server with its new token", Some("fst_"))),
        ("RevokedParty", registered("The end of a registration", None)),
        ("Applications", page("A page of applications", "applications", "A registered application")),
        ("ToolServers", page("A page of tool servers", "tool_servers", "A registered tool server")),
        ("NewSession", new_session),
        ("NewTurn", new_turn),
        ("NewOutcome", new_outcome),
        ("SealedRecord", sealed),
    ]
}
