//! What another bundle would have decided: sealed history, judged by a candidate's rules and tools.
//!
//! Facts are derived anew, by what the candidate's tools say of arguments and outputs. What happened stays what happened:
//! which calls ran, and what they answered, is as the log has it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::difference::Difference;
use super::facts::decide_anew;
use super::history::{Gap, History, read_policy};
use super::report::{Differences, Level};
use super::walk::{IntentLeaf, Judge, Opened};
use crate::disk::Disk;
use crate::evidence::Report;
use crate::evidence::report::Outcome as Check;
use crate::journal::ReadError;
use crate::ledger::at_rest::for_each_leaf;
use crate::ledger::fsck::commitments::Documents;
use crate::ledger::layout::Layout;
use crate::policy::{Bundle, Engine, Evaluated, FactsForm};
use crate::record::canonical::to_jcs;
use crate::record::decision::{CallDecision, Outcome};
use crate::record::entry::{Entry, PolicyMode};
use crate::record::intent::Call;

/// Tools that are told apart; agents name what they like.
const TOOLS_MAX: usize = 1_000;
/// The others.
const OTHER_TOOLS: &str = "(others)";

/// The bundle that is asked.
#[derive(Debug, Clone)]
pub enum Candidate {
    /// One that the log need not know, over all of it.
    Given {
        /// Ready to decide.
        engine: Arc<Engine>,
        /// Its files.
        files: BTreeMap<String, Vec<u8>>,
    },
    /// One that was put in shadow, over its time there.
    Shadow(Shadow),
}

/// The time of a bundle in shadow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// The leaf that put it there.
    pub leaf: u64,
    /// The leaf that ended it; absent while it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// The last bundle that was put in shadow. Leaves are read, and not verified: judging does that.
///
/// # Errors
/// [`ReadError`] where the journal cannot be read on.
pub fn last_shadow(disk: &dyn Disk, layout: &Layout) -> Result<Option<Shadow>, ReadError> {
    let mut last: Option<Shadow> = None;
    for_each_leaf(disk, &layout.data, &mut |index, bytes| {
        if let Ok(Entry::Policy(policy)) = Entry::parse(bytes) {
            if let (Some(shadow), Some(_)) = (&mut last, policy.ends) {
                shadow.until.get_or_insert(index);
            }
            if policy.mode == PolicyMode::Shadow {
                last = Some(Shadow { leaf: index, until: None });
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(last)
}

/// What would have been decided otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It was milder, now it is denied.
    NewlyDenied,
    /// Now it is deferred.
    NewlyDeferred,
    /// Now it is held.
    NewlyHeld,
    /// Now it is changed first.
    NewlyModified,
    /// It was stricter, now it is allowed.
    NewlyAllowed,
    /// The outcome is the same; its conditions or transforms are others.
    OtherTerms,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::NewlyDenied,
        Self::NewlyAllowed,
        Self::NewlyHeld,
        Self::NewlyModified,
        Self::NewlyDeferred,
        Self::OtherTerms,
    ];

    const fn to(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Deny => Self::NewlyDenied,
            Outcome::Defer => Self::NewlyDeferred,
            Outcome::Hold => Self::NewlyHeld,
            Outcome::Modify => Self::NewlyModified,
            Outcome::Allow => Self::NewlyAllowed,
        }
    }

    /// For people.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::NewlyDenied => "newly denied",
            Self::NewlyDeferred => "newly deferred",
            Self::NewlyHeld => "newly held",
            Self::NewlyModified => "newly modified",
            Self::NewlyAllowed => "newly allowed",
            Self::OtherTerms => "on other terms",
        }
    }
}

/// A call that would have been decided otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// The leaf of its intent.
    pub leaf: u64,
    /// The intent's id.
    pub id: Uuid,
    /// The call's id.
    pub call: String,
    /// The tool, as calls name it.
    pub tool: String,
    /// What was decided.
    pub before: Outcome,
    /// What the candidate decides.
    pub after: Outcome,
    /// The rules that decided.
    pub rules_before: Vec<String>,
    /// The rules that decide now.
    pub rules_after: Vec<String>,
}

/// All calls that would have been decided otherwise in one way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// How many.
    pub calls: u64,
    /// In so many decisions.
    pub decisions: u64,
    /// By the rules that decided.
    pub rules_before: BTreeMap<String, u64>,
    /// By the rules that decide now.
    pub rules_after: BTreeMap<String, u64>,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// One tool's calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ToolChanges {
    /// How many were judged.
    pub calls: u64,
    /// Decided as before, on the same terms.
    pub unchanged: u64,
    /// Decided otherwise.
    pub changes: BTreeMap<Change, u64>,
}

