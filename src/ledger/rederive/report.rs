//! What an auditor's replay found, coverage first.

use serde::Serialize;

use super::difference::{Difference, Kind};
use super::facts;
use super::history::{Gap, History};
use super::verdicts::{self, Versions};
use super::walk::{IntentLeaf, Judge};
use crate::evidence::Report;
use crate::ledger::fsck::commitments::Documents;
use crate::ledger::payload::Payload;
use crate::policy::{Engine, FactsForm};
use crate::record::json::parse;

/// Differences that are told; all are counted.
const TOLD_MAX: usize = 100;

/// One level of derivation: each decision is one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Level {
    /// Derived again, and the same.
    pub rederived: u64,
    /// Derived again, and not the same.
    pub different: u64,
    /// Not derived: nothing is said about them.
    pub not_rederivable: u64,
    /// Why not, the commonest reasons of each decision.
    pub reasons: Vec<Missing>,
}

/// Decisions that were not derived for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The reason.
    pub reason: Gap,
    /// How many.
    pub decisions: u64,
    /// The first of them.
    pub first_leaf: u64,
}

impl Level {
    pub(super) fn miss(&mut self, leaf: u64, reason: Gap) {
        self.not_rederivable += 1;
        match self.reasons.iter_mut().find(|missing| missing.reason == reason) {
            Some(missing) => missing.decisions += 1,
            None => self.reasons.push(Missing { reason, decisions: 1, first_leaf: leaf }),
        }
    }

    pub(super) fn conclude(&self, report: &mut Report, name: &str, decisions: u64) {
        let Self { rederived, different, not_rederivable, .. } = self;
        if *different > 0 {
            report.failed(name, format!("{different} of {decisions} do not"));
        } else if decisions == 0 {
            report.undecided(name, "there is no decision in this log");
        } else if *not_rederivable > 0 {
            let why = self.reasons_in_words();
            report.undecided(name, format!("{rederived} of {decisions} do; not re-derivable: {why}"));
        } else {
            report.passed(name, format!("{rederived} of {decisions}"));
        }
    }

    fn reasons_in_words(&self) -> String {
        let reasons = self.reasons.iter().map(|missing| {
            format!(
                "{} because {} (first: leaf {})",
                missing.decisions,
                missing.reason.in_words(),
                missing.first_leaf
            )
        });
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// The report. Serialised, it is `schemas/replay.schema.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Replay {
    /// The checks, the verdict and what was not checked.
    #[serde(flatten)]
    pub report: Report,
    /// Decisions in the log: its intents.
    pub decisions: u64,
    /// Calls in them.
    pub calls: u64,
    /// Verdicts from recorded facts.
    pub verdicts: Level,
    /// Facts from payloads and history.
    pub facts: Level,
    /// What is not what it should be, the first of them.
    pub differences: Vec<Difference>,
    /// All of them.
    pub difference_count: u64,
    /// Decisions by other versions of Cedar than this build's.
    pub other_cedar: u64,
}

impl Replay {
    /// The coverage in a line.
    #[must_use]
    pub fn coverage(&self) -> String {
        let Self { decisions, verdicts, facts, .. } = self;
        let missing = verdicts.not_rederivable.max(facts.not_rederivable);
        format!(
            "verdicts of {} of {decisions} decisions re-derived; facts of {} of {decisions}; {missing} not re-derivable",
            verdicts.rederived, facts.rederived
        )
    }
}

/// Derives each decision again and counts.
#[derive(Default)]
pub(super) struct Auditor {
    decisions: u64,
    calls: u64,
    verdicts: Level,
    facts: Level,
    differences: Differences,
    other_cedar: u64,
}

impl Auditor {
    /// One level of one decision.
    fn count(level: &mut Level, differences: &mut Differences, found: Vec<Difference>) {
        if found.is_empty() {
            level.rederived += 1;
        } else {
            level.different += 1;
            differences.add(found);
        }
    }

    fn missed(&mut self, leaf: u64, gap: Gap) {
        self.verdicts.miss(leaf, gap);
        self.facts.miss(leaf, gap);
    }

