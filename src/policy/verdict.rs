//! From the rules that matched to what is decided about a call.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::EvaluationError;
use serde_json::Value;

use super::json::{read_back, write_list, write_name, write_text_member, write_texts};
use super::request::{Changed, Request};
use super::rule::{
    Deed, Hold, NO_PERMIT, NO_POLICY, POLICY_ERROR, REQUEST_INVALID, Rule, STOPPED, TRANSFORM_FAILED,
};
use super::transform::Transform;
use crate::record::canonical::to_jcs;
use crate::record::decision::{CallDecision, Condition, Outcome, Reason, Transformed};

/// What Cedar said about one call under every rule that could match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Findings {
    /// Permits and forbids whose scope and conditions hold.
    pub(super) matched: BTreeSet<String>,
    /// Rules that could not be evaluated, and in what way.
    pub(super) errors: BTreeMap<String, &'static str>,
}

/// Every rule that spoke about one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// All rules that could not be evaluated, sorted.
    pub errors: Vec<String>,
    /// All forbids that matched, sorted, whatever was decided.
    pub forbids: Vec<String>,
    /// All permits that matched, sorted, whatever was decided.
    pub permits: Vec<String>,
}

/// The verdict about one call: the decision and every rule that spoke.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The decision.
    pub call: CallDecision,
    /// The rules that spoke about the call as declared.
    pub matched: Matched,
    /// The rules that spoke about the call as a transform left it.
    pub again: Option<Matched>,
    /// Did rules ask for transforms?
    pub(super) transforms_asked: bool,
}

/// The rules that matched, by what they do.
struct Heard<'a> {
    findings: &'a Findings,
    rules: Vec<&'a Rule>,
}

impl<'a> Heard<'a> {
    fn of(findings: &'a Findings, rules: &'a BTreeMap<String, Rule>) -> Self {
        Self { findings, rules: findings.matched.iter().filter_map(|id| rules.get(id)).collect() }
    }

    fn that(&self, does: impl Fn(&Deed) -> bool) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().copied().filter(move |rule| does(&rule.deed))
    }

    /// Why the call is denied; empty where it is not. Errors count as forbids that might have matched.
    fn denies(&self, registered: bool) -> BTreeSet<Reason> {
        let errors = self.findings.errors.iter().map(|(rule, kind)| policy_error(rule, kind));
        let mut reasons: BTreeSet<Reason> = errors.collect();
        reasons.extend(self.that(|deed| *deed == Deed::Deny).map(reason));
        if self.that(|deed| *deed == Deed::Permit).next().is_none() {
            reasons.insert(no_permit(registered));
        }
        reasons
    }

    fn modifies(&self) -> impl Iterator<Item = &'a Rule> {
        self.that(|deed| matches!(deed, Deed::Modify(_)))
    }

    fn matched(&self) -> Matched {
        let ids = |permits: bool| {
            let of_kind = self.rules.iter().filter(|rule| (rule.deed == Deed::Permit) == permits);
            of_kind.map(|rule| rule.id.clone()).collect()
        };
        Matched {
            errors: self.findings.errors.keys().cloned().collect(),
            forbids: ids(false),
            permits: ids(true),
        }
    }
}

impl Matched {
    fn write_json(&self, out: &mut Vec<u8>) {
        write_name(b'{', "errors", out);
        write_texts(&self.errors, out);
        write_name(b',', "forbids", out);
        write_texts(&self.forbids, out);
        write_name(b',', "permits", out);
        write_texts(&self.permits, out);
        out.push(b'}');
    }
}

