//! Tests of a bundle: intents, what is known about them, and what must be decided. `tests/*.json` in the bundle.
//!
//! ```json
//! {"tests": [{
//!   "name": "a stranger's account is held",
//!   "intent": {"agent": "desk", "session": "s", "calls": [{"id": "c1", "server": "bank", "tool": "send_money",
//!              "args": {"to": "x", "amount": 5}}]},
//!   "facts": {"opened": true, "words": ["pay my rent"], "outputs": [{"server": "bank", "tool": "contacts", "result": []}]},
//!   "expect": {"outcome": "hold", "rules": ["ungrounded"]}}]}
//! ```
//! The facts of grounding and signals are not given but derived, by the same code as in service, from the user's words,
//! the tools' outputs and the intent's observations.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Number, Value};

use super::engine::{Engine, Evaluated};
use super::facts::{Knowledge, PlanView, PrincipalFacts, RateFacts, SessionFacts};
use super::fault::{Fault, FaultKind, Place};
use super::json::Strict;
use super::labels::Labels;
use super::plan::{Plan, PlanState, Standing};
use super::provenance::{FingerprintKey, Memory};
use super::request::{AgentFacts, CallView, Claimed, DecideInput};
use super::spend::Spent;
use super::value::exact_scaled;
use crate::record::decision::Outcome;
use crate::record::intent::Intent;

/// Tests of one bundle.
const MOST: usize = 1_000;

/// One test, read.
#[derive(Debug, Clone)]
pub(super) struct Case {
    file: String,
    name: String,
    intent: Intent,
    facts: Known,
    expect: Expected,
    plan: Option<Plan>,
}

/// A test of a bundle that does not come out as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedTest {
    /// The file, within the bundle.
    pub file: String,
    /// The test's name.
    pub test: String,
    /// What was decided, and what was expected.
    pub what: String,
}

impl std::fmt::Display for FailedTest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: test \"{}\": {}", self.file, self.test.escape_debug(), self.what)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tests: Vec<Declared>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    name: String,
    intent: Strict,
    #[serde(default)]
    facts: Known,
    expect: Expected,
}

/// What is known beside the intent.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Known {
    /// The agent's roles, and whether the intent is signed.
    roles: Vec<String>,
    signed: bool,
    /// Of the session, from the application.
    opened: bool,
    words: Vec<String>,
    principal: Option<KnownPrincipal>,
    environment: Option<String>,
    plan: Option<Value>,
    /// Outputs of earlier calls, from the tools' side, in order.
    outputs: Vec<Output>,
    /// Of the session, from the log; `untrusted` and `sensitive` also follow from the outputs.
    labels: BTreeSet<String>,
    calls: u64,
    denials: u64,
    turns: Option<u64>,
    incomplete: bool,
    /// What the session spent before; absent: nothing.
    spent: Option<Number>,
    delegation_depth: u32,
    agent_minute: Option<u32>,
    session_minute: Option<u32>,
    /// How often each call was made before, by its id.
    repeats: BTreeMap<String, u32>,
    /// The entry's own time, in milliseconds since 1970.
    at_ms: Option<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownPrincipal {
    id: String,
    #[serde(default)]
    roles: BTreeSet<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    #[serde(default)]
    server: String,
    tool: String,
    /// The arguments that it was called with: how it chose what it returned.
    #[serde(default = "no_arguments")]
    args: Value,
    result: Value,
    /// The step of the plan that the call was, counted from 0.
    #[serde(default)]
    step: Option<usize>,
}

fn no_arguments() -> Value {
    Value::Object(serde_json::Map::new())
}

/// What must be decided. What is absent may be anything.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    outcome: Outcome,
    /// The rules that decide: exactly those named by the reasons.
    #[serde(default)]
    rules: Option<BTreeSet<String>>,
    /// By call.
    #[serde(default)]
    calls: BTreeMap<String, ExpectedCall>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedCall {
    outcome: Outcome,
    #[serde(default)]
    rules: Option<BTreeSet<String>>,
    /// The arguments that it may run with after a modify.
    #[serde(default)]
    args: Option<Value>,
}

