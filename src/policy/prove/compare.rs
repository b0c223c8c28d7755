//! One bundle beside another: does any call get a milder outcome, or wait for less?
//!
//! Tool by tool, for those that both bundles know with the same arguments and labels, and for what neither knows. Groups
//! may differ: each bundle's are its own. A tool that only one of them knows is compared only where the other denies all
//! that it does not know: otherwise the same call has other facts here and there.

use std::cell::Cell;
use std::collections::BTreeSet;

use cedar_policy::{Policy, PolicySet, Schema};
use serde::Serialize;
use serde_json::{Value, json};

use super::assume::{Environment, assumption};
use super::query::{Found, Questions, Solver};
use super::rules::{GRADES, Read, looked, outcome_of, set};
use super::single::{Asked, Result, ask, failing};
use super::witness::{Candidate, Judged, witness};
use super::{Comparison, Counterexample, Finding};
use crate::policy::bundle::Bundle;
use crate::policy::engine::Engine;
use crate::policy::expression::demands;
use crate::policy::rule::{Deed, Hold, Rule};
use crate::policy::schema;
use crate::policy::tools::Tool;
use crate::record::decision::Outcome;

/// Compares two bundles.
pub(super) fn compare(engine: &Engine, solver: &dyn Solver, with: &Engine, how: Comparison) -> Result {
    let questions = Questions::to(solver);
    let mut findings = Milder { questions: &questions, new: engine, old: with }.findings();
    if how == Comparison::Equal {
        let stricter = Milder { questions: &questions, new: with, old: engine }.findings();
        findings.extend(stricter.into_iter().map(|finding| {
            let what = format!("by the other bundle: {}", finding.what);
            Finding { what, ..finding }
        }));
    }
    (findings, None, questions.take())
}

/// Which calls a rule matches, beside those that it matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reached {
    /// The same.
    Same,
    /// These, and more.
    More,
    /// Some of these, and no other.
    Fewer,
    /// Some that it did not match, and some no longer.
    Other,
    /// Not known.
    Unknown,
}

/// Compares what a rule of both bundles matches, wherever its calls have the same facts in both.
pub(super) fn reached(questions: &Questions<'_>, new: &Engine, old: &Engine, id: &str) -> Reached {
    let milder = Milder { questions, new, old };
    milder.reached(id).unwrap_or(Reached::Unknown)
}

/// Where `new` is milder than `old`.
struct Milder<'a> {
    questions: &'a Questions<'a>,
    new: &'a Engine,
    old: &'a Engine,
}

/// Both bundles' rules about one action, in one schema.
struct Side<'a> {
    environment: &'a Environment<'a>,
    schema: &'a Schema,
    new: Vec<Read<'a>>,
    old: Vec<Read<'a>>,
    guards: [Value; 1],
}

/// The name that a group of one bundle has where both bundles' groups stand side by side.
fn group_of(bundle: &str, group: &str) -> String {
    format!("{bundle}:{group}")
}

impl<'a> Milder<'a> {
    fn findings(&self) -> Vec<Finding> {
        let (new, old) = (self.new.bundle(), self.old.bundle());
        let unknown = |why: &str| vec![Finding::unknown(None, None, why.to_owned())];
        let Some(environments) = Environment::all(new) else {
            return unknown("Cedar refuses the names of its own types");
        };
        let Ok(schema) = joint_schema(new, old) else {
            return unknown(
                "the two bundles' tools do not fit into one schema, or their named signals are others",
            );
        };
        let mut findings = Vec::new();
        for environment in &environments {
            let theirs = environment.tool.and_then(|_| old.tools.get(environment.action));
            match (environment.tool, theirs) {
                (Some(tool), None) => findings.extend(self.known_to_one(tool, self.new, self.old)),
                (Some(tool), Some(theirs)) if !is_alike(tool, theirs) => {
                    let what = "its arguments or labels are others, so that the same call has other facts";
                    findings.push(Finding::unknown(Some(environment.name()), None, what.to_owned()));
                }
                _ => findings.extend(self.in_both(environment, &schema)),
            }
        }
        let gone = old.tools.iter().filter(|(id, _)| !new.tools.contains_key(*id));
        findings.extend(gone.flat_map(|(_, tool)| self.known_to_one(tool, self.old, self.new)));
        findings
    }