impl Verdict {
    /// The sealed form: the value at `/verdicts/<i>`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut written = Vec::new();
        self.write_json(&mut written);
        read_back(&written)
    }

    /// Writes the sealed form, canonical. A changed call's arguments are sealed with its request.
    pub(super) fn write_json(&self, out: &mut Vec<u8>) {
        let mut open = b'{';
        if let Some(again) = &self.again {
            write_name(open, "again", out);
            again.write_json(out);
            open = b',';
        }
        write_text_member(open, "call", &self.call.id, out);
        write_name(b',', "conditions", out);
        write_list(&self.call.conditions, out, write_condition);
        write_name(b',', "matched", out);
        self.matched.write_json(out);
        write_text_member(b',', "outcome", self.call.outcome.as_str(), out);
        write_name(b',', "reasons", out);
        write_list(&self.call.reasons, out, |reason, out| {
            write_text_member(b'{', "message", &reason.message, out);
            write_text_member(b',', "rule", &reason.rule, out);
            out.push(b'}');
        });
        write_name(b',', "transforms", out);
        write_list(&self.call.transforms, out, |transformed, out| {
            write_text_member(b'{', "rule", &transformed.rule, out);
            write_text_member(b',', "transform", &transformed.transform, out);
            out.push(b'}');
        });
        out.push(b'}');
    }

    /// A deny before any rule was asked.
    fn refused(call: &str, rule: &str, message: String) -> Self {
        let reasons = vec![Reason { rule: rule.to_owned(), message }];
        let call = CallDecision {
            id: call.to_owned(),
            outcome: Outcome::Deny,
            reasons,
            conditions: vec![],
            transforms: vec![],
            args: None,
        };
        Self { call, matched: Matched::default(), again: None, transforms_asked: false }
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

    /// The transforms that are to be applied before the call is decided: those of all rules that matched, by the
    /// rules' ids. None where the call is denied whatever they would do.
    pub(super) fn transforms<'a>(
        findings: &'a Findings,
        rules: &'a BTreeMap<String, Rule>,
    ) -> Vec<&'a Transform> {
        let heard = Heard::of(findings, rules);
        if !heard.denies(true).is_empty() {
            return Vec::new();
        }
        heard.modifies().flat_map(transforms_of).collect()
    }

    /// Decides a call from what the rules said about it, and about what transforms made of it.
    ///
    /// What matched the call as declared counts whatever the transforms did: a rule that changes calls can make no
    /// decision milder than it was without that rule.
    pub(super) fn of(
        request: &Request,
        first: &Findings,
        second: Option<&Findings>,
        rules: &BTreeMap<String, Rule>,
    ) -> Self {
        let before = Heard::of(first, rules);
        let after = second.map(|findings| Heard::of(findings, rules));
        let transforms_asked = !Self::transforms(first, rules).is_empty();
        let mut denies = before.denies(request.registered);
        if denies.is_empty() && transforms_asked {
            match (&request.changed, &after) {
                (Some(Changed::Same), _) => {}
                (Some(Changed::Call { .. }), Some(after)) => {
                    denies.extend(after.denies(request.registered));
                    // Transforms do the same when done again, so what asked before is content.
                    let content: BTreeSet<&str> = before.modifies().map(|rule| rule.id.as_str()).collect();
                    let more = after.modifies().filter(|rule| !content.contains(rule.id.as_str()));
                    denies.extend(more.map(|rule| {
                        transform_failed(&format!(
                            "the changed call would be changed again by rule {:?}",
                            rule.id
                        ))
                    }));
                }
                (Some(Changed::Failed(why)), _) => drop(denies.insert(transform_failed(why))),
                _ => drop(denies.insert(transform_failed("nothing says what became of the call"))),
            }
        }
        let all = |does: fn(&Deed) -> bool| -> Vec<&Rule> {
            before.that(does).chain(after.iter().flat_map(|after| after.that(does))).collect()
        };
        let defers = all(|deed| matches!(deed, Deed::Defer { .. }));
        let holds = all(|deed| matches!(deed, Deed::Hold(_)));
        let modified = matches!(request.changed, Some(Changed::Call { .. }));
        let (outcome, deciding) = match () {
            () if !denies.is_empty() => (Outcome::Deny, Vec::new()),
            () if !defers.is_empty() => (Outcome::Defer, defers),
            () if !holds.is_empty() => (Outcome::Hold, holds),
            () if modified => (Outcome::Modify, before.modifies().collect()),
            () => (Outcome::Allow, before.that(|deed| *deed == Deed::Permit).collect()),
        };
        let mut reasons = denies;
        reasons.extend(deciding.iter().map(|rule| reason(rule)));
        let conditions: BTreeSet<Condition> = deciding.iter().filter_map(|rule| condition(rule)).collect();
        let changed = match &request.changed {
            // A call that waits is decided again before it runs; only of one that may run now is there another form.
            Some(Changed::Call { args, .. }) if outcome == Outcome::Modify => Some(args.clone()),
            _ => None,
        };
        let transforms = before.modifies().filter(|_| changed.is_some()).flat_map(|rule| {
            transforms_of(rule)
                .map(|done| Transformed { rule: rule.id.clone(), transform: done.text.clone() })
        });
        let call = CallDecision {
            id: request.call.clone(),
            outcome,
            reasons: reasons.into_iter().collect(),
            conditions: conditions.into_iter().collect(),
            transforms: transforms.collect(),
            args: changed,
        };
        let (matched, again) = (before.matched(), after.map(|after| after.matched()));
        Self { call, matched, again, transforms_asked }.stopped_by(request.stopped)
    }

    /// What comes after a denied call is denied, what comes after one that waits is to be asked again.
    fn stopped_by(mut self, earlier: Option<Outcome>) -> Self {
        let Some(earlier) = earlier else { return self };
        let stop = if earlier == Outcome::Deny { Outcome::Deny } else { Outcome::Defer };
        if stop < self.call.outcome {
            self.call.reasons.clear();
            self.call.conditions.clear();
            self.call.transforms.clear();
            self.call.args = None;
            self.call.outcome = stop;
        }
        if stop == self.call.outcome {
            self.call.reasons.push(stopped(earlier));
            self.call.reasons.sort();
        }
        self
    }
}

