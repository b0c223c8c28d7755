//! Plans: which calls were meant to be made, in which order, and with what.
//!
//! ```json
//! {"steps": [
//!   {"id": "read", "server": "mail", "tool": "read_inbox", "free": true},
//!   {"id": "send", "server": "mail", "tool": "send_email", "args": {"to": "bob@shop.example"},
//!    "from": {"/body": "read/messages/*/text"}, "free": ["subject"], "count": 1, "after": ["read"]},
//!   {"server": "bank", "tool": "pay", "args": {"to": "DE89…"}, "grounded": ["to"], "free": true}]}
//! ```
//!
//! A call conforms if some step is its tool, has not run `count` times yet, has all steps in `after` behind it, and
//! accounts for every argument: it equals the constant in `args`, or all that lies at a path in `from` was at the named
//! path of an output of that step, or it is `grounded`, or it is `free`. A `grounded` argument is one of the tool's
//! destinations: each value there is grounded by itself or equals, by its type, one of the constant's; of a URL the
//! constant's host will do. An argument that no step mentions does not conform: it is where an injected recipient would
//! be.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::argument_path::ArgumentPath;
use super::provenance::FingerprintKey;
use crate::record::canonical::to_jcs;
use crate::record::intent::is_id;
use crate::record::limits;

/// Values of outputs that a session keeps for the bindings of its plan; beyond it none is learned.
const LEARNED: usize = 1_024;

/// Who made a plan, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// The application, or a person approved it. The only one that may relax anything.
    Application,
    /// The agent, before anything untrusted was read in the session. May tighten.
    Early,
    /// The agent, later. Says nothing.
    Late,
}

impl Standing {
    /// The name in rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Early => "early",
            Self::Late => "late",
        }
    }
}

/// Why a document is not a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {problem}")]
pub struct PlanError {
    /// RFC 6901 path within the plan.
    pub pointer: String,
    /// What is wrong there.
    pub problem: String,
}

fn wrong(pointer: impl Into<String>, problem: impl Into<String>) -> PlanError {
    PlanError { pointer: pointer.into(), problem: problem.into() }
}

/// A plan, checked: its order has no circle, and every name in it leads somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
struct Step {
    server: String,
    tool: String,
    /// Arguments with one value, in canonical form.
    constants: BTreeMap<String, Vec<u8>>,
    bindings: Vec<Binding>,
    /// Destinations that may also be what the session grounds.
    grounded: BTreeSet<String>,
    /// The constants of those.
    meant: Value,
    free: Free,
    count: u32,
    after: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq)]
enum Free {
    All,
    These(BTreeSet<String>),
}

/// What lies at `at` in the arguments was at `output` in the output of `step`.
#[derive(Debug, Clone, PartialEq)]
struct Binding {
    at: ArgumentPath,
    step: usize,
    output: ArgumentPath,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declared {
    steps: Vec<DeclaredStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredStep {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    server: String,
    tool: String,
    #[serde(default)]
    args: Map<String, Value>,
    #[serde(default)]
    from: BTreeMap<String, String>,
    #[serde(default)]
    grounded: BTreeSet<String>,
    #[serde(default)]
    free: Value,
    #[serde(default = "once")]
    count: u32,
    #[serde(default)]
    after: Vec<String>,
}

const fn once() -> u32 {
    1
}

/// How far a session got with its plan. Part of the state that the ledger folds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlanState {
    /// How often each step has run.
    ran: BTreeMap<usize, u32>,
    /// Fingerprints of what outputs held at the places that bindings name: by step and binding.
    learned: BTreeMap<usize, BTreeMap<usize, BTreeSet<[u8; 16]>>>,
}

impl Plan {
    /// Steps of a plan.
    pub const MOST_STEPS: usize = 64;
    /// How often one step may run.
    pub const MOST_RUNS: u32 = 1_000;

