//! What a definition asks for: its arguments, its name, its claims about itself.

use serde_json::Value;

use super::{Finding, Place, Severity, Threat};
use crate::policy::finding::{member, shown};
use crate::policy::registry::{Listed, parts};

/// What an argument is, by words in its name, or by all of it (`=`); the first that fits.
const ASKED: &[(&[&str], &str, Threat, Severity, &str)] = &[
    // What a tool needs of a conversation is its arguments; all of it is what somebody else wants.
    (
        &[
            "conversation",
            "chat history",
            "message history",
            "previous messages",
            "system prompt",
            "full context",
            "context window",
            "chain of thought",
            "reasoning",
            "thoughts",
            "sidenote",
            "side note",
            "scratchpad",
        ],
        "argument-for-the-conversation",
        Threat::ToolPoisoning,
        Severity::High,
        "an argument for the conversation, or for what the model thinks",
    ),
    (
        &[
            "password",
            "passwd",
            "passphrase",
            "api key",
            "apikey",
            "secret",
            "private key",
            "access token",
            "auth token",
            "refresh token",
            "credentials",
            "credential",
            "ssn",
            "cvv",
            "pin code",
            "seed phrase",
        ],
        "argument-for-secrets",
        Threat::ToolPoisoning,
        Severity::Medium,
        "an argument for a secret: it passes through the model, its context and every log",
    ),
    // The server's rights, used for somebody whom the caller names.
    (
        &[
            "on behalf of",
            "run as",
            "act as",
            "as user",
            "impersonate",
            "sudo",
            "effective user",
            "assume role",
        ],
        "argument-for-another-identity",
        Threat::ConfusedDeputy,
        Severity::High,
        "an argument for whose rights are used",
    ),
    (
        &["callback url", "callback", "webhook", "webhook url", "target url", "instructions", "override"],
        "argument-for-elsewhere",
        Threat::ToolPoisoning,
        Severity::Medium,
        "an argument for where results go, or for what else shall be done",
    ),
    (
        &["command", "cmd", "shell", "exec", "eval", "script", "=code", "source code"],
        "argument-that-runs",
        Threat::ToolPoisoning,
        Severity::Medium,
        "an argument that is run",
    ),
];

/// Words of names of tools that do what nobody undoes: a tool that says it only reads is not called so.
const DOING: [&str; 18] = [
    "add", "buy", "cancel", "create", "delete", "drop", "execute", "insert", "kill", "move", "pay", "post",
    "put", "remove", "send", "transfer", "update", "write",
];

pub(super) fn look(place: &Place<'_>, tool: &Listed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let at = if tool.whole.get("inputSchema").is_some() { "/inputSchema" } else { "/input" };
    match &tool.input {
        None => findings.push(place.found(
            "",
            "no-schema",
            Threat::ToolPoisoning,
            Severity::Low,
            "nothing says which arguments it takes",
            "ask the server's author for an inputSchema",
        )),
        Some(schema) if is_open(schema) => findings.push(place.found(
            at,
            "takes-anything",
            Threat::ToolPoisoning,
            Severity::Medium,
            "it takes whatever it is given",
            "ask the server's author for \"properties\"; until then no rule reads its arguments",
        )),
        Some(schema) => findings.extend(of_properties(place, at, schema)),
    }
    // The words of Agent-SPM's rule, as parts of the name: "retrieval" evaluates nothing.
    let dangerous = ["exec", "execute", "shell", "eval", "spawn", "system", "subprocess"];
    let words = parts(&tool.name);
    if let Some(word) = words.iter().find(|word| dangerous.contains(&word.as_str())) {
        findings.push(place.found(
            "/name",
            "dangerous-tool-name",
            Threat::SupplyChain,
            Severity::High,
            format!("its name says that it runs things: {word}"),
            "put it into the group \"execute\" and have its argument parsed as shell, or leave it out",
        ));
    }
    if tool.hints.read_only == Some(true)
        && let Some(word) = words.iter().find(|word| DOING.contains(&word.as_str()))
    {
        findings.push(place.found(
            "/annotations/readOnlyHint",
            "says-it-only-reads",
            Threat::ToolPoisoning,
            Severity::Medium,
            format!("it says that it only reads, and its name says {word}"),
            "believe the name: label it as what it does",
        ));
    }
    findings
}

fn is_open(schema: &Value) -> bool {
    let empty = schema.get("properties").and_then(Value::as_object).is_none_or(serde_json::Map::is_empty);
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    // A tool without arguments is listed without properties: only one that says it takes more is open.
    let more = schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
    let loose =
        schema.get("type").is_none() && schema.get("anyOf").is_none() && schema.get("oneOf").is_none();
    empty && !closed && (more || loose) && schema.get("$ref").is_none()
}

/// The properties, those of objects within included.
fn of_properties(place: &Place<'_>, at: &str, schema: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut open = vec![(schema, at.to_owned())];
    while let Some((schema, at)) = open.pop() {
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let below = member(&member(&at, "properties"), name);
            findings.extend(of_argument(place, &below, name));
            open.push((inner, below));
        }
        if let Some(items) = schema.get("items") {
            open.push((items, member(&at, "items")));
        }
    }
    findings
}

fn of_argument(place: &Place<'_>, at: &str, name: &str) -> Option<Finding> {
    let words = format!(" {} ", parts(name).join(" "));
    let fits = |wanted: &&&str| match wanted.strip_prefix('=') {
        Some(whole) => words.trim() == whole,
        None => words.contains(&format!(" {wanted} ")),
    };
    let (_, rule, threat, severity, message) =
        ASKED.iter().find(|(wanted, ..)| wanted.iter().any(|wanted| fits(&wanted)))?;
    let hint = "see what the server does with it; if the tool works without, leave it out of the registry's \"input\"";
    let found = place.found(at, rule, *threat, *severity, *message, hint);
    Some(Finding { excerpt: Some(shown(name)), ..found })
}
