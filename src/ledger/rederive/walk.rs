//! The walk over the journal's frames: leaves against signed roots, links, and what was sealed with each leaf.

use std::path::Path;

use super::history::{Gap, History};
use crate::disk::Disk;
use crate::evidence::{Coverage, Report};
use crate::journal::{FrameView, Position, frames_from};
use crate::ledger::fsck::commitments::{Documents, check_payload, read_intent};
use crate::ledger::fsck::walk::{Stop, Trusted};
use crate::ledger::keyring::{Ciphertext, Keyring, KeyringError};
use crate::ledger::payload::Payload;
use crate::merkle::{Frontier, leaf_hash};
use crate::record::chain::Outcomes;
use crate::record::entry::{Entry, IntentEntry};

/// What was sealed with a leaf, and is what the leaf commits to.
pub(super) struct Opened {
    pub(super) payload: Payload,
    /// Of an intent.
    pub(super) documents: Option<Documents>,
}

/// An intent in its place.
pub(super) struct IntentLeaf<'a> {
    pub(super) index: u64,
    pub(super) entry: &'a IntentEntry,
    pub(super) opened: Result<(&'a Payload, &'a Documents), Gap>,
}

/// Who is told of the leaves, in order.
pub(super) trait Judge {
    /// Before the first leaf.
    fn begins(&mut self, _history: &mut History<'_>) {}

    /// Before a leaf that is no intent is folded.
    fn comes(&mut self, _index: u64, _entry: &Entry, _opened: Option<&Opened>, _history: &mut History<'_>) {}

    /// An intent, before it is folded. Gives the steps of the plan that its calls are, if they were derived.
    fn intent(&mut self, leaf: &IntentLeaf<'_>, history: &mut History<'_>) -> Option<Vec<Option<usize>>>;

    /// Something is not what its leaf commits to.
    fn changed(&mut self, index: u64, what: String, problem: String);
}

/// What lies beside a leaf, by name.
pub(super) fn what_is_sealed(index: u64, entry: &Entry) -> String {
    match entry {
        Entry::Intent(_) => format!("payload of leaf {index}"),
        other => format!("{} of leaf {index}", other.kind()),
    }
}

pub(super) struct Walk<'a> {
    trusted: Trusted<'a>,
    keys: Option<&'a Keyring>,
    history: History<'a>,
    outcomes: Outcomes,
    frontier: Frontier,
    covered: u64,
    checkpoints: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(trusted: Trusted<'a>, keys: Option<&'a Keyring>, history: History<'a>) -> Self {
        Self {
            trusted,
            keys,
            history,
            outcomes: Outcomes::default(),
            frontier: Frontier::new(),
            covered: 0,
            checkpoints: 0,
        }
    }

    pub(super) fn run(
        &mut self,
        disk: &dyn Disk,
        journal: &Path,
        leaves: u64,
        judge: &mut dyn Judge,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Stop> {
        let frames = frames_from(disk, journal, Position { segment: 0, offset: 0 });
        for frame in frames.map_err(|e| Stop::Read(e.to_string()))? {
            let (_, frame) = frame.map_err(|e| Stop::Read(e.to_string()))?;
            self.checkpoint(&frame)?;
            if self.keys.is_some_and(|keys| !frame.is_tagged_by(keys.frame_key())) {
                return Err(Stop::Tag(frame.header().position));
            }
            for (number, bytes) in (0u32..).zip(frame.entries()) {
                self.leaf(&frame, number, bytes, judge)?;
            }
            progress(self.frontier.size(), leaves);
        }
        Ok(())
    }

    fn checkpoint(&mut self, frame: &FrameView) -> Result<(), Stop> {
        let (size, root) = self.trusted.verify(frame.checkpoint())?;
        if size != self.frontier.size() || root != self.frontier.root() {
            return Err(Stop::Checkpoint(format!(
                "a signed checkpoint of size {size} has root {root}; the {} leaves before it hash to {}",
                self.frontier.size(),
                self.frontier.root()
            )));
        }
        self.covered = size;
        self.checkpoints += 1;
        Ok(())
    }

    fn leaf(
        &mut self,
        frame: &FrameView,
        number: u32,
        bytes: &[u8],
        judge: &mut dyn Judge,
    ) -> Result<(), Stop> {
        let index = self.frontier.size();
        let entry = Entry::parse(bytes).map_err(|e| Stop::Entry(format!("leaf {index}: {e}")))?;
        self.outcomes.apply(&entry).map_err(|e| Stop::Entry(e.to_string()))?;
        self.frontier.append(leaf_hash(bytes));
        let opened = entry.declared().is_some().then(|| self.open(frame, number, index, &entry, judge));
        let opened = opened.as_ref().map(|opened| opened.as_ref().map_err(|gap| *gap));
        let steps = match &entry {
            Entry::Intent(intent) => {
                let opened = match opened {
                    Some(Ok(Opened { payload, documents: Some(documents) })) => Ok((payload, documents)),
                    Some(Err(gap)) => Err(gap),
                    _ => Err(Gap::NoPayload),
                };
                judge.intent(&IntentLeaf { index, entry: intent, opened }, &mut self.history)
            }
            _ => {
                judge.comes(index, &entry, opened.and_then(Result::ok), &mut self.history);
                None
            }
        };
        let problem = self.history.fold(&entry, opened, steps.as_deref()).map_err(Stop::Entry)?;
        if let Some(problem) = problem {
            judge.changed(index, what_is_sealed(index, &entry), problem);
        }
        Ok(())
    }

    /// What was sealed with a leaf; whatever is there and is not that, the judge is told.
    fn open(
        &self,
        frame: &FrameView,
        number: u32,
        index: u64,
        entry: &Entry,
        judge: &mut dyn Judge,
    ) -> Result<Opened, Gap> {
        let keys = self.keys.ok_or(Gap::NoKeys)?;
        let id = entry.id().ok_or(Gap::NoPayload)?;
        let payload = frame.payloads().find(|payload| payload.entry == number).ok_or(Gap::NoPayload)?;
        let mut changed = |what: String, problem: String| {
            judge.changed(index, what, problem);
            Gap::Changed
        };
        let payload = match keys.open_payload(&Ciphertext::of(&payload), id.as_bytes()) {
            Ok(payload) => payload,
            Err(KeyringError::NoEpoch(_)) => return Err(Gap::NoEpochKey),
            Err(error) => return Err(changed(what_is_sealed(index, entry), error.to_string())),
        };
        let Entry::Intent(intent) = entry else {
            return match check_payload(entry, &payload) {
                Ok(()) => Ok(Opened { payload, documents: None }),
                Err(problem) => Err(changed(what_is_sealed(index, entry), problem)),
            };
        };
        match read_intent(intent, &payload) {
            Ok(documents) => Ok(Opened { payload, documents: Some(documents) }),
            Err(unfit) if unfit.evaluation => {
                Err(changed(format!("evaluation of leaf {index}"), unfit.problem))
            }
            Err(unfit) => Err(changed(what_is_sealed(index, entry), unfit.problem)),
        }
    }

    /// Records what was found about the log itself. `whole`: the journal has no damage that was told already.
    pub(super) fn conclude(self, report: &mut Report, walked: Result<(), Stop>, whole: bool) {
        let size = self.frontier.size();
        report.coverage = Some(Coverage { leaves: size, signed: self.covered });
        let hashes = "leaves hash to every signed root";
        match walked {
            Err(Stop::Read(problem)) if whole => return report.failed("every leaf can be read", problem),
            Err(Stop::Read(_)) => return,
            Err(Stop::Checkpoint(problem)) => return report.failed(hashes, problem),
            Err(Stop::Tag(position)) => {
                return report.failed(
                    "frames carry the ledger's tag",
                    format!("the frame at {position} was not written with these keys"),
                );
            }
            Err(Stop::Unknown(problem)) => return report.undecided(hashes, problem),
            Err(Stop::Entry(problem) | Stop::Tile(problem) | Stop::Payload(problem)) => {
                return report.failed("entries are linked", problem);
            }
            Ok(()) => {}
        }
        report.passed(hashes, format!("{} leaves, {} checkpoints", self.covered, self.checkpoints));
        let behind = size - self.covered;
        if self.keys.is_none() && behind > 0 {
            report.undecided(
                "every leaf is under a signed checkpoint",
                format!("{} of {size} are; of the last {behind} nothing is established", self.covered),
            );
        }
        let chain = &self.history.state().chain;
        report.passed("entries are linked", format!("{} agents", chain.agent_count()));
        if chain.not_understood() > 0 {
            report.not_checked(format!(
                "{} entries of a type that is not understood, and the facts of what came after",
                chain.not_understood()
            ));
        }
    }
}