fn transforms_of(rule: &Rule) -> std::slice::Iter<'_, Transform> {
    match &rule.deed {
        Deed::Modify(transforms) => transforms.iter(),
        _ => [].iter(),
    }
}

/// A condition, canonical. Few calls have one, so this takes the short way.
fn write_condition(condition: &Condition, out: &mut Vec<u8>) {
    let jcs = serde_json::to_value(condition).ok().and_then(|value| to_jcs(&value).ok());
    out.extend_from_slice(jcs.as_deref().unwrap_or(b"null"));
}

fn condition(rule: &Rule) -> Option<Condition> {
    match &rule.deed {
        Deed::Hold(hold) => {
            let Hold { approver, expires_s, human, quorum, step_up, ticket } = hold.as_ref().clone();
            Some(Condition { rule: rule.id.clone(), approver, expires_s, human, quorum, step_up, ticket })
        }
        Deed::Defer { expires_s: Some(expires_s) } => {
            Some(Condition { rule: rule.id.clone(), expires_s: Some(*expires_s), ..Condition::default() })
        }
        Deed::Permit | Deed::Deny | Deed::Defer { expires_s: None } | Deed::Modify(_) => None,
    }
}

fn reason(rule: &Rule) -> Reason {
    let unexplained = match rule.deed {
        Deed::Permit => "the rule permits it",
        Deed::Deny => "the rule forbids it",
        Deed::Defer { .. } => "the rule defers it: ask again later",
        Deed::Hold(_) => "the rule holds it for approval",
        Deed::Modify(_) => "the rule changes it",
    };
    Reason { rule: rule.id.clone(), message: rule.reason.clone().unwrap_or_else(|| unexplained.to_owned()) }
}

fn stopped(earlier: Outcome) -> Reason {
    let message = match earlier {
        Outcome::Deny => "it comes after a call that is denied",
        _ => "it comes after a call that does not run yet; hint: declare both again when that one may run",
    };
    Reason { rule: STOPPED.to_owned(), message: message.to_owned() }
}

fn transform_failed(why: &str) -> Reason {
    Reason {
        rule: TRANSFORM_FAILED.to_owned(),
        message: format!("the call cannot be changed as rules demand: {why}"),
    }
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
