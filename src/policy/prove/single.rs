//! Properties of one bundle.

use cedar_policy::{PolicyId, PolicySet, RequestEnv, Schema};
use serde_json::{Value, json};

use super::assume::{Environment, Looked, assumption};
use super::query::{Found, Questions, Record};
use super::rules::{GRADES, Read, looked, outcome_of, set};
use super::witness::{Candidate, Judged, Model, plain, witness};
use super::{Answer, Confirmed, Counterexample, Finding, Prover};
use crate::policy::bundle::Bundle;
use crate::policy::engine::Engine;
use crate::policy::expression::guarded;
use crate::policy::fault::Place;
use crate::policy::mention::survey;
use crate::policy::proofs::Condition;
use crate::policy::rule::{Deed, Rule};
use crate::record::decision::Outcome;

/// Findings, what always holds at least, and what was asked.
pub(super) type Result = (Vec<Finding>, Option<Outcome>, Record);

/// The id, no rule's, under which a condition is asked of the engine.
const CONDITION: &str = "(condition)";

/// What a question came to, with the models that show it, the plainest first.
pub(super) enum Asked {
    Nothing,
    Models(Vec<Model>),
    Unknown(String),
}

/// Asks under the guards, and again for plainer examples where there is one.
pub(super) fn ask(
    bundle: &Bundle,
    environment: &Environment<'_>,
    guards: &[Value],
    question: &dyn Fn(&[Value]) -> Option<Found>,
) -> Asked {
    // Where the solver does not know, it may know of a plainer call.
    let (first, why) = match question(guards) {
        None => return Asked::Unknown("the rules cannot be put together".to_owned()),
        Some(Found::Nothing) => return Asked::Nothing,
        Some(Found::Unknown(why)) => (None, why),
        Some(Found::Example(found)) => {
            (Model::read(&found, environment), "there is an example, and it is no request".to_owned())
        }
    };
    let mut models = Vec::new();
    // Of what no rule looks at, too, an example shall say nothing that cannot be.
    let whole = assumption(bundle, environment, &Looked::everything());
    for demand in plain(environment) {
        let demanding: Vec<Value> = guards.iter().cloned().chain([whole.clone(), demand]).collect();
        if let Some(Found::Example(found)) = question(&demanding) {
            models.extend(Model::read(&found, environment));
            break;
        }
    }
    models.extend(first);
    match models.is_empty() {
        true => Asked::Unknown(why),
        false => Asked::Models(models),
    }
}

impl Finding {
    pub(super) fn unknown(tool: Option<String>, rule: Option<&str>, what: String) -> Self {
        Self { answer: Answer::Unknown, tool, rule: rule.map(str::to_owned), what, counterexample: None }
    }

    /// Refuted where the engine agrees, otherwise unknown.
    pub(super) fn of(tool: String, rule: Option<&str>, what: &str, shown: Option<Counterexample>) -> Self {
        let confirmed = shown.as_ref().is_some_and(|shown| shown.confirmed != Confirmed::No);
        let (answer, what) = match confirmed {
            true => (Answer::Refuted, what.to_owned()),
            false => (Answer::Unknown, format!("{what}, says the solver; the engine does not agree")),
        };
        Self { answer, tool: Some(tool), rule: rule.map(str::to_owned), what, counterexample: shown }
    }
}

fn no_environments() -> Result {
    let what = "Cedar refuses the names of its own types".to_owned();
    (vec![Finding::unknown(None, None, what)], None, Record::default())
}