/// Reads one file of tests.
pub(super) fn read(file: &str, text: &str, cases: &mut Vec<Case>, faults: &mut Vec<Fault>) {
    let fault = |message: String, hint: &str| Fault::new(FaultKind::Test, message, hint);
    let declared: File = match serde_json::from_str(text) {
        Ok(declared) => declared,
        Err(error) => {
            let place = Place { file: file.to_owned(), line: error.line(), column: error.column() };
            let shown = error.to_string();
            let message = shown.rsplit_once(" at line ").map_or(shown.as_str(), |(message, _)| message);
            let hint = "a file of tests is {\"tests\": [{\"name\", \"intent\", \"facts\", \"expect\"}]}; see docs/policy.md";
            return faults.push(fault(message.to_owned(), hint).at(place));
        }
    };
    for case in declared.tests {
        match case.check(file) {
            Ok(case) => cases.push(case),
            Err((message, hint)) => faults.push(fault(message, hint).at(Place::file(file))),
        }
    }
    if cases.len() > MOST {
        faults.push(fault(format!("more than {MOST} tests"), "keep those that say something of their own"));
    }
}

impl Declared {
    fn check(self, file: &str) -> Result<Case, (String, &'static str)> {
        let Self { name, intent: Strict(document), facts, expect } = self;
        let of_test = |what: String| format!("test {name:?}: {what}");
        let bytes =
            serde_json::to_vec(&document).map_err(|error| (of_test(error.to_string()), "correct it"))?;
        let intent = Intent::parse(&bytes).map_err(|error| {
            (of_test(format!("the intent: {error}")), "write it as it is posted to /v1/intents")
        })?;
        let plan = match &facts.plan {
            None => None,
            Some(plan) => Some(Plan::parse(plan).map_err(|error| {
                (of_test(format!("the plan: {error}")), "see \"Plans\" in docs/policy.md")
            })?),
        };
        if let Some(unknown) = expect.calls.keys().find(|id| intent.calls.iter().all(|call| call.id != **id))
        {
            return Err((
                of_test(format!("no call {unknown:?}")),
                "name the intent's own calls in \"expect\"",
            ));
        }
        Ok(Case { file: file.to_owned(), name, intent, facts, expect, plan })
    }
}

impl Engine {
    /// Runs the tests that the bundle brings along: how many there are, and those that fail.
    #[must_use]
    pub fn run_tests(&self) -> (usize, Vec<FailedTest>) {
        let cases = &self.bundle().cases;
        let failed = cases.iter().filter_map(|case| {
            let what = case.expect.differs_from(&case.decide(self))?;
            Some(FailedTest { file: case.file.clone(), test: case.name.clone(), what })
        });
        (cases.len(), failed.collect())
    }
}

impl Case {
    /// What the session has heard and read, how far it got with its plan, and the labels it has.
    fn heard(&self, engine: &Engine, key: &FingerprintKey) -> (Memory, PlanState, BTreeSet<String>) {
        let (facts, intent) = (&self.facts, &self.intent);
        let (mut memory, mut plan_state) = (Memory::default(), PlanState::default());
        let mut labels = facts.labels.clone();
        if let Some(principal) = &facts.principal {
            memory.principal(key, &principal.id);
        }
        for text in &facts.words {
            memory.user_words(key, text);
        }
        for output in &facts.outputs {
            if let Some(tool) = engine.tool(&output.server, &output.tool) {
                let Labels { selectors, output: of_output, .. } = &tool.labels;
                let reading = memory.reading(key, selectors, of_output, &output.args);
                memory.output(key, of_output, reading, &output.result);
                labels.extend(tool.labels.of_output().map(str::to_owned));
            }
            if let Some((plan, step)) = self.plan.as_ref().zip(output.step) {
                plan_state.ran(step);
                plan_state.output(plan, step, key, &output.result);
            }
        }
        for observation in intent.observations.iter().flatten() {
            memory.claimed(key, &observation.content);
            labels.insert("untrusted".to_owned());
        }
        (memory, plan_state, labels)
    }