    /// Reads a plan.
    ///
    /// # Errors
    /// [`PlanError`], with the place.
    pub fn parse(document: &Value) -> Result<Self, PlanError> {
        let declared = Declared::deserialize(document).map_err(|error| wrong("/", error.to_string()))?;
        if declared.steps.is_empty() || declared.steps.len() > Self::MOST_STEPS {
            return Err(wrong("/steps", format!("needs 1 to {} steps", Self::MOST_STEPS)));
        }
        let mut ids: BTreeMap<&str, usize> = BTreeMap::new();
        for (i, step) in declared.steps.iter().enumerate() {
            let Some(id) = &step.id else { continue };
            if !is_id(id) || ids.insert(id, i).is_some() {
                return Err(wrong(format!("/steps/{i}/id"), "must be an id, and no other step's"));
            }
        }
        let steps = declared.steps.iter().enumerate().map(|(i, step)| step.check(i, &ids));
        let plan = Self { steps: steps.collect::<Result<_, _>>()? };
        plan.check_order()?;
        Ok(plan)
    }

    /// How many steps there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Always false: a plan has a step.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Server and tool of each step.
    pub fn tools(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.steps.iter().map(|step| (step.server.as_str(), step.tool.as_str()))
    }

    fn check_order(&self) -> Result<(), PlanError> {
        match (0..self.steps.len()).find(|step| self.reaches_itself(*step)) {
            Some(step) => {
                Err(wrong(format!("/steps/{step}/after"), "the steps wait for each other in a circle"))
            }
            None => Ok(()),
        }
    }

    fn reaches_itself(&self, step: usize) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![step];
        while let Some(at) = waiting.pop() {
            for earlier in self.steps.get(at).map(|step| step.after.as_slice()).unwrap_or_default() {
                if *earlier == step {
                    return true;
                }
                if seen.insert(*earlier) {
                    waiting.push(*earlier);
                }
            }
        }
        false
    }
}

impl DeclaredStep {
    fn check(&self, i: usize, ids: &BTreeMap<&str, usize>) -> Result<Step, PlanError> {
        let at = |member: &str| format!("/steps/{i}/{member}");
        if self.tool.is_empty() || self.tool.len() > limits::TOOL_NAME_MAX_BYTES {
            return Err(wrong(at("tool"), "must be a tool's name"));
        }
        if self.server.len() > limits::SERVER_NAME_MAX_BYTES {
            return Err(wrong(at("server"), "must be a server's name"));
        }
        if self.count == 0 || self.count > Plan::MOST_RUNS {
            return Err(wrong(at("count"), format!("must be 1 to {}", Plan::MOST_RUNS)));
        }
        let step = |id: &str, member: &str| {
            ids.get(id)
                .copied()
                .filter(|step| *step != i)
                .ok_or_else(|| wrong(at(member), "names no other step"))
        };
        let after = self.after.iter().map(|id| step(id, "after")).collect::<Result<Vec<_>, _>>()?;
        let mut bindings = Vec::new();
        for (to, source) in &self.from {
            let (id, output) = source.split_at(source.find('/').unwrap_or(source.len()));
            let pattern =
                |path: &str| ArgumentPath::parse(path).map_err(|problem| wrong(at("from"), problem));
            bindings.push(Binding { at: pattern(to)?, step: step(id, "from")?, output: pattern(output)? });
        }
        let free = match &self.free {
            Value::Null | Value::Bool(false) => Free::These(BTreeSet::new()),
            Value::Bool(true) => Free::All,
            Value::Array(names) => {
                let names = names.iter().map(|name| name.as_str().map(str::to_owned)).collect::<Option<_>>();
                Free::These(names.ok_or_else(|| wrong(at("free"), "must be names of arguments, or true"))?)
            }
            _ => return Err(wrong(at("free"), "must be names of arguments, or true")),
        };
        let (meant, exact): (Map<_, _>, Map<_, _>) =
            self.args.clone().into_iter().partition(|(name, _)| self.grounded.contains(name));
        let constants = exact.iter().map(|(name, value)| Some((name.clone(), to_jcs(value).ok()?)));
        let constants =
            constants.collect::<Option<_>>().ok_or_else(|| wrong(at("args"), "has no canonical form"))?;
        let (server, tool) = (self.server.clone(), self.tool.clone());
        let (grounded, meant) = (self.grounded.clone(), Value::Object(meant));
        Ok(Step { server, tool, constants, bindings, grounded, meant, free, count: self.count, after })
    }
}

/// A call, as a plan looks at it.
#[derive(Clone, Copy)]
pub(super) struct Planned<'a> {
    pub(super) server: &'a str,
    pub(super) tool: &'a str,
    pub(super) args: &'a Value,
    /// Is what stands at this argument, a destination, grounded or one of the values that were meant for it?
    pub(super) is_meant: &'a dyn Fn(&str, &Value) -> bool,
}