impl Prover<'_> {
    /// No call of which the condition holds has a milder outcome than `at_least`.
    pub(super) fn never(&self, condition: &Condition, at_least: Outcome) -> Result {
        let bundle = self.engine.bundle();
        let Some(environments) = Environment::all(bundle) else { return no_environments() };
        let mut findings = Vec::new();
        let mut always = Outcome::Deny;
        let with_condition = with_condition(self.engine, condition);
        for environment in &environments {
            let rules = Read::all(bundle, environment);
            let looked = looked(rules.iter().map(|read| &read.tree).chain([&condition.tree]));
            let guards = [assumption(bundle, environment, &looked), condition.tree.clone()];
            match self.grade(environment, &rules, &guards, at_least) {
                (Asked::Nothing, grade) => always = always.max(grade),
                (Asked::Unknown(why), _) => {
                    findings.push(Finding::unknown(Some(environment.name()), None, why));
                }
                (Asked::Models(models), _) => {
                    let agrees = |candidate: &Candidate, judged: &Judged| {
                        let meets = with_condition.as_ref().and_then(|engine| candidate.judged(engine));
                        let meets = meets
                            .is_some_and(|judged| judged.matched.forbids.iter().any(|id| id == CONDITION));
                        meets && judged.outcome > at_least
                    };
                    let shown = witness(&models, self.engine, &agrees);
                    let outcome = shown.as_ref().map_or(Outcome::Allow, |shown| shown.outcome);
                    let what = match outcome {
                        Outcome::Allow => "such a call is allowed".to_owned(),
                        Outcome::Modify => "such a call runs, changed".to_owned(),
                        Outcome::Hold => "such a call is only held".to_owned(),
                        Outcome::Defer => "such a call is only deferred".to_owned(),
                        Outcome::Deny => "such a call is allowed".to_owned(),
                    };
                    findings.push(Finding::of(environment.name(), None, &what, shown));
                }
            }
        }
        let always = findings.is_empty().then_some(always);
        (findings, always, self.questions.take())
    }

    /// The strictest outcome at which nothing passes, up to `at_least`; otherwise what passes there.
    fn grade(
        &self,
        environment: &Environment<'_>,
        rules: &[Read<'_>],
        guards: &[Value],
        at_least: Outcome,
    ) -> (Asked, Outcome) {
        let bundle = self.engine.bundle();
        let mut last = (Asked::Unknown("nothing was asked".to_owned()), at_least);
        for grade in GRADES.into_iter().filter(|grade| *grade <= at_least) {
            let adds = grade == at_least || rules.iter().any(|read| outcome_of(&read.rule.deed) == grade);
            if !adds && grade != Outcome::Deny {
                continue;
            }
            let question = |guards: &[Value]| {
                let rules = set(rules, guards, |rule| outcome_of(&rule.deed) <= grade)?;
                Some(self.questions.allowed(&rules, &environment.env, &bundle.schema))
            };
            // Only what passes in the end needs a good example.
            let asked = match grade == at_least {
                true => ask(bundle, environment, guards, &question),
                false => match question(guards) {
                    Some(Found::Nothing) => Asked::Nothing,
                    _ => continue,
                },
            };
            last = (asked, grade);
            if matches!(last.0, Asked::Nothing) {
                break;
            }
        }
        last
    }

    /// No rule fails on any call.
    pub(super) fn never_errors(&self) -> Result {
        let bundle = self.engine.bundle();
        let Some(environments) = Environment::all(bundle) else { return no_environments() };
        let mut findings = Vec::new();
        for environment in &environments {
            for read in Read::all(bundle, environment) {
                let tool = environment.name();
                let id = read.rule.id.as_str();
                match failing(&self.questions, bundle, environment, &read) {
                    Asked::Nothing => {}
                    Asked::Unknown(why) => findings.push(Finding::unknown(Some(tool), Some(id), why)),
                    Asked::Models(models) => {
                        let agrees = |_: &Candidate, judged: &Judged| {
                            judged.matched.errors.iter().any(|failed| failed == id)
                        };
                        let shown = witness(&models, self.engine, &agrees);
                        let what = "the rule fails on such a call, which is therefore denied";
                        findings.push(Finding::of(tool, Some(id), what, shown));
                    }
                }
            }
        }
        (findings, None, self.questions.take())
    }

    /// Every rule decides some call.
    pub(super) fn every_rule_decides(&self) -> Result {
        let bundle = self.engine.bundle();
        let Some(environments) = Environment::all(bundle) else { return no_environments() };
        let by_environment: Vec<_> =
            environments.iter().map(|environment| (environment, Read::all(bundle, environment))).collect();
        let mut findings = Vec::new();
        for rule in bundle.rules.values() {
            findings.extend(self.decides(rule, &by_environment));
        }
        (findings, None, self.questions.take())
    }

    /// What stands against the rule's deciding something; `None` where it does.
    fn decides(&self, rule: &Rule, by_environment: &[(&Environment<'_>, Vec<Read<'_>>)]) -> Option<Finding> {
        let (mut unknown, mut matches) = (None, false);
        for (environment, rules) in by_environment {
            let Some(read) = rules.iter().find(|read| read.rule.id == rule.id) else { continue };
            match self.is_decided_by(environment, rules, read) {
                Asked::Models(models) => {
                    let agrees = |_: &Candidate, judged: &Judged| {
                        let matched = &judged.matched;
                        matched.permits.iter().chain(&matched.forbids).any(|id| *id == rule.id)
                    };
                    let shown = witness(&models, self.engine, &agrees);
                    if shown.is_some_and(|shown| shown.confirmed != Confirmed::No) {
                        return None;
                    }
                    unknown =
                        Some("it decides something, says the solver; the engine does not agree".to_owned());
                }
                Asked::Unknown(why) => unknown = Some(why),
                Asked::Nothing if !matches => matches = self.matches(environment, read),
                Asked::Nothing => {}
            }
        }
        let id = Some(rule.id.as_str());
        if let Some(why) = unknown {
            return Some(Finding::unknown(None, id, why));
        }
        let what = match matches {
            true => "wherever it matches, another rule says as much",
            false => "the rule matches no call",
        };
        let rule = Some(rule.id.clone());
        Some(Finding {
            answer: Answer::Refuted,
            tool: None,
            rule,
            what: what.to_owned(),
            counterexample: None,
        })
    }

    /// Calls about which no other rule says as much: of a permit, those that would be denied without it; of a forbid, those
    /// that it alone forbids so strictly, permitted or not (a forbid may be there to say why).
    fn is_decided_by(&self, environment: &Environment<'_>, rules: &[Read<'_>], read: &Read<'_>) -> Asked {
        let bundle = self.engine.bundle();
        let schema = &bundle.schema;
        let guards = [assumption(bundle, environment, &looked(rules.iter().map(|read| &read.tree)))];
        let (deed, id) = (&read.rule.deed, &read.rule.id);
        let grade = outcome_of(deed);
        // Stricter forbids decide whatever this one says, and so do those that say the same.
        let before = |other: &Rule| outcome_of(&other.deed) < grade || other.deed == *deed;
        // Among what is permitted first: there the solver has less to choose from.
        let others = || rules.iter().filter(|other| other.rule.id != *id);
        let permitted = ask(bundle, environment, &guards, &|guards| {
            let denies = |rule: &Rule| rule.deed == Deed::Deny;
            let (first, second) = match read.permits() {
                true => (set(rules, guards, denies)?, set(others(), guards, denies)?),
                false => (set(others(), guards, before)?, set(rules, guards, before)?),
            };
            Some(self.questions.allowed_and_not((&first, &second), &environment.env, schema))
        });
        if read.permits() || matches!(permitted, Asked::Models(_)) {
            return permitted;
        }
        ask(bundle, environment, &guards, &|guards| {
            let forbids = set(others().filter(|other| !other.permits()), &[], before)?;
            let policies = forbids.policies().cloned().chain([read.as_permit(guards)?]);
            let rules = PolicySet::from_policies(policies).ok()?;
            Some(self.questions.allowed(&rules, &environment.env, schema))
        })
    }

    /// Does the rule match any call at all?
    fn matches(&self, environment: &Environment<'_>, read: &Read<'_>) -> bool {
        let bundle = self.engine.bundle();
        let guards = [assumption(bundle, environment, &looked([&read.tree]))];
        let matching = read.as_permit(&guards).and_then(|rule| PolicySet::from_policies([rule]).ok());
        let found = |rules: &PolicySet, env: &RequestEnv, schema: &Schema| {
            !matches!(self.questions.allowed(rules, env, schema), Found::Nothing)
        };
        matching.is_none_or(|rules| found(&rules, &environment.env, &bundle.schema))
    }
}

