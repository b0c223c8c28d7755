//! JSON Schemas of what goes in and out, with their limits from the code.
//!
//! `Answer` and `Problem` are the files in `schemas/`, which the verifiers use too; everything else is written here and
//! is in no other place: `schemas/openapi.json` and `schemas/intent.schema.json` are made from it.

use serde_json::{Map, Value, json};

use super::party_shapes;
use crate::record::limits;

const ANSWER: &str = include_str!("../../../../schemas/answer.schema.json");
const PROBLEM: &str = include_str!("../../../../schemas/problem.schema.json");

/// RFC 3339 with a `T`, an offset and at most nine digits of fraction; 1970 to 9999, no leap seconds.
const TIME: &str = "^(19[7-9][0-9]|[2-9][0-9]{3})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
pub(super) const UUID_7: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
const HASH: &str = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$";
pub(super) const HEX_32: &str = "^[0-9a-f]{64}$";
/// A strict base64 of any length.
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$";

/// An id, a session, a name of an agent, a role.
pub(super) fn id() -> Value {
    json!({ "type": "string", "pattern": format!("^[A-Za-z0-9._:-]{{1,{}}}$", limits::ID_MAX_CHARS) })
}

/// The id of an intent in a path: any spelling of a UUID is understood there.
pub(super) fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

/// A leaf index or a size in a query.
pub(super) fn number() -> Value {
    json!({ "type": "integer", "minimum": 0, "maximum": limits::JSON_MAX_INTEGER })
}

/// A hash, a seed, a public key.
pub(super) fn hash() -> Value {
    json!({ "type": "string", "pattern": HASH, "minLength": 44, "maxLength": 44, "description": "base64 of 32 bytes" })
}

/// Bytes of any length.
pub(super) fn base64() -> Value {
    json!({ "type": "string", "pattern": BASE64 })
}

/// The value of `Foreseal-Signature`.
pub(super) fn signature_header() -> Value {
    json!({ "type": "string", "maxLength": 1024, "description": "keyid=\"hex SHA-256 of the public key\", sig=\"base64 of 64 bytes\"" })
}

/// What follows `/tile/`.
pub(super) fn tile_path() -> Value {
    json!({
        "type": "string",
        "pattern": "^(entries|[0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/)*[0-9]{3}(\\.p/([1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?$",
    })
}

#[expect(clippy::needless_pass_by_value, reason = "written where it is called, and moved into the schema")]
pub(super) fn object(title: &str, required: &[&str], properties: Value) -> Value {
    json!({
        "title": title, "type": "object", "additionalProperties": false, "required": required,
        "properties": properties,
    })
}

pub(super) fn described(mut schema: Value, description: &str) -> Value {
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), description.into());
    }
    schema
}

fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

/// 1 to so many bytes: so many characters at most.
pub(super) fn name(bytes_max: usize, description: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": bytes_max, "description": description })
}

pub(super) fn index(description: &str) -> Value {
    described(number(), description)
}

/// The body of `POST /v1/intents`, by itself: `schemas/intent.schema.json`.
fn intent() -> Value {
    let mut schema = object(
        "What an agent declares before it acts: the body of POST /v1/intents",
        &["agent", "session", "calls"],
        json!({
            "id": { "type": "string", "pattern": UUID_7, "description": "A UUIDv7; makes retries safe. Required when the intent is signed." },
            "created": { "type": "string", "pattern": TIME, "description": "When the agent made it: RFC 3339, a date that exists. Required when signed." },
            "client_seq": index("The agent's own counter."),
            "client_prev": described(hash(), "Leaf hash of the last receipt this agent holds, base64."),
            "agent": described(id(), "The agent's name, that of its credential."),
            "session": described(id(), "The agent's session."),
            "principal": name(limits::PRINCIPAL_MAX_BYTES, "The end user it says it acts for; up to this many bytes."),
            "environment": described(id(), "prod, staging, …"),
            "goal": text("What was asked, in the user's words."),
            "reasoning": {
                "type": "array", "maxItems": limits::REASONING_STEPS_MAX, "items": { "type": "string" },
                "description": "Thoughts, oldest first.",
            },
            "calls": {
                "type": "array", "minItems": 1, "maxItems": limits::CALLS_MAX, "items": { "$ref": "#/$defs/call" },
                "description": "The planned tool calls; their ids differ.",
            },
            "observations": {
                "type": "array", "maxItems": limits::OBSERVATIONS_MAX, "items": { "$ref": "#/$defs/observation" },
                "description": "What the agent has read.",
            },
            "plan": described(id(), "Id of a sealed plan."),
            "atomic": { "type": "boolean", "default": true, "description": "Whether one stopped call stops all of them." },
            "trace": { "type": "object", "additionalProperties": { "$ref": "#/$defs/json" }, "description": "Trace context, kept as it is." },
        }),
    );
    let defs = json!({ "call": call(), "observation": observation(), "json": any_json() });
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("$defs".to_owned(), defs);
    }
    schema
}

