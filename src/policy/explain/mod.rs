//! Why a call was decided so, and which fact would have changed it.
//!
//! The verdict is derived again from the sealed request. What would have changed it is found by asking the same engine
//! about requests in which one fact is another, and where none alone is enough, two: over the values that the rules
//! compare with and those just beyond them, the grades that a fact can have, and what is there or not. Nothing is said
//! that was not asked.

mod advice;
mod candidates;
mod reads;
mod search;
mod suppose;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use self::reads::{FactPath, Reads};
use self::suppose::value_of;
use super::engine::Engine;
use super::request::{Request, RequestError};
use super::rule::{Deed, NO_PERMIT, NO_POLICY, POLICY_ERROR, REQUEST_INVALID, Rule, TRANSFORM_FAILED};
use super::value::Typed;
use super::verdict::{Matched, Verdict};
use crate::record::decision::{Condition, Outcome, Reason};

/// Why one call was decided as it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The call's id.
    pub call: String,
    /// The server that its tool is on; empty where none was named.
    pub server: String,
    /// The tool; empty where there was no request that the rules could be asked.
    pub tool: String,
    /// What was decided.
    pub outcome: Outcome,
    /// What decided: rules, or the engine's own codes.
    pub reasons: Vec<Reason>,
    /// What the call waits for.
    pub conditions: Vec<Condition>,
    /// How the call was changed.
    pub transforms: Vec<String>,
    /// The rules that decided: also those that failed, and those that did not permit.
    pub decided_by: Vec<ExplainedRule>,
    /// The rules that matched and did not decide.
    pub also_matched: Vec<ExplainedRule>,
    /// What would have made the decision milder, the mildest first. Empty where the call was allowed.
    pub alternatives: Vec<Alternative>,
    /// What else would have had to be so, where no other fact was asked about: an "if".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<&'static str>,
    /// How many other requests were judged for that.
    pub judged: usize,
    /// Whether there were more of them than are judged.
    pub bounded: bool,
}

/// A rule, and what it looked at.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedRule {
    /// Its `@id`.
    pub id: String,
    /// The file and line where it stands.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What it does where it matches: `permit`, `deny`, `defer`, `hold` or `modify`.
    pub does: &'static str,
    /// Its `@reason`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The facts it can read, and their sealed values.
    pub looked_at: Vec<LookedAt>,
}

/// A fact, as it was sealed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LookedAt {
    /// As rules write it: `context.args.amount`.
    pub fact: String,
    /// As sealed; absent where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// The value in words.
    #[serde(skip)]
    pub shown: String,
}

/// Other facts, and what would have been decided on them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alternative {
    /// The facts that would have had to be others: one, or two that do it only together.
    pub changes: Vec<OtherFact>,
    /// What would have been decided.
    pub outcome: Outcome,
    /// By which rules.
    pub by: Vec<String>,
    /// Whether somebody could bring all of it about without saying what is not so.
    pub can_be_brought_about: bool,
}

/// A fact that would have been another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OtherFact {
    /// As rules write it.
    pub fact: String,
    /// The value it would have had; absent where it would have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// In words: what follows an "if".
    pub words: String,
}

impl Engine {
    /// Explains a sealed request, the value at `/requests/<i>`, by the bundle that decided it.
    ///
    /// # Errors
    /// The value is not a request, or not one of this bundle's.
    pub fn explain(&self, request: &Value) -> Result<Explanation, RequestError> {
        let verdict = self.decide_request(request)?;
        if request.get("invalid").is_some() {
            return Ok(unasked(&verdict));
        }
        let request = Request::from_json(request)?;
        let by = self.decided_by(&request, &verdict);
        let ids: BTreeSet<&str> = by.iter().map(|rule| rule.id.as_str()).collect();
        let matched = matched(&verdict).filter(|id| !ids.contains(id.as_str()));
        let also: BTreeMap<&str, &Rule> =
            matched.filter_map(|id| Some((id.as_str(), self.bundle().rules.get(id)?))).collect();
        let mut reads = Reads::default();
        by.iter().for_each(|rule| reads.add(rule));
        let found = search::search(self, &request, &verdict, &reads);
        let explained = |rule: &Rule| explained(rule, &request);
        Ok(Explanation {
            server: request.server.clone(),
            tool: request.tool.clone(),
            decided_by: by.into_iter().map(explained).collect(),
            also_matched: also.into_values().map(explained).collect(),
            alternatives: found.alternatives,
            judged: found.judged,
            bounded: found.bounded,
            ..unasked(&verdict)
        })
    }