    fn session(&self, labels: BTreeSet<String>) -> SessionFacts {
        let facts = &self.facts;
        SessionFacts {
            opened: facts.opened,
            principal: facts
                .principal
                .clone()
                .map(|principal| PrincipalFacts { id: principal.id, roles: principal.roles }),
            environment: facts.environment.clone(),
            labels,
            calls: facts.calls,
            denials: facts.denials,
            turns: facts.turns.unwrap_or(u64::from(facts.opened)),
            incomplete: facts.incomplete,
            spent: facts
                .spent
                .as_ref()
                .map_or_else(Spent::default, |spent| Spent::default().and(exact_scaled(spent))),
            delegation_depth: facts.delegation_depth,
        }
    }

    pub(super) fn decide(&self, engine: &Engine) -> Evaluated {
        let (facts, intent) = (&self.facts, &self.intent);
        // What is derived with this key is compared and thrown away.
        let key = FingerprintKey::new(&[1; 32]);
        let (memory, plan_state, labels) = self.heard(engine, &key);
        let session = self.session(labels);
        let calls: Vec<CallView<'_>> = intent
            .calls
            .iter()
            .map(|call| CallView {
                after: &call.after,
                repeats: facts.repeats.get(&call.id).copied().unwrap_or(0),
                ..CallView::new(&call.id, &call.server, &call.tool, &call.args)
            })
            .collect();
        let count = |length: Option<usize>| u32::try_from(length.unwrap_or(0)).unwrap_or(u32::MAX);
        let minute = count(Some(calls.len()));
        let agent = AgentFacts { name: &intent.agent, roles: &facts.roles, signed: facts.signed };
        let plan = self.plan.as_ref();
        engine.decide(&DecideInput {
            atomic: intent.atomic,
            claimed: Claimed {
                goal_stated: intent.goal.as_ref().is_some_and(|goal| !goal.is_empty()),
                reasoning_steps: count(intent.reasoning.as_ref().map(Vec::len)),
                observations: count(intent.observations.as_ref().map(Vec::len)),
                environment: intent.environment.as_deref(),
                principal: intent.principal.as_deref(),
            },
            session: &session,
            rate: RateFacts {
                agent_minute: facts.agent_minute.unwrap_or(minute),
                session_minute: facts.session_minute.unwrap_or(minute),
            },
            knowledge: Some(Knowledge { memory: &memory, key: &key }),
            plan: plan.map(|plan| PlanView { standing: Standing::Application, plan, state: &plan_state }),
            ..DecideInput::new(agent, &calls, facts.at_ms.unwrap_or(1_700_000_000_000))
        })
    }
}

impl Expected {
    /// In what way it was decided otherwise.
    fn differs_from(&self, evaluated: &Evaluated) -> Option<String> {
        let decision = &evaluated.decision;
        let rules: BTreeSet<String> = decision.reasons.iter().map(|reason| reason.rule.clone()).collect();
        let whole = differs("", self.outcome, self.rules.as_ref(), decision.outcome, &rules);
        whole.or_else(|| {
            decision.calls.iter().find_map(|call| {
                let expected = self.calls.get(&call.id)?;
                let rules = call.reasons.iter().map(|reason| reason.rule.clone()).collect();
                let of_call = format!("call {:?}: ", call.id);
                differs(&of_call, expected.outcome, expected.rules.as_ref(), call.outcome, &rules).or_else(
                    || {
                        let wrong = expected.args.is_some() && expected.args != call.args;
                        wrong.then(|| format!("{of_call}it may run with other arguments than expected"))
                    },
                )
            })
        })
    }
}

fn differs(
    of: &str,
    outcome: Outcome,
    rules: Option<&BTreeSet<String>>,
    decided: Outcome,
    by: &BTreeSet<String>,
) -> Option<String> {
    let named = |rules: &BTreeSet<String>| rules.iter().cloned().collect::<Vec<_>>().join(", ");
    if outcome != decided {
        return Some(format!("{of}expected {outcome}, decided {decided} by {}", named(by)));
    }
    let rules = rules.filter(|rules| *rules != by)?;
    Some(format!("{of}expected {outcome} by {}, decided by {}", named(rules), named(by)))
}