fn call() -> Value {
    object(
        "One planned tool call",
        &["id", "tool", "args"],
        json!({
            "id": described(id(), "Unique within the intent."),
            "server": name(limits::SERVER_NAME_MAX_BYTES, "The tool server; absent where there is none."),
            "tool": name(limits::TOOL_NAME_MAX_BYTES, "The tool's name; up to this many bytes of UTF-8."),
            "args": { "type": "object", "additionalProperties": { "$ref": "#/$defs/json" }, "description": "The arguments." },
            "after": {
                "type": "array", "maxItems": limits::CALLS_MAX, "items": id(),
                "description": "Calls of this intent that come first; no circles.",
            },
        }),
    )
}

fn observation() -> Value {
    object(
        "Something the agent has read",
        &["source", "content"],
        json!({
            "source": name(limits::TOOL_NAME_MAX_BYTES, "The tool or channel it came from; up to this many bytes."),
            "call": described(id(), "The call that brought it."),
            "trust": { "enum": ["trusted", "untrusted"], "description": "What the agent says of it; believed only where it makes a decision stricter." },
            "content": { "$ref": "#/$defs/json", "description": "Any JSON." },
        }),
    )
}

/// Any JSON whose whole numbers every implementation holds exactly (RFC 7493).
fn any_json() -> Value {
    let max = limits::JSON_MAX_INTEGER;
    json!({
        "title": "Any JSON, whole numbers within ±(2^53 - 1)",
        "anyOf": [
            { "type": ["null", "boolean", "string"] },
            { "type": "number", "minimum": -max, "maximum": max },
            { "type": "array", "items": { "$ref": "#/$defs/json" } },
            { "type": "object", "additionalProperties": { "$ref": "#/$defs/json" } },
        ],
    })
}