    /// A tool that `knows` registers and the other does not.
    fn known_to_one(&self, tool: &Tool, knows: &Engine, other: &Engine) -> Option<Finding> {
        let name = tool.action_id();
        let unknown = |why: String| Some(Finding::unknown(Some(name.clone()), None, why));
        let bundle = other.bundle();
        let environments = Environment::all(bundle)?;
        let elsewhere = environments.iter().find(|environment| environment.tool.is_none())?;
        let denied = match denies_all(self.questions, bundle, elsewhere) {
            Asked::Nothing => true,
            Asked::Models(_) => false,
            Asked::Unknown(why) => return unknown(why),
        };
        // The new bundle does not know it and denies it: stricter, whatever the old one did.
        if denied && std::ptr::eq(other, self.new) {
            return None;
        }
        if !denied {
            return unknown(
                "one bundle knows it, and the other lets unknown tools pass: the facts differ".to_owned(),
            );
        }
        let environments = Environment::all(knows.bundle())?;
        let here =
            environments.iter().find(|environment| environment.tool.is_some_and(|here| here == tool))?;
        match denies_all(self.questions, knows.bundle(), here) {
            Asked::Nothing => None,
            Asked::Unknown(why) => unknown(why),
            Asked::Models(models) => {
                let agrees = |_: &Candidate, judged: &Judged| judged.outcome > Outcome::Deny;
                let shown = witness(&models, knows, &agrees);
                let shown =
                    shown.map(|shown| Counterexample { compared_outcome: Some(Outcome::Deny), ..shown });
                let what = "the other bundle does not know the tool and denies it";
                Some(Finding::of(name, None, what, shown))
            }
        }
    }

    /// An action that both judge, on the same facts.
    fn in_both(&self, environment: &'a Environment<'a>, schema: &'a Schema) -> Vec<Finding> {
        let name = environment.name();
        let Some(side) = self.side(environment, schema) else {
            return vec![Finding::unknown(Some(name), None, "the rules cannot be put together".to_owned())];
        };
        let mut findings = Vec::new();
        for grade in GRADES {
            let is = |rule: &Rule| outcome_of(&rule.deed) == grade;
            if grade != Outcome::Deny && !side.new.iter().chain(&side.old).any(|read| is(read.rule)) {
                continue;
            }
            let asked = ask(self.new.bundle(), environment, &side.guards, &|guards| {
                let within = |rule: &Rule| outcome_of(&rule.deed) <= grade;
                let (new, old) = (set(&side.new, guards, within)?, set(&side.old, &[], within)?);
                Some(self.questions.allowed_and_not((&new, &old), &environment.env, schema))
            });
            let agrees = |new: &Judged, old: &Judged| old.outcome <= grade && new.outcome > grade;
            let passes = match grade {
                Outcome::Deny => "a call that was denied no longer is",
                Outcome::Defer => "a call that was deferred no longer is",
                Outcome::Hold => "a call that was held no longer is",
                _ => "a call that was changed no longer is",
            };
            if let Some(finding) = self.finding(environment, None, passes, asked, &agrees) {
                // What is milder here passes the next grades as well: once is enough.
                findings.push(finding);
                break;
            }
        }
        for old in &side.old {
            findings.extend(self.waits_for_less(&side, old));
        }
        if findings.is_empty() {
            findings.extend(self.failing(&side));
        }
        findings
    }

    fn finding(
        &self,
        environment: &Environment<'_>,
        rule: Option<&str>,
        what: &str,
        asked: Asked,
        agrees: &dyn Fn(&Judged, &Judged) -> bool,
    ) -> Option<Finding> {
        let compared = Cell::new(None);
        let agrees = |candidate: &Candidate, new: &Judged| {
            let Some(old) = candidate.judged(self.old) else { return false };
            compared.set(Some(old.outcome));
            agrees(new, &old)
        };
        match asked {
            Asked::Nothing => None,
            Asked::Unknown(why) => Some(Finding::unknown(Some(environment.name()), rule, why)),
            Asked::Models(models) => {
                let shown = witness(&models, self.new, &agrees);
                let shown = shown.map(|shown| Counterexample { compared_outcome: compared.get(), ..shown });
                Some(Finding::of(environment.name(), rule, what, shown))
            }
        }
    }

