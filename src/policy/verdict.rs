//! From the rules that matched to what is decided about a call.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::EvaluationError;
use serde_json::Value;

use super::json::{read_back, write_integer, write_list, write_name, write_text_member, write_texts};
use super::rule::{Deed, NO_PERMIT, NO_POLICY, POLICY_ERROR, REQUEST_INVALID, Rule};
use crate::record::decision::{CallDecision, Condition, Outcome, Reason};

/// What Cedar said about one call under every rule that could match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Permits and forbids whose scope and conditions hold.
    pub(super) matched: BTreeSet<String>,
    /// Rules that could not be evaluated, and in what way.
    pub(super) errors: BTreeMap<String, &'static str>,
}

/// The verdict about one call: the decision and every rule that spoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The decision.
    pub call: CallDecision,
    /// All permits that matched, sorted, whatever was decided.
    pub permits: Vec<String>,
    /// All forbids that matched, sorted, whatever was decided.
    pub forbids: Vec<String>,
    /// All rules that could not be evaluated, sorted.
    pub errors: Vec<String>,
}

impl Verdict {
    /// The sealed form: the value at `/verdicts/<i>`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut written = Vec::new();
        self.write_json(&mut written);
        read_back(&written)
    }

    /// Writes the sealed form, canonical.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        write_text_member(b'{', "call", &self.call.id, out);
        write_name(b',', "conditions", out);
        write_list(&self.call.conditions, out, write_condition);
        write_name(b',', "matched", out);
        write_name(b'{', "errors", out);
        write_texts(&self.errors, out);
        write_name(b',', "forbids", out);
        write_texts(&self.forbids, out);
        write_name(b',', "permits", out);
        write_texts(&self.permits, out);
        out.push(b'}');
        write_text_member(b',', "outcome", self.call.outcome.as_str(), out);
        write_name(b',', "reasons", out);
        write_list(&self.call.reasons, out, |reason, out| {
            write_text_member(b'{', "message", &reason.message, out);
            write_text_member(b',', "rule", &reason.rule, out);
            out.push(b'}');
        });
        write_name(b',', "transforms", out);
        out.extend_from_slice(b"[]}");
    }

    /// A deny before any rule was asked.
    fn refused(call: &str, rule: &str, message: String) -> Self {
        let reasons = vec![Reason { rule: rule.to_owned(), message }];
        let call = CallDecision { id: call.to_owned(), outcome: Outcome::Deny, reasons, conditions: vec![] };
        Self { call, permits: vec![], forbids: vec![], errors: vec![] }
    }

    /// There is no rule at all.
    pub(super) fn no_policy(call: &str) -> Self {
        let message = "no policy is active, so everything is denied; hint: start with serve --policies DIR";
        Self::refused(call, NO_POLICY, message.to_owned())
    }

    /// The engine ended in a panic.
    pub(super) fn engine_failed(call: &str) -> Self {
        let message = "the policy engine failed on this call, so it is denied; hint: report this as a defect";
        Self::refused(call, POLICY_ERROR, message.to_owned())
    }

    /// The call cannot be put to the rules.
    pub(super) fn request_invalid(call: &str, why: &str) -> Self {
        Self::refused(call, REQUEST_INVALID, format!("the call cannot be judged: {why}"))
    }

    /// Decides a call from what the rules said. Errors come first: an erroring forbid is one that might have
    /// matched.
    pub(super) fn of(
        call: &str,
        registered: bool,
        findings: &Findings,
        rules: &BTreeMap<String, Rule>,
    ) -> Self {
        let matched: Vec<&Rule> = findings.matched.iter().filter_map(|id| rules.get(id)).collect();
        let permits: Vec<&Rule> = matched.iter().copied().filter(|rule| rule.deed == Deed::Permit).collect();
        let denies: Vec<&Rule> = matched.iter().copied().filter(|rule| rule.deed == Deed::Deny).collect();
        let holds: Vec<&Rule> =
            matched.iter().copied().filter(|rule| matches!(rule.deed, Deed::Hold { .. })).collect();
        let mut reasons: BTreeSet<Reason> =
            findings.errors.iter().map(|(rule, kind)| policy_error(rule, kind)).collect();
        reasons.extend(denies.iter().map(|rule| reason(rule)));
        if permits.is_empty() {
            reasons.insert(no_permit(registered));
        }
        let outcome = match (reasons.is_empty(), holds.is_empty()) {
            (false, _) => Outcome::Deny,
            (true, false) => Outcome::Hold,
            (true, true) => Outcome::Allow,
        };
        match outcome {
            Outcome::Hold => reasons.extend(holds.iter().map(|rule| reason(rule))),
            Outcome::Allow => reasons.extend(permits.iter().map(|rule| reason(rule))),
            _ => {}
        }
        let conditions: BTreeSet<Condition> =
            holds.iter().filter(|_| outcome == Outcome::Hold).filter_map(|rule| condition(rule)).collect();
        let (forbids, errors) = (denies.iter().chain(&holds), findings.errors.keys());
        let mut forbids: Vec<String> = forbids.map(|rule| rule.id.clone()).collect();
        forbids.sort();
        Self {
            call: CallDecision {
                id: call.to_owned(),
                outcome,
                reasons: reasons.into_iter().collect(),
                conditions: conditions.into_iter().collect(),
            },
            permits: permits.iter().map(|rule| rule.id.clone()).collect(),
            forbids,
            errors: errors.cloned().collect(),
        }
    }
}