    /// Facts from payloads and history; the steps of the plan that its calls are.
    fn facts(
        &mut self,
        engine: &Engine,
        leaf: &IntentLeaf<'_>,
        (payload, documents): (&Payload, &Documents),
        history: &History<'_>,
    ) -> Option<Vec<Option<usize>>> {
        if let Some(gap) = history.gap(leaf.entry) {
            self.facts.miss(leaf.index, gap);
            return None;
        }
        let derived = facts::decide_anew(history, engine, leaf, documents)?;
        let mut found = facts::words(history, leaf, payload, documents);
        found.extend(facts::differences(leaf.index, payload, documents, &derived));
        Self::count(&mut self.facts, &mut self.differences, found);
        Some(derived.steps)
    }

    pub(super) fn conclude(self, mut report: Report) -> Replay {
        let Self { decisions, calls, verdicts, facts, differences, other_cedar } = self;
        differences.conclude(
            &mut report,
            "what lies beside the leaves is what they commit to",
            decisions > 0,
        );
        for (level, name) in [
            (&verdicts, "verdicts follow from the sealed requests and the sealed policy"),
            (&facts, "facts follow from the declared documents and what came before"),
        ] {
            level.conclude(&mut report, name, decisions);
        }
        if other_cedar > 0 {
            report.not_checked(format!(
                "{other_cedar} decisions under the very version of Cedar that made them: this build has another"
            ));
        }
        report.not_checked("tiles, index, snapshots and the head file (`foreseal fsck` does that)");
        report.not_checked("that what was declared is what was done; actions that were never submitted");
        report.not_checked("that this is the newest state of the log: compare it with a checkpoint you kept");
        Replay {
            report,
            decisions,
            calls,
            verdicts,
            facts,
            differences: differences.told,
            difference_count: differences.count,
            other_cedar,
        }
    }
}

impl Judge for Auditor {
    fn intent(&mut self, leaf: &IntentLeaf<'_>, history: &mut History<'_>) -> Option<Vec<Option<usize>>> {
        self.decisions += 1;
        self.calls += leaf.entry.calls.len() as u64;
        let (payload, documents) = match leaf.opened {
            Ok(opened) => opened,
            Err(gap) => {
                self.missed(leaf.index, gap);
                return None;
            }
        };
        let sealed = documents.evaluation.get("engine");
        let engine = sealed.and_then(FactsForm::of_sealed).ok_or(Gap::Version);
        let engine = match engine.and_then(|form| history.engine(form)) {
            Ok(engine) => engine,
            Err(gap) => {
                self.missed(leaf.index, gap);
                return None;
            }
        };
        let versions = Versions::of(&engine, sealed);
        self.other_cedar += u64::from(!versions.cedar);
        if !versions.policy {
            let own = parse(engine.about()).unwrap_or_default();
            let (sealed, own) = (sealed.and_then(|engine| engine.get("bundle")), own.get("bundle"));
            let other = Difference::between(Kind::Verdict, leaf.index, "/engine/bundle", sealed, own);
            self.verdicts.different += 1;
            self.facts.different += 1;
            self.differences.add([other]);
            return None;
        }
        let found = verdicts::differences(&engine, leaf.index, leaf.entry, documents);
        if found.is_empty() || versions.cedar {
            Self::count(&mut self.verdicts, &mut self.differences, found);
        } else {
            self.verdicts.miss(leaf.index, Gap::Version);
        }
        if !versions.detectors {
            self.facts.miss(leaf.index, Gap::Version);
            return None;
        }
        self.facts(&engine, leaf, (payload, documents), history)
    }

    fn changed(&mut self, index: u64, what: String, problem: String) {
        self.differences.add([Difference::changed(index, what, problem)]);
    }
}

/// The first differences, and how many there are.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) told: Vec<Difference>,
    pub(super) count: u64,
    /// The first of what is not what its leaf commits to, and how many more.
    changed: Option<(String, u64)>,
}

impl Differences {
    pub(super) fn add(&mut self, found: impl IntoIterator<Item = Difference>) {
        for difference in found {
            self.count += 1;
            if difference.kind == Kind::Sealed {
                let first = format!("{}: {}", difference.what, difference.detail);
                self.changed = Some(match self.changed.take() {
                    Some((first, more)) => (first, more + 1),
                    None => (first, 0),
                });
            }
            if self.told.len() < TOLD_MAX {
                self.told.push(difference);
            }
        }
    }

    /// Whether what was opened is what leaves commit to.
    pub(super) fn conclude(&self, report: &mut Report, name: &str, any: bool) {
        match &self.changed {
            Some((first, 0)) => report.failed(name, first.clone()),
            Some((first, more)) => report.failed(name, format!("{first}; and {more} more")),
            None if any => report.passed(name, ""),
            None => {}
        }
    }
}