    /// A rule of the old bundle that holds, defers or changes: wherever it matches, the new one must demand as much.
    fn waits_for_less(&self, side: &Side<'_>, old: &Read<'_>) -> Option<Finding> {
        let grade = outcome_of(&old.rule.deed);
        let what = match &old.rule.deed {
            Deed::Permit | Deed::Deny => return None,
            Deed::Defer { expires_s: None } => return None,
            Deed::Defer { .. } => "a deferred call may wait longer than by this rule of the other bundle",
            Deed::Hold(_) => "a held call no longer has to meet what this rule of the other bundle demands",
            Deed::Modify(_) => "a call is no longer changed as by this rule of the other bundle",
        };
        let environment = side.environment;
        let meant = demands(&old.tree);
        let enough = |rule: &Rule| {
            let strict = outcome_of(&rule.deed) < grade;
            strict || demands_as_much(&rule.deed, &old.rule.deed)
        };
        let asked = ask(self.new.bundle(), environment, &side.guards, &|guards| {
            let guards: Vec<Value> = guards.iter().cloned().chain([meant.clone()?]).collect();
            // Stopped all the same, and by nothing that demands as much; what is not stopped was found before.
            let stops = |rule: &Rule| outcome_of(&rule.deed) <= grade;
            let (enough, stopped) = (set(&side.new, &guards, enough)?, set(&side.new, &guards, stops)?);
            Some(self.questions.allowed_and_not((&enough, &stopped), &environment.env, side.schema))
        });
        let id = old.rule.id.as_str();
        let demanded = |id: &String| {
            self.new.bundle().rules.get(id).is_some_and(|rule| demands_as_much(&rule.deed, &old.rule.deed))
        };
        let agrees = |new: &Judged, old: &Judged| {
            let matched = old.matched.forbids.iter().any(|own| own == id);
            matched && new.outcome == grade && !new.matched.forbids.iter().any(demanded)
        };
        self.finding(environment, Some(id), what, asked, &agrees)
    }

    /// Cedar skips rules that fail, and the engine denies. A rule of the old bundle that may fail therefore denies calls
    /// that the comparison did not see, unless the new bundle has the very rule.
    fn failing(&self, side: &Side<'_>) -> Vec<Finding> {
        let kept =
            |old: &Read<'_>| side.new.iter().any(|new| new.tree == old.tree && new.rule.id == old.rule.id);
        let environments = Environment::all(self.old.bundle()).unwrap_or_default();
        let here = environments.iter().find(|one| one.action == side.environment.action);
        let Some(here) = here else { return Vec::new() };
        let rules = Read::all(self.old.bundle(), here);
        let other: Vec<_> = rules.iter().filter(|old| !kept(&self.renamed(old, "old"))).collect();
        other
            .into_iter()
            .filter(|old| !matches!(failing(self.questions, self.old.bundle(), here, old), Asked::Nothing))
            .map(|old| {
                let what = "the rule of the other bundle may fail, and then denies what was not compared";
                Finding::unknown(Some(side.environment.name()), Some(&old.rule.id), what.to_owned())
            })
            .collect()
    }

    /// `None` where it is not known.
    fn reached(&self, id: &str) -> Option<Reached> {
        let (new, old) = (self.new.bundle(), self.old.bundle());
        let schema = joint_schema(new, old).ok()?;
        if new.tools.len() != old.tools.len() {
            return None;
        }
        let (mut more, mut fewer) = (false, false);
        for environment in &Environment::all(new)? {
            let theirs = environment.tool.and_then(|_| old.tools.get(environment.action));
            if environment.tool.is_some_and(|tool| !theirs.is_some_and(|theirs| is_alike(tool, theirs))) {
                return None;
            }
            let side = self.side(environment, &schema)?;
            let of = |rules: &[Read<'_>]| {
                let read = rules.iter().find(|read| read.rule.id == id);
                read.map(|read| read.as_permit(&side.guards))
            };
            let differs = |one: Option<&Policy>, other: Option<&Policy>| {
                let env = &environment.env;
                match (one, other) {
                    (None, _) => Some(false),
                    (Some(one), None) => {
                        let rules = PolicySet::from_policies([one.clone()]).ok()?;
                        known(&self.questions.allowed(&rules, env, &schema))
                    }
                    (Some(one), Some(other)) => {
                        known(&self.questions.matched_and_not((one, other), env, &schema))
                    }
                }
            };
            // A rule that reaches the action and cannot be read is not one that does not reach it.
            let (new, old) = (of(&side.new), of(&side.old));
            let (new, old) = (new.map(|new| new.ok_or(())), old.map(|old| old.ok_or(())));
            let (new, old) = (new.transpose().ok()?, old.transpose().ok()?);
            more |= differs(new.as_ref(), old.as_ref())?;
            fewer |= differs(old.as_ref(), new.as_ref())?;
        }
        Some(match (more, fewer) {
            (false, false) => Reached::Same,
            (true, false) => Reached::More,
            (false, true) => Reached::Fewer,
            (true, true) => Reached::Other,
        })
    }

