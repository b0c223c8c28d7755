//! What a `tools.json` leaves unsaid, and what follows from that.

use serde_json::Value;

use super::listing::{ListingError, listed};
use super::merge::RegistryError;
use super::places::{Text, texts};
use crate::policy::finding::{Finding, Severity, shown};
use crate::policy::tools::{self, ACT, Tool, action_id};
use crate::policy::version::FactsForm;

/// Lists what is not labelled in the text of a `tools.json`, in the order of the file.
///
/// # Errors
/// It is not one that loads.
pub fn lint(file: &str, text: &str) -> Result<Vec<Finding>, RegistryError> {
    let known = tools::read(FactsForm::NOW, text).map_err(RegistryError::Faults)?;
    let mut findings = Vec::new();
    for entry in listed(text).map_err(|error: ListingError| RegistryError::Existing(error))? {
        let id = action_id(entry.server.as_deref().unwrap_or_default(), &entry.name);
        let Some(tool) = known.get(&id) else { continue };
        let look = Look { file, at: &entry.at, id: shown(&id), tool, whole: &entry.whole };
        let texts = entry.input.as_ref().map(texts).unwrap_or_default();
        findings.extend(look.of_arguments(&texts));
        findings.extend(look.of_the_tool(&texts));
        findings.extend(look.of_its_output());
    }
    Ok(findings)
}

/// A tool that is looked at.
struct Look<'a> {
    file: &'a str,
    at: &'a str,
    id: String,
    tool: &'a Tool,
    whole: &'a Value,
}

