//! A server's manifest: where it comes from and what it may do. The rules, severities and sums are Agent-SPM's. What a
//! manifest says of itself, that it is verified included, is its author's word.

use serde_json::Value;

use super::{Finding, Place, Severity, Source, Threat};
use crate::policy::finding::shown;

const HIGH: [&str; 6] =
    ["filesystem.write", "network.outbound", "process.spawn", "env.read", "shell.execute", "database.admin"];
const MEDIUM: [&str; 4] = ["filesystem.read", "network.inbound", "clipboard.write", "browser.navigate"];
/// Permissions of high risk that are too many together.
const TOO_MANY: usize = 3;

pub(super) fn look(source: Source<'_>, document: &Value) -> Vec<Finding> {
    let name = document.get("name").and_then(Value::as_str).unwrap_or_default();
    let place = Place { file: source.file, at: String::new(), tool: Some(shown(name)) };
    let found = |at: &str, rule, severity, message: String, hint: &str| {
        place.found(at, rule, Threat::SupplyChain, severity, message, hint)
    };
    let missing = |member: &str| match document.get(member) {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    let mut findings = Vec::new();
    for (member, rule, severity, hint) in [
        (
            "version",
            "missing-version",
            Severity::Medium,
            "without a version nobody can say which one was looked at",
        ),
        ("publisher", "missing-publisher", Severity::Medium, "ask who publishes it"),
        ("source", "missing-source", Severity::High, "ask for its source: without it nobody can look"),
    ] {
        if missing(member) {
            findings.push(found("", rule, severity, format!("the manifest names no {member}"), hint));
        }
    }
    if document.get("verified") != Some(&Value::Bool(true)) {
        let message = "nobody says that the server was verified".to_owned();
        findings.push(found(
            "",
            "unverified-server",
            Severity::High,
            message,
            "verify it, and pin what you verified",
        ));
    }
    let permissions = document.get("permissions").and_then(Value::as_array);
    let permissions: Vec<&str> = permissions.into_iter().flatten().filter_map(Value::as_str).collect();
    if permissions.is_empty() {
        let message = "no permissions declared: perhaps not all are said".to_owned();
        let hint = "see with which rights it runs";
        findings.push(found("", "no-permissions-declared", Severity::Info, message, hint));
    }
    for (i, permission) in permissions.iter().enumerate() {
        let at = format!("/permissions/{i}");
        let hint = "run it where it cannot, if it need not";
        if HIGH.contains(permission) {
            let message = format!("asks for {permission}");
            findings.push(found(&at, "high-risk-permission", Severity::High, message, hint));
        } else if MEDIUM.contains(permission) {
            let message = format!("asks for {permission}");
            findings.push(found(&at, "medium-risk-permission", Severity::Medium, message, hint));
        }
    }
    let high = permissions.iter().filter(|permission| HIGH.contains(permission)).count();
    if high >= TOO_MANY {
        let message = format!("asks for {high} permissions of high risk");
        let hint = "do not use it, or use it where it has none of them";
        findings.push(found("/permissions", "excessive-permissions", Severity::Critical, message, hint));
    }
    findings
}
