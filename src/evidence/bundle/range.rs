//! Verifying the range: all of it, only it, and what is shown of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::{ByteSource, Placed};
use super::leaf::{KnownAgent, Revealed};
use super::lines::Lines;
use super::manifest::{Scope, Shown, read};
use super::{ShownDigest, Tally, revealed_path};
use crate::merkle::{Hash, leaf_hash, verify_range};
use crate::note::Checkpoint;
use crate::record::entry::{Entry, IntentEntry};

/// `data/range-proof.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeProof {
    from: u64,
    to: u64,
    size: u64,
    proof: Vec<Hash>,
}

/// That the lines are exactly the leaves of the range. Nothing of them is read before.
pub(super) fn check_complete(
    source: &dyn ByteSource,
    entries: &Placed,
    proof: &[u8],
    scope: &Scope,
    checkpoint: &Checkpoint,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), String> {
    let proof: RangeProof = read(proof).map_err(|e| format!("the range proof: {e}"))?;
    if (proof.from, proof.to, proof.size) != (scope.from, scope.to, checkpoint.size) {
        return Err("the range proof is of another range or size".to_owned());
    }
    let mut lines = Lines::new(source, entries);
    let (mut problem, mut done) = (None, 0u64);
    let mut next = || match lines.next_line() {
        Ok(line) => {
            done += 1;
            if done.is_multiple_of(4096) {
                progress(done, scope.to.saturating_sub(scope.from));
            }
            line.map(|line| leaf_hash(&line))
        }
        Err(error) => {
            problem = Some(error);
            None
        }
    };
    let verified =
        verify_range(scope.from, scope.to, checkpoint.size, &mut next, &proof.proof, &checkpoint.root);
    match (problem, verified) {
        (Some(problem), _) => Err(problem),
        (None, verified) => verified.map_err(|e| e.to_string()),
    }
}

/// What was found in a range that is complete.
#[derive(Default)]
pub(super) struct Found {
    pub(super) tally: Tally,
    pub(super) shown: Shown,
    /// Digest over what is shown.
    pub(super) digest: ShownDigest,
    /// Signatures of agents that were verified.
    pub(super) signatures: u64,
    /// Intents shown by single fields without the shape.
    pub(super) without_shape: u64,
}

/// Where the walk ends.
pub(super) enum Stop {
    /// Entries that do not follow from each other.
    Link(String),
    /// What is shown is not what was sealed.
    Shown(String),
}

/// Reads the leaves of the range, and holds what is shown against them.
pub(super) fn walk(
    source: &dyn ByteSource,
    entries: &Placed,
    revealed: &[Placed],
    from: u64,
    origin: &str,
    agents: &BTreeMap<u64, KnownAgent>,
) -> Result<Found, Stop> {
    let mut found = Found::default();
    let mut lines = Lines::new(source, entries);
    let mut waiting = revealed.iter().peekable();
    let mut index = from;
    while let Some(line) = lines.next_line().map_err(Stop::Link)? {
        let entry = Entry::parse(&line).map_err(|e| Stop::Link(format!("leaf {index}: {e}")))?;
        found.tally.add(index, &entry).map_err(Stop::Link)?;
        let here = waiting.next_if(|placed| placed.member.name == revealed_path(index));
        match (&entry, here) {
            (Entry::Intent(intent), Some(placed)) => {
                let fail = |problem: String| Stop::Shown(format!("leaf {index}: {problem}"));
                shown(source, placed, index, intent, origin, agents, &mut found).map_err(fail)?;
            }
            (Entry::Intent(_), None) => found.shown.withheld += 1,
            (_, Some(_)) => return Err(Stop::Shown(format!("leaf {index}: it is no intent"))),
            (_, None) => {}
        }
        index += 1;
    }
    match waiting.next() {
        Some(placed) => {
            Err(Stop::Shown(format!("{} is of no leaf of the range, or out of order", placed.member.name)))
        }
        None => Ok(found),
    }
}

fn shown(
    source: &dyn ByteSource,
    placed: &Placed,
    index: u64,
    intent: &IntentEntry,
    origin: &str,
    agents: &BTreeMap<u64, KnownAgent>,
    found: &mut Found,
) -> Result<(), String> {
    let bytes = super::verify::content(source, placed)?;
    let revealed: Revealed = read(&bytes)?;
    if revealed.index != index {
        return Err("what is shown of it says that it is of another leaf".to_owned());
    }
    let signer = intent.signer.and_then(|signer| agents.get(&signer));
    let signed = revealed.verify(intent, origin, agents.get(&intent.agent), signer)?;
    found.signatures += u64::from(signed);
    found.without_shape += u64::from(!revealed.declared.has_shape());
    if revealed.declared.is_whole() {
        found.shown.documents += 1;
    } else {
        found.shown.partial += 1;
    }
    found.shown.evaluations += u64::from(revealed.evaluation.is_some());
    found.digest.add(&revealed);
    Ok(())
}