/// The report. Serialised, it is `schemas/policy.replay.schema.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// The checks, the verdict and what was not checked.
    #[serde(flatten)]
    pub report: Report,
    /// Digest of the candidate's bytes.
    pub candidate: Option<String>,
    /// Its time in shadow; nothing else was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
    /// Decisions there were to judge.
    pub decisions: u64,
    /// Calls in them.
    pub calls: u64,
    /// Decisions that were judged.
    pub judged: Level,
    /// Calls that were judged.
    pub calls_judged: u64,
    /// Of these, calls decided as before, on the same terms.
    pub unchanged: u64,
    /// Calls decided otherwise.
    pub changes: BTreeMap<Change, Judged>,
    /// By tool.
    pub tools: BTreeMap<String, ToolChanges>,
    /// What is not what its leaf commits to, the first of them.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// How many calls changed in a way.
    #[must_use]
    pub fn count(&self, change: Change) -> u64 {
        self.changes.get(&change).map_or(0, |judged| judged.calls)
    }

    /// Says that there should be none of a kind.
    pub fn demand_none(&mut self, change: Change) {
        let name = format!("no call is {}", change.in_words());
        match self.count(change) {
            0 => self.report.passed(name, ""),
            count => self.report.record(name, Check::BelowPolicy, format!("{count} are")),
        }
    }
}

/// Judges each decision by the candidate, and counts.
pub(super) struct Comparer {
    candidate: Candidate,
    examples_max: usize,
    engine: Option<Arc<Engine>>,
    /// The candidate's time is over.
    ended: bool,
    decisions: u64,
    calls: u64,
    judged: Level,
    calls_judged: u64,
    unchanged: u64,
    changes: BTreeMap<Change, Judged>,
    tools: BTreeMap<String, ToolChanges>,
    differences: Differences,
}

impl Comparer {
    pub(super) fn new(candidate: Candidate, examples_max: usize) -> Self {
        Self {
            engine: None,
            ended: false,
            candidate,
            examples_max,
            decisions: 0,
            calls: 0,
            judged: Level::default(),
            calls_judged: 0,
            unchanged: 0,
            changes: BTreeMap::new(),
            tools: BTreeMap::new(),
            differences: Differences::default(),
        }
    }

    fn judge(&mut self, leaf: &IntentLeaf<'_>, documents: &Documents, derived: &Evaluated) {
        let mut seen: Vec<Change> = Vec::new();
        let calls = documents.intent.calls.iter().zip(&leaf.entry.calls).zip(&derived.decision.calls);
        for (i, ((call, sealed), after)) in calls.enumerate() {
            self.calls_judged += 1;
            let tool = self.tool(call);
            tool.calls += 1;
            let verdict = documents.evaluation.pointer(&format!("/verdicts/{i}"));
            let change = match () {
                () if sealed.outcome != after.outcome => Change::to(after.outcome),
                () if same_terms(verdict, changed_args(documents, i), after) => {
                    tool.unchanged += 1;
                    self.unchanged += 1;
                    continue;
                }
                () => Change::OtherTerms,
            };
            *tool.changes.entry(change).or_default() += 1;
            let judged = self.changes.entry(change).or_default();
            judged.calls += 1;
            if !seen.contains(&change) {
                seen.push(change);
                judged.decisions += 1;
            }
            let rules_before = rules(verdict);
            let rules_after: Vec<String> = after.reasons.iter().map(|reason| reason.rule.clone()).collect();
            for (rules, counts) in
                [(&rules_before, &mut judged.rules_before), (&rules_after, &mut judged.rules_after)]
            {
                rules.iter().for_each(|rule| *counts.entry(rule.clone()).or_default() += 1);
            }
            if judged.examples.len() < self.examples_max {
                judged.examples.push(Example {
                    leaf: leaf.index,
                    id: leaf.entry.id,
                    call: call.id.clone(),
                    tool: name_of(call),
                    before: sealed.outcome,
                    after: after.outcome,
                    rules_before,
                    rules_after,
                });
            }
        }
    }

    fn tool(&mut self, call: &Call) -> &mut ToolChanges {
        let name = name_of(call);
        let known = self.tools.len() < TOOLS_MAX || self.tools.contains_key(&name);
        self.tools.entry(if known { name } else { OTHER_TOOLS.to_owned() }).or_default()
    }

    pub(super) fn conclude(self, mut report: Report) -> Comparison {
        let name = "what lies beside the leaves is what they commit to";
        self.differences.conclude(&mut report, name, self.decisions > 0);
        let name = "facts of each decision can be derived";
        self.judged.conclude(&mut report, name, self.decisions);
        report.not_checked(
            "what agents would have done after another decision: the log has what they did after this one",
        );
        report.not_checked("that sealed decisions follow from sealed facts (`foreseal replay` does that)");
        Comparison {
            report,
            candidate: self.engine.map(|engine| hex::encode(engine.bundle().digest())),
            shadow: match self.candidate {
                Candidate::Shadow(shadow) => Some(shadow),
                Candidate::Given { .. } => None,
            },
            decisions: self.decisions,
            calls: self.calls,
            judged: self.judged,
            calls_judged: self.calls_judged,
            unchanged: self.unchanged,
            changes: self.changes,
            tools: self.tools,
            differences: self.differences.told,
        }
    }
}