/// Calls on which the rule fails.
pub(super) fn failing(
    questions: &Questions<'_>,
    bundle: &Bundle,
    environment: &Environment<'_>,
    read: &Read<'_>,
) -> Asked {
    let guards = [assumption(bundle, environment, &looked([&read.tree]))];
    ask(bundle, environment, &guards, &|guards| {
        Some(questions.failing(&read.policy(guards)?, &environment.env, &bundle.schema))
    })
}

/// The engine with one more forbid, which matches where the condition holds.
fn with_condition(engine: &Engine, condition: &Condition) -> Option<Engine> {
    let forbid = json!({"effect": "forbid", "principal": {"op": "All"}, "action": {"op": "All"},
                        "resource": {"op": "All"}, "conditions": []});
    let tree = guarded(&forbid, std::slice::from_ref(&condition.tree));
    let survey = survey(&tree);
    let policy = cedar_policy::Policy::from_json(Some(PolicyId::new(CONDITION)), tree).ok()?;
    let place = Place { file: String::new(), line: 0, column: 0 };
    let mut bundle = engine.bundle().clone();
    let rule = Rule { id: CONDITION.to_owned(), deed: Deed::Deny, reason: None, policy, place, survey };
    bundle.rules.insert(CONDITION.to_owned(), rule);
    Engine::new(bundle).ok()
}