impl Look<'_> {
    fn found(
        &self,
        rule: &'static str,
        severity: Severity,
        message: String,
        follows: &'static str,
        hint: String,
    ) -> Finding {
        Finding {
            rule,
            severity,
            threat: None,
            file: self.file.to_owned(),
            at: self.at.to_owned(),
            tool: Some(self.id.clone()),
            message,
            follows: Some(follows),
            excerpt: None,
            hint,
        }
    }

    fn is_in(&self, group: &str) -> bool {
        self.tool.groups.iter().any(|own| own == group)
    }

    fn says(&self, pointer: &str) -> bool {
        self.whole.pointer(pointer).is_some()
    }

    /// Is this place, or one that it lies in or that lies in it, named in one of these lists?
    fn is_said(&self, at: &str) -> bool {
        let labels = &self.tool.labels;
        let places = labels.destinations.iter().chain(&labels.selectors).map(|place| place.at.as_str());
        let mut places = places
            .chain(labels.payload.iter().map(|place| place.as_str()))
            .chain(labels.parse.iter().map(|parse| parse.at.as_str()));
        places.any(|said| {
            let below = |inner: &str, outer: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            below(said, at) || below(at, said)
        })
    }

    fn of_arguments(&self, texts: &[Text]) -> Vec<Finding> {
        let mut findings = Vec::new();
        if !self.says("/input") {
            findings.push(
                self.found(
                    "no-arguments",
                    Severity::Medium,
                    "the registry does not know its arguments".to_owned(),
                    "no rule can read them: all of them are in context.unrepresented",
                    "give \"input\", the JSON Schema from the server's tools/list: `foreseal tool import`"
                        .to_owned(),
                ),
            );
        }
        if !self.tool.labels.labelled {
            findings.push(self.found(
                "no-destinations",
                Severity::High,
                "nobody says which arguments are destinations".to_owned(),
                "wherever it goes is ungrounded: rules about strangers stop every call",
                "give \"destinations\", with [] where it has none".to_owned(),
            ));
        }
        for text in texts.iter().filter(|text| !self.is_said(&text.at)) {
            let at = shown(&text.at);
            if let Some(language) = text.language() {
                findings.push(self.found(
                    "not-parsed",
                    Severity::Medium,
                    format!("{at} is {language} by its name, and no parser reads it"),
                    "rules have no context.signals.sql or .shell to look at",
                    format!("give \"parse\": [{{\"at\": \"{at}\", \"as\": \"{language}\"}}]"),
                ));
            } else if let Some(kind) = text.suggests().filter(|_| self.tool.labels.labelled) {
                let severity = if self.is_in(ACT) { Severity::High } else { Severity::Medium };
                findings.push(self.found(
                    "unsaid-argument",
                    severity,
                    format!("{at} looks like a destination, and is neither that nor payload nor selector"),
                    "where it leads is compared with nothing: a stranger's value passes as the user's would",
                    format!(
                        "put it into \"destinations\", as {{\"at\": \"{at}\", \"type\": \"{kind}\"}}, or into \"payload\" or \"selectors\""
                    ),
                ));
            }
        }
        findings
    }

    fn of_the_tool(&self, texts: &[Text]) -> Vec<Finding> {
        let labels = &self.tool.labels;
        let mut findings = Vec::new();
        // Every tool is in "call".
        if self.tool.groups.len() < 2 {
            findings.push(self.found(
                "no-groups",
                Severity::High,
                "it is in no group".to_owned(),
                "rules for external, destructive or payment tools do not see it",
                "give \"groups\", as in [\"read\"] or [\"external\", \"message\"]".to_owned(),
            ));
        }
        if !self.tool.pinned {
            findings.push(self.found(
                "not-pinned",
                Severity::Medium,
                "it is not pinned".to_owned(),
                "a description or schema that its server changes is not noticed",
                format!(
                    "set \"pin\" to \"{}\", the digest of what stands here, once somebody has read it",
                    hex::encode(self.tool.digest)
                ),
            ));
        }
        let carries = texts.iter().any(|text| !self.is_said(&text.at) && text.suggests().is_none());
        if (self.is_in("external") || self.is_in("message")) && labels.payload.is_empty() && carries {
            findings.push(self.found(
                "no-payload",
                Severity::Low,
                "it takes something outside, and nobody says which arguments carry it".to_owned(),
                "what untrusted content it passes on is not noticed",
                "give \"payload\", as in [\"/body\"]".to_owned(),
            ));
        }
        let for_good =
            ["destructive", "payment", "message", "physical"].iter().any(|group| self.is_in(group));
        if for_good && !self.says("/irreversible") {
            findings.push(self.found(
                "irreversible-unsaid",
                Severity::Low,
                "nobody says whether it can be undone".to_owned(),
                "resource.irreversible is false",
                "say \"irreversible\": true or false".to_owned(),
            ));
        }
        if self.is_in(ACT) && labels.asked.is_empty() {
            findings.push(self.found(
                "no-words",
                Severity::Info,
                "nobody says by which words people ask for it".to_owned(),
                "context.asked is \"unknown\"",
                "give \"asked\", as in [\"pay\", \"transfer\"]".to_owned(),
            ));
        }
        findings
    }

    fn of_its_output(&self) -> Vec<Finding> {
        let reads = ["read", "fetch"].iter().any(|group| self.is_in(group)) || self.tool.groups.len() < 2;
        let severity = if reads { Severity::Medium } else { Severity::Low };
        let mut findings = Vec::new();
        if !self.says("/output/untrusted") {
            findings.push(self.found(
                "untrusted-unsaid",
                severity,
                "nobody says whether strangers write what it returns".to_owned(),
                "what it returns taints nothing, and labels no session",
                "say \"output\": {\"untrusted\": true}, or false".to_owned(),
            ));
        }
        if !self.says("/output/sensitive") {
            findings.push(self.found(
                "sensitive-unsaid",
                severity,
                "nobody says whether what it returns is confidential".to_owned(),
                "a session that read it is not labelled sensitive",
                "say \"output\": {\"sensitive\": true}, or false".to_owned(),
            ));
        }
        if reads && !self.says("/output/authoritative") {
            findings.push(self.found(
                "authoritative-unsaid",
                Severity::Info,
                "nobody says which values in what it returns are believed".to_owned(),
                "nothing that it returns grounds a destination",
                "give \"output\": {\"authoritative\": [{\"at\": \"/*/iban\", \"type\": \"iban\"}]}, or []".to_owned(),
            ));
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(tool: &Value) -> Vec<&'static str> {
        let text = json!({ "tools": [tool] }).to_string();
        lint("tools.json", &text).unwrap().into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn each_omission_is_told_and_nothing_else() {
        let input = json!({"type": "object", "properties": {
            "to": {"type": "array", "items": {"type": "string"}}, "command": {"type": "string"}, "body": {"type": "string"}}});
        assert_eq!(
            rules(&json!({"name": "x"})),
            [
                "no-arguments",
                "no-destinations",
                "no-groups",
                "not-pinned",
                "untrusted-unsaid",
                "sensitive-unsaid",
                "authoritative-unsaid"
            ]
        );
        assert_eq!(
            rules(
                &json!({"name": "x", "groups": ["message", "external"], "input": input, "destinations": [],
                "output": {"untrusted": false, "sensitive": false}})
            ),
            ["not-parsed", "unsaid-argument", "not-pinned", "no-payload", "irreversible-unsaid", "no-words"]
        );
        let mut whole = json!({"name": "x", "groups": ["message", "external"], "input": input,
            "destinations": [{"at": "/to/*", "type": "email"}], "payload": ["/body"], "asked": ["send"],
            "parse": [{"at": "/command", "as": "shell"}], "irreversible": true,
            "output": {"untrusted": false, "sensitive": false}});
        assert_eq!(rules(&whole), ["not-pinned"]);
        let hint = lint("tools.json", &json!({ "tools": [whole] }).to_string()).unwrap().remove(0).hint;
        let pin = hint.split('"').nth(3).unwrap();
        whole["pin"] = pin.into();
        assert!(rules(&whole).is_empty(), "the pin that is proposed is the one that loads");
    }
}
