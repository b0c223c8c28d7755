//! `proofs.json`: what a bundle's rules are meant to hold whatever is asked, said by its author and proven by a solver.
//!
//! ```json
//! {"proofs": [
//!   {"id": "no-payment-to-strangers", "never": "action in Action::\"payment\" && context.grounding.destinations == \"ungrounded\""},
//!   {"id": "nothing-destructive", "never": "action in Action::\"destructive\"", "at_least": "deny"},
//!   {"id": "rules-never-fail", "never_errors": true},
//!   {"id": "no-dead-rules", "every_rule_decides": true}]}
//! ```
//! Every build reads and checks them; to prove them takes the feature `prove` and a solver.

use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicyId};
use serde::Deserialize;
use serde_json::Value;

use super::bundle::Bundle;
use super::expression::{demands, guarded};
use super::fault::{Fault, FaultKind, Place, Warning};
use super::rule::{self, is_name};
use crate::record::decision::Outcome;

/// The bundle's file of what is to be proven.
pub(super) const FILE: &str = "proofs.json";
/// Properties of one bundle.
const MOST: usize = 100;
/// Bytes of a condition: far below what its operators are bounded to.
const CONDITION_BYTES: usize = 16 << 10;

/// Something to be proven of a bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Its name in the bundle.
    pub id: String,
    /// What is to hold.
    pub property: Property,
}

/// What can be proven of a bundle by itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Property {
    /// No call of which the condition holds has a milder outcome than `at_least`.
    Never {
        /// The condition.
        condition: Condition,
        /// Deny, defer, hold or modify.
        at_least: Outcome,
    },
    /// No rule fails on any call: see "Rules that fail" in `docs/policy.md`.
    NeverErrors,
    /// There is, for every rule, a call about which no other rule says as much.
    EveryRuleDecides,
}

impl Property {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Never { condition, at_least } => {
                let never = match at_least {
                    Outcome::Deny => "always denied",
                    Outcome::Defer => "always denied or deferred",
                    Outcome::Hold => "never allowed without a condition",
                    _ => "never allowed as declared",
                };
                format!("{never}: {}", condition.text)
            }
            Self::NeverErrors => "no rule ever fails".to_owned(),
            Self::EveryRuleDecides => "every rule says something that no other says".to_owned(),
        }
    }
}

/// A condition over calls, as it was written and as Cedar reads it.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub(super) text: String,
    pub(super) tree: Value,
    /// Is there any call that can meet it, as far as types tell?
    possible: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    proofs: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    id: String,
    never: Option<String>,
    at_least: Option<Outcome>,
    never_errors: Option<bool>,
    every_rule_decides: Option<bool>,
}

type Wrong = (String, String);

/// Reads what is to be proven of a bundle whose rules and tools were read. What no call of these tools can meet is
/// proven whatever the rules say: that is warned of, and no fault, because the tools are often others than the rules'.
pub(super) fn read(text: &str, bundle: &Bundle) -> (Vec<Claim>, Vec<Warning>, Vec<Fault>) {
    let fault =
        |message: String, hint: &str| Fault::new(FaultKind::Proof, message, hint).at(Place::file(FILE));
    let file: File = match serde_json::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            let place = Place { file: FILE.to_owned(), line: error.line(), column: error.column() };
            let shown = error.to_string();
            let message = shown.rsplit_once(" at line ").map_or(shown.as_str(), |(message, _)| message);
            let hint = "proofs.json is {\"proofs\": [{\"id\", and one of \"never\", \"never_errors\", \
                        \"every_rule_decides\"}]}; correct it at this position";
            let fault = Fault::new(FaultKind::Proof, message.to_owned(), hint).at(place);
            return (Vec::new(), Vec::new(), vec![fault]);
        }
    };
    if file.proofs.len() > MOST {
        let fault = fault(format!("more than {MOST} proofs"), "say more in each, or fewer");
        return (Vec::new(), Vec::new(), vec![fault]);
    }
    let (mut claims, mut idle, mut faults, mut ids) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
    for declared in file.proofs {
        let id = declared.id.clone();
        if !is_name(&id) || !ids.insert(id.clone()) {
            let hint = "give each proof an id of its own: 1 to 128 letters, digits, and . _ : -";
            faults.push(fault(format!("the id {id:?} is not a name, or taken"), hint));
            continue;
        }
        match declared.check(bundle) {
            Ok(property) => {
                if let Property::Never { condition: Condition { possible: false, .. }, .. } = &property {
                    let message =
                        "the proof says nothing: no call of these tools can meet the condition".to_owned();
                    idle.push(Warning { place: Place::file(FILE), rule: id.clone(), message });
                }
                claims.push(Claim { id, property });
            }
            Err((message, hint)) => faults.push(fault(format!("proof {id:?}: {message}"), &hint)),
        }
    }
    (claims, idle, faults)
}