fn write_condition(condition: &Condition, out: &mut Vec<u8>) {
    let mut open = b'{';
    if let Some(approver) = &condition.approver {
        write_text_member(open, "approver", approver, out);
        open = b',';
    }
    if let Some(expires_s) = condition.expires_s {
        write_name(open, "expires_s", out);
        write_integer(i64::try_from(expires_s).unwrap_or(i64::MAX), out);
        open = b',';
    }
    write_text_member(open, "rule", &condition.rule, out);
    out.push(b'}');
}

fn condition(rule: &Rule) -> Option<Condition> {
    match &rule.deed {
        Deed::Hold { approver, expires_s } => {
            Some(Condition { rule: rule.id.clone(), approver: approver.clone(), expires_s: *expires_s })
        }
        Deed::Permit | Deed::Deny => None,
    }
}

fn reason(rule: &Rule) -> Reason {
    let unexplained = match rule.deed {
        Deed::Permit => "the rule permits it",
        Deed::Deny => "the rule forbids it",
        Deed::Hold { .. } => "the rule holds it for approval",
    };
    Reason { rule: rule.id.clone(), message: rule.reason.clone().unwrap_or_else(|| unexplained.to_owned()) }
}

fn no_permit(registered: bool) -> Reason {
    let message = if registered {
        "no rule permits this call; hint: a permit rule for its action or one of its groups would"
    } else {
        "the tool is not registered and no rule permits it; hint: declare it in the bundle's tools.json"
    };
    Reason { rule: NO_PERMIT.to_owned(), message: message.to_owned() }
}

fn policy_error(rule: &str, kind: &str) -> Reason {
    let message = format!(
        "rule \"{rule}\" could not be evaluated ({kind}), so the call is denied; hint: guard what may be absent with `has`"
    );
    Reason { rule: POLICY_ERROR.to_owned(), message }
}

/// The kind of an evaluation error, without the values that Cedar's own message may hold.
pub(super) const fn kind(error: &EvaluationError) -> &'static str {
    match error {
        EvaluationError::EntityDoesNotExist(_) => "an entity that does not exist",
        EvaluationError::EntityAttrDoesNotExist(_) | EvaluationError::RecordAttrDoesNotExist(_) => {
            "an attribute that is absent"
        }
        EvaluationError::TypeError(_) => "a value of another type",
        EvaluationError::IntegerOverflow(_) => "an integer overflow",
        EvaluationError::FailedExtensionFunctionExecution(_) => "a function that refused its argument",
        EvaluationError::RecursionLimit(_) => "the rule nests too deep",
        _ => "an error of the rule's own",
    }
}