impl Judge for Comparer {
    /// From the first leaf on, the given candidate's tools are those that count.
    fn begins(&mut self, history: &mut History<'_>) {
        if let Candidate::Given { engine, files } = &self.candidate {
            history.fold_by(files);
            self.engine = Some(Arc::clone(engine));
        }
    }

    fn comes(&mut self, index: u64, entry: &Entry, opened: Option<&Opened>, history: &mut History<'_>) {
        let (Candidate::Shadow(shadow), Entry::Policy(_)) = (&self.candidate, entry) else { return };
        self.ended |= shadow.until == Some(index);
        if shadow.leaf != index {
            return;
        }
        let files = opened.and_then(|opened| read_policy(&opened.payload.declared)).map(|(_, files)| files);
        let engine = files.as_ref().and_then(|files| {
            let bundle = Bundle::load(files.clone()).ok()?;
            Engine::new(bundle).map(Arc::new).ok()
        });
        match (files, engine) {
            (Some(files), Some(engine)) => {
                history.fold_by(&files);
                self.engine = Some(engine);
            }
            _ => self.changed(
                index,
                format!("policy of leaf {index}"),
                "the bundle in shadow cannot be read, or does not load in this version".to_owned(),
            ),
        }
    }

    fn intent(&mut self, leaf: &IntentLeaf<'_>, history: &mut History<'_>) -> Option<Vec<Option<usize>>> {
        if self.ended {
            return None;
        }
        let Some(engine) = self.engine.clone() else {
            // Before the candidate's time: folded as it was decided.
            let (_, documents) = leaf.opened.ok()?;
            let engine = history.engine(FactsForm::NOW).ok()?;
            history.gap(leaf.entry).is_none().then_some(())?;
            return decide_anew(history, &engine, leaf, documents).map(|derived| derived.steps);
        };
        self.decisions += 1;
        self.calls += leaf.entry.calls.len() as u64;
        let opened = leaf.opened.and_then(|opened| history.gap(leaf.entry).map_or(Ok(opened), Err));
        let derived = opened.and_then(|(_, documents)| {
            let derived = decide_anew(history, &engine, leaf, documents).ok_or(Gap::History)?;
            Ok((documents, derived))
        });
        match derived {
            Ok((documents, derived)) => {
                self.judged.rederived += 1;
                self.judge(leaf, documents, &derived);
                Some(derived.steps)
            }
            Err(gap) => {
                self.judged.miss(leaf.index, gap);
                None
            }
        }
    }

    fn changed(&mut self, index: u64, what: String, problem: String) {
        self.differences.add([Difference::changed(index, what, problem)]);
    }
}

fn name_of(call: &Call) -> String {
    if call.server.is_empty() { call.tool.clone() } else { format!("{}/{}", call.server, call.tool) }
}

/// The rules that a sealed verdict names as its reasons.
fn rules(verdict: Option<&Value>) -> Vec<String> {
    let reasons = verdict.and_then(|verdict| verdict.get("reasons")).and_then(Value::as_array);
    let rule = |reason: &Value| reason.get("rule").and_then(Value::as_str).map(str::to_owned);
    reasons.into_iter().flatten().filter_map(rule).collect()
}

fn changed_args(documents: &Documents, call: usize) -> Option<&Value> {
    documents.evaluation.pointer(&format!("/requests/{call}/changed/args"))
}

/// Whether a call of the same outcome waits for the same and runs in the same form. Which rules said so is no matter.
fn same_terms(verdict: Option<&Value>, sealed_args: Option<&Value>, after: &CallDecision) -> bool {
    let without_rules = |conditions: &Value| {
        let mut conditions = conditions.as_array().cloned().unwrap_or_default();
        for condition in &mut conditions {
            condition.as_object_mut().and_then(|condition| condition.remove("rule"));
        }
        let written: BTreeSet<Vec<u8>> =
            conditions.iter().filter_map(|condition| to_jcs(condition).ok()).collect();
        written
    };
    let sealed = verdict.and_then(|verdict| verdict.get("conditions")).cloned().unwrap_or_default();
    let now = serde_json::to_value(&after.conditions).unwrap_or_default();
    without_rules(&sealed) == without_rules(&now)
        && (after.outcome != Outcome::Modify || sealed_args == after.args.as_ref())
}
