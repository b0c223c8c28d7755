//! The search for what would have changed a decision.

use std::collections::BTreeSet;

use super::super::engine::Engine;
use super::super::request::{Changed, Request};
use super::super::verdict::Verdict;
use super::advice::{nothing_to_change, stopped_before, words};
use super::candidates::{Candidate, How, candidates};
use super::reads::Reads;
use super::suppose::supposed;
use super::{Alternative, OtherFact, to_json};
use crate::record::decision::Outcome;

/// Other requests that are judged for one call.
const JUDGED_MAX: usize = 4_096;
/// Alternatives of one fact that are told, and pairs of facts.
const TOLD_OF_A_FACT: usize = 3;
const PAIRS_TOLD: usize = 5;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) alternatives: Vec<Alternative>,
    pub(super) judged: usize,
    pub(super) bounded: bool,
}

/// What is known of a call while others are tried in its place.
struct Search<'a> {
    engine: &'a Engine,
    request: &'a Request,
    outcome: Outcome,
    found: Found,
}

/// Looks for single facts that would have made the decision milder, and where there are none for pairs.
pub(super) fn search(engine: &Engine, request: &Request, verdict: &Verdict, reads: &Reads) -> Found {
    let outcome = verdict.call.outcome;
    let mut search = Search { engine, request, outcome, found: Found::default() };
    if outcome == Outcome::Allow {
        return search.found;
    }
    search.without_stop();
    search.without_change();
    let by_fact = candidates(request, engine.tool(&request.server, &request.tool), reads);
    for of_fact in &by_fact {
        let mut told = 0;
        // A number that is nearer is told, not those beyond it.
        let mut directions: BTreeSet<bool> = BTreeSet::new();
        for candidate in of_fact {
            // Without one member is said already.
            if candidate.how == How::Empty && told > 0 {
                continue;
            }
            if told >= TOLD_OF_A_FACT
                || direction(candidate, request).is_some_and(|up| directions.contains(&up))
            {
                continue;
            }
            if search.attempt(&[candidate]) {
                told += 1;
                directions.extend(direction(candidate, request));
            }
        }
    }
    if search.found.alternatives.is_empty() {
        search.pairs(&by_fact);
    }
    let mut found = search.found;
    // Stable: facts stay in their order.
    found.alternatives.sort_by_key(|other| (std::cmp::Reverse(other.outcome), !other.can_be_brought_about));
    found
}

/// Whether a number is larger than the one that was sealed; `None` for what is no number.
fn direction(candidate: &Candidate, request: &Request) -> Option<bool> {
    use super::super::value::Typed::{Decimal, Long};
    match (super::value_of(request, &candidate.at), &candidate.to) {
        (Some(Long(from)), Some(Long(to))) | (Some(Decimal(from)), Some(Decimal(to))) => Some(*to > from),
        // Of a number that was not there, one is enough.
        (None, Some(Long(_) | Decimal(_))) => Some(true),
        _ => None,
    }
}

impl Search<'_> {
    fn pairs(&mut self, by_fact: &[Vec<Candidate>]) {
        let mut order: Vec<usize> = (0..by_fact.len()).collect();
        let advisable = |i: &usize| {
            by_fact
                .get(*i)
                .and_then(|of_fact| of_fact.first())
                .is_some_and(|c| words(self.request, None, c).1)
        };
        order.sort_by_key(|i| !advisable(i));
        for (n, i) in order.iter().enumerate() {
            for j in order.iter().skip(n.saturating_add(1)) {
                let (Some(first), Some(second)) = (by_fact.get(*i), by_fact.get(*j)) else { continue };
                let both = first.iter().flat_map(|a| second.iter().map(move |b| [a, b]));
                for pair in both {
                    if self.found.bounded || self.found.alternatives.len() >= PAIRS_TOLD {
                        return;
                    }
                    if self.attempt(&pair) {
                        break;
                    }
                }
            }
        }
    }

    /// Were the calls before this one not stopped.
    fn without_stop(&mut self) {
        if self.request.stopped.is_none() {
            return;
        }
        let mut other = supposed(self.request, &[]);
        other.stopped = None;
        if let Some((outcome, by)) = self.judge(other) {
            let changes = vec![OtherFact { fact: "after".to_owned(), value: None, words: stopped_before() }];
            self.found.alternatives.push(Alternative { changes, outcome, by, can_be_brought_about: true });
        }
    }

    /// Had there been nothing for the transforms to change.
    fn without_change(&mut self) {
        if !matches!(self.request.changed, Some(Changed::Call { .. } | Changed::Failed(_))) {
            return;
        }
        let mut other = supposed(self.request, &[]);
        other.changed = Some(Changed::Same);
        if let Some((outcome, by)) = self.judge(other) {
            let changes =
                vec![OtherFact { fact: "changed".to_owned(), value: None, words: nothing_to_change() }];
            self.found.alternatives.push(Alternative { changes, outcome, by, can_be_brought_about: true });
        }
    }

    /// Tries other facts; whether the decision would have been milder.
    fn attempt(&mut self, candidates: &[&Candidate]) -> bool {
        let Some((outcome, by)) = self.judge(supposed(self.request, candidates)) else { return false };
        let tool = self.engine.tool(&self.request.server, &self.request.tool);
        let mut can_be_brought_about = true;
        let changes = candidates.iter().map(|candidate| {
            let (words, advisable) = words(self.request, tool, candidate);
            can_be_brought_about &= advisable;
            OtherFact { fact: candidate.at.to_string(), value: candidate.to.as_ref().map(to_json), words }
        });
        let changes = changes.collect();
        self.found.alternatives.push(Alternative { changes, outcome, by, can_be_brought_about });
        true
    }

    /// What would be decided, if that is milder, and by which rules.
    fn judge(&mut self, other: Request) -> Option<(Outcome, Vec<String>)> {
        if self.found.judged >= JUDGED_MAX {
            self.found.bounded = true;
            return None;
        }
        self.found.judged += 1;
        let (verdict, changes) = self.engine.judge_supposed(other);
        // What rules make of such a call is not known; that they would change it is.
        let outcome = if changes { verdict.call.outcome.min(Outcome::Modify) } else { verdict.call.outcome };
        let by: BTreeSet<String> = verdict.call.reasons.into_iter().map(|reason| reason.rule).collect();
        (outcome > self.outcome).then(|| (outcome, by.into_iter().collect()))
    }
}