impl Declared {
    fn check(self, bundle: &Bundle) -> Result<Property, Wrong> {
        match (self.never, self.never_errors, self.every_rule_decides, self.at_least) {
            (Some(text), None, None, at_least) => bundle.claim(&text, at_least.unwrap_or(Outcome::Hold)),
            (None, Some(true), None, None) => Ok(Property::NeverErrors),
            (None, None, Some(true), None) => Ok(Property::EveryRuleDecides),
            _ => Err((
                "it says nothing, or more than one thing".to_owned(),
                "write one of \"never\": \"CONDITION\" (with \"at_least\" if you like), \"never_errors\": true, \
                 \"every_rule_decides\": true"
                    .to_owned(),
            )),
        }
    }
}

impl Bundle {
    /// What `proofs.json` says is to be proven.
    #[must_use]
    pub fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// The property that no call of which `text` holds has a milder outcome than `at_least`.
    ///
    /// `text` is a condition in Cedar, as after `when`; or a whole rule, whose scope and conditions are meant; or the id
    /// of one of the bundle's rules.
    ///
    /// # Errors
    /// What is wrong with it, and a hint.
    pub fn never(&self, text: &str, at_least: Outcome) -> Result<Property, (String, String)> {
        match self.claim(text, at_least)? {
            Property::Never { condition: Condition { possible: false, .. }, .. } => {
                let hint = "look for a misspelt name, or for `action ==` where `in` is meant".to_owned();
                Err(("no call can meet the condition, so nothing would be proven".to_owned(), hint))
            }
            property => Ok(property),
        }
    }

    fn claim(&self, text: &str, at_least: Outcome) -> Result<Property, Wrong> {
        if at_least == Outcome::Allow {
            let hint = "write deny, defer, hold or modify".to_owned();
            return Err(("every call is at least allowed".to_owned(), hint));
        }
        Ok(Property::Never { condition: self.condition(text)?, at_least })
    }

    fn condition(&self, text: &str) -> Result<Condition, Wrong> {
        let hint =
            "write a condition as it stands after `when`, a whole rule, or the id of a rule of the bundle";
        let wrong = |message: String| (message, hint.to_owned());
        if text.len() > CONDITION_BYTES || rule::overgrown(text).is_some() {
            return Err(wrong("the condition is too long, or nests too deep".to_owned()));
        }
        let policy = match self.rules.get(text) {
            Some(rule) => rule.policy.clone(),
            None => {
                let whole = format!("permit (principal, action, resource) when {{\n{text}\n}};");
                match Policy::parse(None, text) {
                    Ok(rule) => rule,
                    Err(_) => Policy::parse(None, whole).map_err(|error| wrong(error.to_string()))?,
                }
            }
        };
        let tree = policy.to_json().ok().as_ref().and_then(demands);
        let tree = tree.ok_or_else(|| wrong("the condition cannot be read".to_owned()))?;
        if rule::levels(&tree) > rule::LEVELS {
            return Err(wrong("the condition nests too deep".to_owned()));
        }
        let anything = serde_json::json!({"effect": "permit", "principal": {"op": "All"}, "action": {"op": "All"},
                                          "resource": {"op": "All"}, "conditions": []});
        let whole = Policy::from_json(
            Some(PolicyId::new("condition")),
            guarded(&anything, std::slice::from_ref(&tree)),
        );
        let whole = whole.map_err(|error| wrong(error.to_string()))?;
        let possible = self.check_condition(whole).map_err(wrong)?;
        Ok(Condition { text: text.split_whitespace().collect::<Vec<_>>().join(" "), tree, possible })
    }
}
