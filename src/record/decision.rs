//! The nouns of a decision: outcomes, reasons, conditions. Pure values; who decides lives in `policy`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What was decided about a call or an intent, strictest first: the order of the variants is the order of
/// strictness, so `min` of two outcomes is the stricter one.
///
/// ```
/// use foreseal::record::decision::Outcome;
/// assert!(Outcome::Deny < Outcome::Hold && Outcome::Hold < Outcome::Allow);
/// assert_eq!(Outcome::strictest(Outcome::Allow, Outcome::Hold), Outcome::Hold);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It must not run.
    Deny,
    /// It must not run yet: asked again later, it may.
    Defer,
    /// It must not run until every condition is met.
    Hold,
    /// It may run in a changed form only.
    Modify,
    /// It may run as declared.
    Allow,
}

impl Outcome {
    /// The stricter of two outcomes.
    #[must_use]
    pub fn strictest(a: Self, b: Self) -> Self {
        a.min(b)
    }

    /// The name used in JSON, in entries and on screens.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Defer => "defer",
            Self::Hold => "hold",
            Self::Modify => "modify",
            Self::Allow => "allow",
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why: the rule that spoke and what it says to a person. Ordered by rule, then message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// The rule's `@id`, or one of the engine's own codes (`no_policy`, `no_permit`, `policy_error`,
    /// `request_invalid`), which no rule may take as its id.
    pub rule: String,
    /// A sentence for people; never holds argument values.
    pub message: String,
}

/// What must happen before a held call may run, or how long a deferred one may be asked for again. All conditions of a
/// call must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Condition {
    /// The rule that holds.
    pub rule: String,
    /// The role that may approve; absent where the rule names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// How long the hold lasts, in seconds from the decision's own time; then it is a deny. Absent: no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// The person who must be among those who approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub human: Option<String>,
    /// How many different people must approve. Absent: one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u32>,
    /// How the end user must prove again who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_up: Option<String>,
    /// The kind of ticket that the approval must name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}

/// A transform that made a call the one that may run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Transformed {
    /// The rule that asked for it.
    pub rule: String,
    /// What was done, as the rule says it: `drop:/cc`.
    pub transform: String,
}

/// The decision about one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallDecision {
    /// The call's id as declared.
    pub id: String,
    /// What was decided.
    pub outcome: Outcome,
    /// Why, sorted and without repetition.
    pub reasons: Vec<Reason>,
    /// What a hold or a defer waits for, sorted and without repetition; empty for every other outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// For a modify: what was changed, by rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transforms: Vec<Transformed>,
    /// For a modify: the arguments that it may run with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Value>,
}

/// The decision about an intent: the strictest of its calls. Calls may run only together, unless the agent said that
/// each stands alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The strictest outcome over all calls.
    pub outcome: Outcome,
    /// For a hold: milliseconds from the decision's own time to the earliest expiry of its conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The reasons of the calls that have the intent's outcome, sorted and without repetition.
    pub reasons: Vec<Reason>,
    /// For a hold: the conditions of all held calls, sorted and without repetition.
    pub conditions: Vec<Condition>,
    /// One decision per call, in the order of the calls.
    pub calls: Vec<CallDecision>,
}

impl Decision {
    /// Unites the decisions of an intent's calls. An intent without calls is denied: nothing was asked for
    /// that a rule could have permitted.
    ///
    /// Where the calls are not atomic, each runs by its own outcome, so the conditions of all are told, and not only
    /// those of the strictest.
    #[must_use]
    pub fn of_calls(calls: Vec<CallDecision>, atomic: bool) -> Self {
        let outcome = calls.iter().map(|call| call.outcome).min().unwrap_or(Outcome::Deny);
        let speaking = || calls.iter().filter(|call| call.outcome == outcome);
        let reasons = sorted(speaking().flat_map(|call| call.reasons.iter().cloned()));
        let waiting = calls.iter().filter(|call| !atomic || call.outcome == outcome);
        let conditions = sorted(waiting.flat_map(|call| call.conditions.iter().cloned()));
        let expires = conditions
            .iter()
            .filter_map(|condition| condition.expires_s)
            .min()
            .map(|s| s.saturating_mul(1000));
        Self { outcome, expires, reasons, conditions, calls }
    }
}

/// In order, each once.
fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.collect::<std::collections::BTreeSet<T>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Outcome; 5] = [Outcome::Deny, Outcome::Defer, Outcome::Hold, Outcome::Modify, Outcome::Allow];

    #[test]
    fn the_stricter_outcome_wins_over_all_pairs() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert_eq!(Outcome::strictest(*a, *b), ALL[i.min(j)], "{a} and {b}");
            }
        }
    }

    #[test]
    fn names_are_lower_case_and_read_back() {
        for outcome in ALL {
            let json = serde_json::to_string(&outcome).unwrap();
            assert_eq!(json, format!("\"{outcome}\""));
            assert_eq!(serde_json::from_str::<Outcome>(&json).unwrap(), outcome);
        }
        assert!(serde_json::from_str::<Outcome>("\"Allow\"").is_err());
    }

    fn call(id: &str, outcome: Outcome, expires: &[Option<u64>]) -> CallDecision {
        CallDecision {
            id: id.into(),
            outcome,
            reasons: vec![Reason { rule: format!("r-{outcome}"), message: "m".into() }],
            conditions: expires
                .iter()
                .map(|e| Condition { rule: format!("c-{id}"), expires_s: *e, ..Condition::default() })
                .collect(),
            transforms: vec![],
            args: None,
        }
    }

    #[test]
    fn an_intent_is_as_strict_as_its_strictest_call_and_says_why_in_order() {
        let decision = Decision::of_calls(
            vec![
                call("b", Outcome::Hold, &[Some(900), None]),
                call("a", Outcome::Hold, &[Some(60), Some(900)]),
                call("c", Outcome::Allow, &[]),
            ],
            true,
        );
        assert_eq!(decision.outcome, Outcome::Hold);
        assert_eq!(decision.expires, Some(60_000));
        assert_eq!(decision.reasons.len(), 1, "the same reason is said once");
        assert!(decision.conditions.is_sorted());
        assert_eq!(decision.conditions.len(), 4);
        let denied = Decision::of_calls(
            vec![call("a", Outcome::Hold, &[Some(1)]), call("b", Outcome::Deny, &[])],
            true,
        );
        assert_eq!((denied.outcome, denied.expires), (Outcome::Deny, None));
        assert!(denied.conditions.is_empty());
    }

    #[test]
    fn calls_that_stand_alone_keep_their_conditions_beside_a_deny() {
        let calls = || vec![call("a", Outcome::Hold, &[Some(60)]), call("b", Outcome::Deny, &[])];
        let apart = Decision::of_calls(calls(), false);
        assert_eq!((apart.outcome, apart.expires), (Outcome::Deny, Some(60_000)));
        assert_eq!(apart.conditions.len(), 1);
        assert_eq!(Decision::of_calls(calls(), true).conditions, []);
    }

    #[test]
    fn no_calls_is_a_deny() {
        assert_eq!(Decision::of_calls(vec![], true).outcome, Outcome::Deny);
    }
}