    fn renamed<'r>(&self, read: &Read<'r>, side: &str) -> Read<'r> {
        let bundle = if side == "old" { self.old.bundle() } else { self.new.bundle() };
        let groups = schema::groups(bundle.form(), &bundle.tools);
        read.clone().with_groups(&|group| groups.contains(group).then(|| group_of(side, group)))
    }

    fn side(&self, environment: &'a Environment<'a>, schema: &'a Schema) -> Option<Side<'a>> {
        let environments = Environment::all(self.old.bundle())?;
        let theirs = environments.iter().find(|one| one.action == environment.action)?;
        let new: Vec<_> =
            Read::all(self.new.bundle(), environment).iter().map(|read| self.renamed(read, "new")).collect();
        let old: Vec<_> =
            Read::all(self.old.bundle(), theirs).iter().map(|read| self.renamed(read, "old")).collect();
        let looked = looked(new.iter().chain(&old).map(|read| &read.tree));
        let guards = [assumption(self.new.bundle(), environment, &looked)];
        Some(Side { environment, schema, new, old, guards })
    }
}

/// Is there such a call? `None` where that is not known.
const fn known(found: &Found) -> Option<bool> {
    match found {
        Found::Nothing => Some(false),
        Found::Example(_) => Some(true),
        Found::Unknown(_) => None,
    }
}

/// Does the bundle deny everything in the environment?
fn denies_all(questions: &Questions<'_>, bundle: &Bundle, environment: &Environment<'_>) -> Asked {
    let rules = Read::all(bundle, environment);
    let guards = [assumption(bundle, environment, &looked(rules.iter().map(|read| &read.tree)))];
    ask(bundle, environment, &guards, &|guards| {
        let rules = set(&rules, guards, |rule| rule.deed == Deed::Deny)?;
        Some::<Found>(questions.allowed(&rules, &environment.env, &bundle.schema))
    })
}

/// Has a call of it the same facts in both bundles?
fn is_alike(one: &Tool, other: &Tool) -> bool {
    one.fields == other.fields && one.labels == other.labels && one.required == other.required
}

/// Both bundles' actions, each in the groups of both, told apart.
fn joint_schema(new: &Bundle, old: &Bundle) -> std::result::Result<Schema, String> {
    if new.named != old.named {
        return Err("the named signals are others".to_owned());
    }
    let mut document = schema::json(new.form(), &new.tools, new.named.is_some());
    let ours = schema::groups(new.form(), &new.tools);
    let theirs = schema::groups(old.form(), &old.tools);
    let unregistered: BTreeSet<&str> =
        crate::policy::tools::unregistered_groups(new.form()).iter().copied().collect();
    let actions = document.pointer_mut("//actions").and_then(Value::as_object_mut);
    let actions = actions.ok_or("the schema has no actions")?;
    for group in &ours {
        actions.remove(*group);
    }
    let names = [("new", &ours), ("old", &theirs)];
    for (side, groups) in names {
        actions.extend(groups.iter().map(|group| (group_of(side, group), json!({}))));
    }
    let members = actions.iter_mut().filter(|(_, action)| action.get("appliesTo").is_some());
    for (id, action) in members {
        let of = |bundle: &Bundle, side: &str| -> Vec<Value> {
            let named = match bundle.tools.get(id.as_str()) {
                Some(tool) => tool.groups.iter().map(String::as_str).collect(),
                None => unregistered.clone(),
            };
            named.into_iter().map(|group| json!({"id": group_of(side, group)})).collect()
        };
        let groups: Vec<Value> = of(new, "new").into_iter().chain(of(old, "old")).collect();
        if let Some(action) = action.as_object_mut() {
            action.insert("memberOf".to_owned(), Value::Array(groups));
        }
    }
    Schema::from_json_value(document).map_err(|error| error.to_string())
}

/// Does a matching rule of the one kind demand at least what one of the other does?
pub(super) fn demands_as_much(new: &Deed, old: &Deed) -> bool {
    match (new, old) {
        (Deed::Hold(new), Deed::Hold(old)) => holds_as_much(new, old),
        (Deed::Defer { expires_s: new }, Deed::Defer { expires_s: old }) => as_soon(*new, *old),
        (Deed::Modify(new), Deed::Modify(old)) => old.iter().all(|transform| new.contains(transform)),
        _ => false,
    }
}

fn as_soon(new: Option<u64>, old: Option<u64>) -> bool {
    match (new, old) {
        (_, None) => true,
        (Some(new), Some(old)) => new <= old,
        (None, Some(_)) => false,
    }
}

fn holds_as_much(new: &Hold, old: &Hold) -> bool {
    let kept = |new: &Option<String>, old: &Option<String>| old.is_none() || new == old;
    kept(&new.approver, &old.approver)
        && kept(&new.human, &old.human)
        && kept(&new.step_up, &old.step_up)
        && kept(&new.ticket, &old.ticket)
        && new.quorum.unwrap_or(1) >= old.quorum.unwrap_or(1)
        && as_soon(new.expires_s, old.expires_s)
}
