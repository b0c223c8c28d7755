//! Examples in the document. The intent and its answer are the real ones of `examples/receipt`; a test validates each.

use serde_json::{Value, json};

const INTENT: &str = include_str!("../../../../examples/receipt/intent.json");
const ANSWER: &str = include_str!("../../../../examples/receipt/answer.json");
pub(super) const SESSION_ID: &str = "01a1fc83-1ca4-7286-8eaa-163f6fbd2b51";
const SEED: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const RULE: &str = "@id(\"registered-tools\") @reason(\"registered\")\npermit (principal, action in Action::\"call\", resource);\n";

const TOOLS: &str = r#"{"tools":[{"server":"bank","name":"get_balance","groups":["read"],"description":"The balance of an account.","input":{"type":"object","properties":{"account":{"type":"string"}}}}]}"#;

/// A file that is no JSON shows as null, which fits no schema: the test of the examples fails then.
fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

pub(super) fn intent() -> Value {
    file(INTENT)
}

pub(super) fn answer() -> Value {
    file(ANSWER)
}

pub(super) fn receipt() -> String {
    answer().get("receipt").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The checkpoint ends a receipt, behind its second empty line.
pub(super) fn checkpoint() -> String {
    receipt().splitn(3, "\n\n").skip(1).collect::<Vec<_>>().join("\n\n")
}

pub(super) fn payload() -> Value {
    let (answer, seed) = (answer(), answer().pointer("/opening/declared/seed").cloned());
    json!({
        "id": answer.get("id"), "index": answer.get("index"), "declared": INTENT, "declared_seed": seed,
    })
}

pub(super) fn new_agent() -> Value {
    json!({ "name": "payments-bot", "roles": ["payments"] })
}

pub(super) fn rotation() -> Value {
    json!({})
}

fn agent() -> Value {
    json!({ "agent": "payments-bot", "index": 2, "roles": ["payments"], "signs": false, "revoked": false })
}

pub(super) fn registered_agent() -> Value {
    let mut agent = agent();
    if let Some(members) = agent.as_object_mut() {
        members.insert("token".to_owned(), "fsk_an-example-and-nobody-s-token".into());
    }
    agent
}

pub(super) fn agents() -> Value {
    json!({ "agents": [agent()] })
}

pub(super) fn revoked() -> Value {
    json!({ "agent": "payments-bot", "index": 9, "revoked": true })
}

fn party(name: &str, token: Option<&str>, revoked: bool) -> Value {
    let mut party = json!({ "name": name, "index": 3, "revoked": revoked });
    if let (Some(token), Some(members)) = (token, party.as_object_mut()) {
        members.insert("token".to_owned(), token.into());
    }
    party
}

pub(super) fn new_application() -> Value {
    json!({ "name": "helpdesk" })
}

pub(super) fn new_server() -> Value {
    json!({ "name": "bank" })
}

pub(super) fn registered_application() -> Value {
    party("helpdesk", Some("fsp_an-example-and-nobody-s-token"), false)
}

pub(super) fn registered_server() -> Value {
    party("bank", Some("fst_an-example-and-nobody-s-token"), false)
}

pub(super) fn revoked_application() -> Value {
    party("helpdesk", None, true)
}

pub(super) fn revoked_server() -> Value {
    party("bank", None, true)
}

pub(super) fn applications() -> Value {
    json!({ "applications": [party("helpdesk", None, false)] })
}

pub(super) fn servers() -> Value {
    json!({ "tool_servers": [party("bank", None, false)] })
}

pub(super) fn new_session() -> Value {
    json!({
        "id": SESSION_ID, "agent": "payments-bot", "session": "invoice-2026-118", "principal": { "id": "alice@example.com", "roles": ["customer"] },
        "environment": "prod", "words": ["Please pay the invoice of the paper mill."],
    })
}

pub(super) fn new_turn() -> Value {
    json!({ "words": ["And tell me the balance after it."] })
}

pub(super) fn new_outcome() -> Value {
    json!({ "call": "c1", "status": "ok", "result": { "balance": 1250.5, "currency": "EUR" } })
}

pub(super) fn sealed_record() -> Value {
    let answer = answer();
    let members = ["id", "index", "receipt", "entry", "opening"];
    members.iter().map(|name| ((*name).to_owned(), answer.get(*name).cloned().unwrap_or_default())).collect()
}

fn files() -> Value {
    json!({ "rules.cedar": RULE, "tools.json": TOOLS })
}

pub(super) fn new_policy() -> Value {
    json!({ "files": files() })
}

fn active(unchanged: bool) -> Value {
    let digest = "cc14ebcd86315cdc546fe9a34f5fed0969ec33273eaca72f06b2b99e9d04a89a";
    json!({ "index": 1, "digest": digest, "mode": "enforce", "files": files(), "unchanged": unchanged })
}

pub(super) fn policy() -> Value {
    active(false)
}

pub(super) fn policy_unchanged() -> Value {
    active(true)
}

pub(super) fn policy_restored() -> Value {
    let mut restored = active(false);
    if let Some(members) = restored.as_object_mut() {
        members.insert("index".to_owned(), 9.into());
        members.insert("restores".to_owned(), 1.into());
    }
    restored
}

pub(super) fn rollback() -> Value {
    json!({ "to": 1 })
}

pub(super) fn withdrawal() -> Value {
    json!({ "index": 8, "at": "2026-11-21T10:00:00.000Z", "mode": "withdraw", "ends": 7, "active": false, "shadow": false })
}

pub(super) fn policies() -> Value {
    let digest = active(false).get("digest").cloned();
    let first = json!({
        "index": 1, "at": "2026-11-21T09:00:00.000Z", "mode": "enforce", "digest": digest,
        "author": "operator, unsigned", "rules": 1, "active": true, "shadow": false,
    });
    json!({ "policies": [first, withdrawal()] })
}

pub(super) fn inclusion() -> Value {
    json!({ "index": 1, "size": 2, "path": [SEED] })
}

pub(super) fn consistency() -> Value {
    json!({ "from": 1, "to": 2, "proof": [SEED] })
}

pub(super) fn new_export() -> Value {
    json!({ "from": 0, "to": 1, "reveal": ["all"], "reveal_evaluation": true })
}

pub(super) fn readiness() -> Value {
    json!({ "ready": true })
}

pub(super) fn description() -> Value {
    json!({ "openapi": "3.1.0", "info": { "title": "Foreseal", "version": "0.1.0" }, "paths": {} })
}