fn agents() -> [(&'static str, Value); 6] {
    let roles =
        json!({ "type": "array", "maxItems": limits::ROLES_MAX, "items": id(), "description": "Its roles." });
    let key = json!({ "type": ["string", "null"], "pattern": HASH, "description": "Its Ed25519 public key, base64 of 32 bytes, if it signs its intents." });
    let registered = |title: &str, token: bool| {
        let mut required = vec!["agent", "index", "roles", "signs", "revoked"];
        let mut members = json!({
            "agent": described(id(), "Its name."),
            "index": index("Leaf index of the entry that says so."),
            "roles": roles,
            "signs": { "type": "boolean", "description": "Whether its intents must be signed." },
            "revoked": { "type": "boolean", "description": "Whether its registration has ended." },
        });
        if token && let Some(members) = members.as_object_mut() {
            required.push("token");
            let told = json!({ "type": "string", "pattern": "^fsk_[A-Za-z0-9_-]+$", "description": "Its token: told here, once, and nowhere stored." });
            members.insert("token".to_owned(), told);
        }
        object(title, &required, members)
    };
    [
        (
            "NewAgent",
            object(
                "An agent to register",
                &["name"],
                json!({ "name": described(id(), "Its name, for good."), "roles": roles, "public_key": key }),
            ),
        ),
        (
            "NewExport",
            object(
                "A range to hand out, and what to show of it",
                &["from", "to"],
                json!({
                    "from": { "description": "The first leaf.", "type": "integer", "minimum": 0, "maximum": limits::JSON_MAX_INTEGER },
                    "to": { "description": "The leaf behind the last one.", "type": "integer", "minimum": 0, "maximum": limits::JSON_MAX_INTEGER },
                    "reveal": {
                        "description": "`all`, an intent's id, `id:/json/pointer` for a field or what is below it, or `id:` for the list of all fields.",
                        "type": "array", "items": { "type": "string" },
                    },
                    "reveal_evaluation": { "description": "The evaluations of those intents too.", "type": "boolean" },
                }),
            ),
        ),
        ("Rotation", object("A new credential", &[], json!({ "public_key": key }))),
        ("RegisteredAgent", registered("An agent with its new token", true)),
        (
            "Agents",
            object(
                "A page of agents",
                &["agents"],
                json!({ "agents": {
                    "type": "array", "maxItems": limits::PAGE_MAX_ITEMS, "items": registered("A registered agent", false),
                    "description": "In the order of their registration. A full page: ask for the next with ?after= the last one's registration.",
                } }),
            ),
        ),
        (
            "Revoked",
            object(
                "The end of a registration",
                &["agent", "index", "revoked"],
                json!({ "agent": described(id(), "Its name."), "index": index("Leaf index of the entry that says so."), "revoked": { "const": true } }),
            ),
        ),
    ]
}

fn reads() -> [(&'static str, Value); 5] {
    let hashes = |description: &str| json!({ "type": "array", "maxItems": 64, "items": hash(), "description": description });
    [
        (
            "Payload",
            object(
                "What an intent's leaf commits to",
                &["id", "index", "declared", "declared_seed"],
                json!({
                    "id": { "type": "string", "pattern": UUID_7 },
                    "index": index("Its leaf index."),
                    "declared": text("The declared document, exactly as it came in."),
                    "declared_seed": described(hash(), "Opens its commitment."),
                    "signature": { "type": "string", "pattern": BASE64, "description": "The agent's signature over its statement, if it signs." },
                    "evaluation": { "type": "object", "description": "What was decided on; for operators only." },
                    "evaluation_seed": described(hash(), "Opens its commitment; for operators only."),
                }),
            ),
        ),
        (
            "InclusionProof",
            object(
                "That a leaf is in a tree (RFC 9162 section 2.1.3)",
                &["index", "size", "path"],
                json!({ "index": index("The leaf."), "size": index("The size of the tree."), "path": hashes("The leaf's sibling first.") }),
            ),
        ),
        (
            "ConsistencyProof",
            object(
                "That a tree continues an older one (RFC 9162 section 2.1.4)",
                &["from", "to", "proof"],
                json!({ "from": index("The older size."), "to": index("The newer size."), "proof": hashes("The proof.") }),
            ),
        ),
        (
            "Description",
            json!({ "title": "An OpenAPI 3.1 document", "type": "object", "required": ["openapi", "info", "paths"] }),
        ),
        (
            "Readiness",
            json!({
                "title": "That intents would be sealed now", "type": "object", "required": ["ready"],
                "additionalProperties": false,
                "properties": { "ready": { "const": true } },
            }),
        ),
    ]
}

/// Every schema of the document by its name, references within each made relative to the document.
///
/// # Errors
/// A file of `schemas/` that is no JSON.
pub(super) fn components() -> Result<Map<String, Value>, serde_json::Error> {
    let mut all = Map::new();
    let files = [("Answer", serde_json::from_str(ANSWER)?), ("Problem", serde_json::from_str(PROBLEM)?)];
    let own = [("Intent", intent())]
        .into_iter()
        .chain(agents())
        .chain(party_shapes::components())
        .chain(super::policies::components())
        .chain(reads());
    for (name, mut schema) in files.into_iter().chain(own) {
        if let Some(schema) = schema.as_object_mut() {
            schema.remove("$schema");
            schema.remove("$id");
        }
        anchor(&mut schema, name);
        all.insert(name.to_owned(), schema);
    }
    Ok(all)
}

/// `#/$defs/x` within a file is `#/components/schemas/Name/$defs/x` within the document.
fn anchor(schema: &mut Value, name: &str) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(target) if key == "$ref" => {
                        *target =
                            target.replacen("#/$defs/", &format!("#/components/schemas/{name}/$defs/"), 1);
                    }
                    other => anchor(other, name),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| anchor(item, name)),
        _ => {}
    }
}

/// The schema of an intent as a file of its own.
pub(super) fn intent_file() -> Value {
    let mut schema = intent();
    if let Some(members) = schema.as_object_mut() {
        members.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        members.insert("$id".to_owned(), "intent.schema.json".into());
    }
    schema
}