impl PlanState {
    /// A call that was this step may run.
    pub fn ran(&mut self, step: usize) {
        let count = self.ran.entry(step).or_default();
        *count = count.saturating_add(1);
    }

    /// The output of a call that was this step, reported by the tool's side.
    pub fn output(&mut self, plan: &Plan, step: usize, key: &FingerprintKey, output: &Value) {
        let mut kept: usize = self.learned.values().flat_map(BTreeMap::values).map(BTreeSet::len).sum();
        for (i, target) in plan.steps.iter().enumerate() {
            for (b, binding) in target.bindings.iter().enumerate().filter(|(_, binding)| binding.step == step)
            {
                for value in found(&binding.output, output) {
                    if kept >= LEARNED {
                        return;
                    }
                    let Some(print) = fingerprint(key, &value) else { continue };
                    let known = self.learned.entry(i).or_default().entry(b).or_default();
                    kept = kept.saturating_add(usize::from(known.insert(print)));
                }
            }
        }
    }

    /// The first step that a call is, `also` being the steps that calls before it in its intent are, and `taken` those
    /// that other calls of its intent are.
    pub(super) fn step_of(
        &self,
        plan: &Plan,
        key: Option<&FingerprintKey>,
        call: Planned<'_>,
        before: &BTreeSet<usize>,
        taken: &BTreeMap<usize, u32>,
    ) -> Option<usize> {
        (0..plan.steps.len()).find(|i| {
            plan.steps.get(*i).is_some_and(|step| {
                let runs = |step: &usize, by: &BTreeMap<usize, u32>| by.get(step).copied().unwrap_or(0);
                step.tool == call.tool
                    && step.server == call.server
                    && runs(i, &self.ran).saturating_add(runs(i, taken)) < step.count
                    && step
                        .after
                        .iter()
                        .all(|earlier| runs(earlier, &self.ran) > 0 || before.contains(earlier))
                    && self.accounts_for(*i, step, key, call)
            })
        })
    }

    /// Does the step say what every argument may be, and is it that?
    fn accounts_for(&self, i: usize, step: &Step, key: Option<&FingerprintKey>, call: Planned<'_>) -> bool {
        let Some(object) = call.args.as_object() else { return false };
        let present = step.constants.keys().all(|name| object.contains_key(name));
        let bound = step.bindings.iter().enumerate().all(|(b, binding)| {
            let known = self.learned.get(&i).and_then(|by| by.get(&b));
            let is_known = |value: &Value| {
                key.and_then(|key| fingerprint(key, value))
                    .zip(known)
                    .is_some_and(|(print, known)| known.contains(&print))
            };
            let values = found(&binding.at, call.args);
            !values.is_empty() && values.iter().all(is_known)
        });
        present
            && bound
            && step.grounded.iter().all(|name| (call.is_meant)(name, &step.meant))
            && object.iter().all(|(name, value)| match step.constants.get(name) {
                Some(constant) => to_jcs(value).is_ok_and(|value| value == *constant),
                None if step.grounded.contains(name) => true,
                None if step.bindings.iter().any(|binding| binding.at.argument() == name) => {
                    // A binding below an argument, as /cc/*, speaks for all that is in an array.
                    step.bindings.iter().any(|binding| {
                        binding.at.argument() == name
                            && (binding.at.is_argument() || all_items(&binding.at, value))
                    })
                }
                None => match &step.free {
                    Free::All => true,
                    Free::These(names) => names.contains(name),
                },
            })
    }
}

/// Is the pattern `/name/*`, and the value an array?
fn all_items(at: &ArgumentPath, value: &Value) -> bool {
    value.is_array()
        && ArgumentPath::parse(&format!("{}/*", super::argument_path::below("", at.argument())))
            .is_ok_and(|all| all == *at)
}

/// Copies of what lies at the places of a pattern.
fn found(pattern: &ArgumentPath, root: &Value) -> Vec<Value> {
    let mut values = Vec::new();
    pattern.visit(root, &mut |_, value| values.push(value.clone()));
    values
}

/// Of the value's canonical form, so that 5 and 5.0 are one.
fn fingerprint(key: &FingerprintKey, value: &Value) -> Option<[u8; 16]> {
    Some(key.bound(&to_jcs(value).ok()?))
}