    /// The rules whose facts decided.
    fn decided_by(&self, request: &Request, verdict: &Verdict) -> Vec<&Rule> {
        let rules = &self.bundle().rules;
        let modifies = |id: &&String| rules.get(*id).is_some_and(|rule| matches!(rule.deed, Deed::Modify(_)));
        let mut ids: BTreeSet<String> = BTreeSet::new();
        for reason in &verdict.call.reasons {
            match reason.rule.as_str() {
                NO_PERMIT => {
                    let permits = self.rules_in_reach(request).into_iter();
                    ids.extend(permits.filter(|rule| rule.deed == Deed::Permit).map(|rule| rule.id.clone()));
                }
                POLICY_ERROR => {
                    let all = [Some(&verdict.matched), verdict.again.as_ref()];
                    ids.extend(all.into_iter().flatten().flat_map(|matched| &matched.errors).cloned());
                }
                TRANSFORM_FAILED => ids.extend(matched(verdict).filter(modifies).cloned()),
                id => drop(ids.insert(id.to_owned())),
            }
        }
        ids.iter().filter_map(|id| rules.get(id)).collect()
    }
}

/// What is said of a verdict whatever the request.
fn unasked(verdict: &Verdict) -> Explanation {
    let call = &verdict.call;
    Explanation {
        call: call.id.clone(),
        server: String::new(),
        tool: String::new(),
        outcome: call.outcome,
        reasons: call.reasons.clone(),
        conditions: call.conditions.clone(),
        transforms: call
            .transforms
            .iter()
            .map(|done| format!("{} (rule {})", done.transform, done.rule))
            .collect(),
        decided_by: Vec::new(),
        also_matched: Vec::new(),
        alternatives: Vec::new(),
        instead: instead(verdict),
        judged: 0,
        bounded: false,
    }
}

/// What has to be so before the rules can be asked, or can permit anything.
fn instead(verdict: &Verdict) -> Option<&'static str> {
    let because = |code: &str, what: &str| {
        let mut reasons = verdict.call.reasons.iter();
        reasons.any(|reason| reason.rule == code && reason.message.contains(what))
    };
    Some(match () {
        () if because(NO_POLICY, "") => "a policy were active",
        () if because(NO_PERMIT, "not registered") => {
            "tools.json registered the tool, and a rule permitted it"
        }
        () if because(REQUEST_INVALID, "not an object") => {
            "its arguments were a JSON object, and a rule permitted it"
        }
        () if because(REQUEST_INVALID, "comes after") => {
            "it came after other calls of the intent, none of them in a circle, and a rule permitted it"
        }
        () if because(REQUEST_INVALID, "") => "it could be put to the rules, and one permitted it",
        () => return None,
    })
}

/// Every rule that spoke, about the call as declared or as it was changed.
fn matched(verdict: &Verdict) -> impl Iterator<Item = &String> {
    let all = [Some(&verdict.matched), verdict.again.as_ref()].into_iter().flatten();
    all.flat_map(|Matched { errors, forbids, permits }| errors.iter().chain(forbids).chain(permits))
}

fn explained(rule: &Rule, request: &Request) -> ExplainedRule {
    let mut reads = Reads::default();
    reads.add(rule);
    let looked_at = reads.paths().map(|path| {
        let value = value_of(request, path);
        LookedAt {
            fact: path.to_string(),
            value: value.as_ref().map(to_json),
            shown: value.as_ref().map_or_else(|| "absent".to_owned(), shown),
        }
    });
    ExplainedRule {
        id: rule.id.clone(),
        file: rule.place.file.clone(),
        line: rule.place.line,
        does: match &rule.deed {
            Deed::Permit => "permit",
            Deed::Deny => "deny",
            Deed::Defer { .. } => "defer",
            Deed::Hold(_) => "hold",
            Deed::Modify(_) => "modify",
        },
        reason: rule.reason.clone(),
        looked_at: looked_at.collect(),
    }
}

/// As sealed.
fn to_json(value: &Typed) -> Value {
    let mut written = Vec::new();
    value.write_json(&mut written);
    super::json::read_back(&written)
}

/// Characters of a text, and members of a set, that are shown.
const SHOWN_CHARS: usize = 80;
const SHOWN_MEMBERS: usize = 12;

/// In words. What may come from anywhere is shown without control characters, and not in full length.
fn shown(value: &Typed) -> String {
    match value {
        Typed::Text(text) => {
            let mut cut: String = text.chars().take(SHOWN_CHARS).collect();
            if cut.len() < text.len() {
                cut.push('…');
            }
            format!("\"{}\"", cut.escape_debug())
        }
        Typed::Long(long) => long.to_string(),
        Typed::Decimal(scaled) => decimal(*scaled),
        Typed::Bool(bool) => bool.to_string(),
        Typed::Set(items) => {
            let mut all: Vec<String> = items.iter().take(SHOWN_MEMBERS).map(shown).collect();
            if let Some(more) = items.len().checked_sub(SHOWN_MEMBERS).filter(|more| *more > 0) {
                all.push(format!("and {more} more"));
            }
            if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
        }
        Typed::Record(record) => {
            let all = record.iter().map(|(name, value)| format!("{}: {}", name.escape_debug(), shown(value)));
            format!("{{{}}}", all.take(SHOWN_MEMBERS).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A number of ten-thousandths, without zeros that say nothing.
fn decimal(scaled: i64) -> String {
    let text = super::value::decimal_text(scaled);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    if short.is_empty() { "0".to_owned() } else { short.to_owned() }
}
