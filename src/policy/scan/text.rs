//! Every text in a definition: names, descriptions, defaults, examples. The model reads them all.

use serde_json::Value;

use super::phrase::phrases;
use super::{Finding, Place, Severity, Threat};
use crate::policy::finding::{member, quoted, quoted_around};
use crate::policy::registry::Listed;
use crate::policy::signals::{Signals, of_call};

/// Members that are values for arguments: an order among them is an order to the tool as well.
const VALUES: [&str; 5] = ["default", "examples", "example", "enum", "const"];

pub(super) fn look(place: &Place<'_>, tool: &Listed) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut open = vec![(&tool.whole, String::new(), false)];
    while let Some((value, at, given)) = open.pop() {
        match value {
            Value::String(text) => findings.extend(of_text(place, &at, text, given)),
            Value::Array(items) => {
                open.extend(items.iter().enumerate().map(|(i, item)| (item, format!("{at}/{i}"), given)));
            }
            Value::Object(members) => {
                for (name, value) in members {
                    let below = member(&at, name);
                    findings.extend(of_name(place, &below, name));
                    open.push((value, below, given || VALUES.contains(&name.as_str())));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    findings
}

/// A member's name is text too.
fn of_name(place: &Place<'_>, at: &str, name: &str) -> Vec<Finding> {
    let signals = of_call(&Value::from(name), &[]);
    hidden(place, at, name, &signals)
}

fn of_text(place: &Place<'_>, at: &str, text: &str, given: bool) -> Vec<Finding> {
    let signals = of_call(&Value::from(text), &[]);
    let mut findings = hidden(place, at, text, &signals);
    let read = "read the whole definition; if it is meant, ask the server's author for plain words";
    for (phrase, start) in phrases(text) {
        let severity = if given { phrase.severity.max(Severity::High) } else { phrase.severity };
        let found = place.found(at, phrase.rule, phrase.threat, severity, phrase.message, phrase.hint);
        findings.push(Finding { excerpt: quoted_around(text, start), ..found });
    }
    if signals.instructions {
        let (threat, severity) = match given {
            true => (Threat::ToolPoisoning, Severity::Critical),
            false => (Threat::DescriptionInjection, Severity::High),
        };
        let message = if given { "a value that gives orders" } else { "text that gives orders" };
        let found = place.found(at, "gives-orders", threat, severity, message, read);
        findings.push(Finding { excerpt: quoted(text), ..found });
    }
    let leads = ["pii-email", "pii-iban"].iter().any(|class| signals.classes.contains(*class));
    if at.ends_with("/default") && (leads || text.starts_with("http://") || text.starts_with("https://")) {
        let message = "a default that leads somewhere: who leaves the argument out sends there";
        let hint =
            "leave the argument out of the registry's \"input\", or have rules demand a value of the user's";
        let (threat, rule) = (Threat::ToolPoisoning, "default-destination");
        let found = place.found(at, rule, threat, Severity::Medium, message, hint);
        findings.push(Finding { excerpt: quoted(text), ..found });
    }
    if signals.encoded {
        let message = "something readable, or much of something, under an encoding";
        let found = place.found(at, "encoded-text", Threat::HiddenInstruction, Severity::High, message, read);
        findings.push(Finding { excerpt: quoted(text), ..found });
    }
    let secrets: Vec<&str> =
        signals.classes.iter().map(String::as_str).filter(|class| class.starts_with("secret-")).collect();
    if !secrets.is_empty() {
        // Not quoted: it may be a real one.
        let message = format!("a credential ({}) in a definition", secrets.join(", "));
        let hint = "whoever lists the tools has it: revoke it";
        findings.push(place.found(
            at,
            "credential-in-definition",
            Threat::ToolPoisoning,
            Severity::High,
            message,
            hint,
        ));
    }
    if signals.over_budget {
        let message = "a text too large to be looked at";
        let hint = "no description is that long: read it";
        findings.push(place.found(at, "too-large", Threat::HiddenInstruction, Severity::High, message, hint));
    }
    findings
}

/// Characters that hide.
fn hidden(place: &Place<'_>, at: &str, text: &str, signals: &Signals) -> Vec<Finding> {
    let hint = "do not use this server before its author has explained them";
    let mut findings = Vec::new();
    if signals.invisible {
        findings.push(place.found(
            at,
            "invisible-characters",
            Threat::HiddenInstruction,
            Severity::Critical,
            "characters that nobody sees",
            hint,
        ));
    }
    if signals.lookalike {
        findings.push(place.found(
            at,
            "lookalike-letters",
            Threat::HiddenInstruction,
            Severity::High,
            "letters of several scripts that look like one",
            hint,
        ));
    }
    findings.into_iter().map(|found| Finding { excerpt: quoted(text), ..found }).collect()
}
