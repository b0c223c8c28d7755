//! Decisions derived again, by whoever holds a data directory and its keys, and no service.
//!
//! Two levels, told apart. *Verdicts*: the request that was sealed with each call is put to the sealed policy once more.
//! *Facts*: the whole log is folded anew, each intent is put together again from its declared document, what came before
//! it and the policy, and must be the sealed request byte for byte; what was sealed as a request is only compared with.
//!
//! What is erased, withheld or changed is counted as not derivable, never as equal. Nothing is written, and nothing is
//! believed that a signed checkpoint does not cover or the journal's key did not tag.

mod candidate;
mod difference;
mod facts;
mod history;
mod name_damage;
mod report;
mod verdicts;
mod walk;

use std::path::Path;
use std::sync::Arc;

use self::candidate::Comparer;
pub use self::candidate::{Candidate, Change, Comparison, Example, Judged, Shadow, ToolChanges, last_shadow};
pub use self::difference::{Difference, Kind};
pub use self::history::Gap;
use self::history::History;
use self::report::Auditor;
pub use self::report::{Level, Missing, Replay};
use self::walk::{Judge, Walk};
use super::fsck::Check;
use super::fsck::walk::Trusted;
use super::keyring::Keyring;
use super::layout::Layout;
use super::log_key::read_signer;
use crate::disk::{Disk, DiskLock};
use crate::evidence::Report;
use crate::journal::{self, Position};
use crate::note::TrustPolicy;

/// Derives every decision in a data directory again. Without a trust policy the log key of the key directory is trusted,
/// if that is held. `progress` is told (leaves done, leaves in all).
pub fn replay(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    trust: Option<&TrustPolicy>,
    progress: &mut dyn FnMut(u64, u64),
) -> Replay {
    let mut report = Report::new("decisions");
    report.schema = "foreseal.replay.v1";
    let mut auditor = Auditor::default();
    if let Some(place) = Place::open(disk, layout, trust, &mut report, &mut auditor) {
        place.walk(&mut auditor, &mut report, progress);
    }
    auditor.conclude(report)
}

/// Judges every decision in a data directory by another bundle. Of each kind of change so many examples are kept.
pub fn compare(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    trust: Option<&TrustPolicy>,
    candidate: Candidate,
    examples_max: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> Comparison {
    let mut report = Report::new("decisions by a candidate");
    report.schema = "foreseal.policy.replay.v1";
    let mut comparer = Comparer::new(candidate, examples_max);
    if let Some(place) = Place::open(disk, layout, trust, &mut report, &mut comparer) {
        place.walk(&mut comparer, &mut report, progress);
    }
    comparer.conclude(report)
}

/// A data directory that can be walked.
struct Place<'a> {
    disk: &'a Arc<dyn Disk>,
    layout: &'a Layout,
    trust: TrustPolicy,
    keys: Option<Keyring>,
    leaves: u64,
    /// The journal has no damage.
    whole: bool,
    /// Held while reading, so that no service starts to write meanwhile.
    _lock: Option<DiskLock>,
}

impl<'a> Place<'a> {
    fn open(
        disk: &'a Arc<dyn Disk>,
        layout: &'a Layout,
        trust: Option<&TrustPolicy>,
        report: &mut Report,
        judge: &mut dyn Judge,
    ) -> Option<Self> {
        let check = Check { disk, layout };
        let lock = check.lock(report).ok()?;
        let signer = read_signer(&**disk, layout);
        let own = signer.as_ref().ok().map(TrustPolicy::of_log);
        if trust.is_none() && own.is_some() {
            report.not_checked(
                "that the log's key is the one you were given: it was taken from the key directory; --trust names yours",
            );
        }
        let trust = trust.cloned().or(own);
        let keys = match keys(disk, layout, trust.as_ref()) {
            Ok(keys) => Some(keys),
            Err(problem) => {
                report.undecided("keys can be opened", problem);
                let hint = "payloads are encrypted: give the ledger's key directory with --keys DIR";
                report.hint.get_or_insert_with(|| hint.to_owned());
                None
            }
        };
        let whole = check.journal(report, None);
        let (leaves, damaged) = match &whole {
            Some(found) => (found.next_index, Vec::new()),
            None => damage(&**disk, &layout.journal()),
        };
        for at in damaged {
            let frame = journal::damaged_frame_at(&**disk, &layout.journal(), at);
            if let (Some(frame), Some(keys)) = (frame, &keys) {
                name_damage::in_frame(&frame, keys, judge);
            }
        }
        let whole = whole.is_some();
        if !check.checkpoint(report, trust.as_ref(), !whole) {
            return None;
        }
        Some(Self { disk, layout, trust: trust?, keys, leaves, whole, _lock: lock })
    }

    fn walk(&self, judge: &mut dyn Judge, report: &mut Report, progress: &mut dyn FnMut(u64, u64)) {
        let mut history = History::new(self.keys.as_ref());
        judge.begins(&mut history);
        let mut walk = Walk::new(Trusted::new(&self.trust), self.keys.as_ref(), history);
        let walked = walk.run(&**self.disk, &self.layout.journal(), self.leaves, judge, progress);
        walk.conclude(report, walked, self.whole);
    }
}

/// The ledger's keys: under the name of a log that is trusted.
fn keys(disk: &Arc<dyn Disk>, layout: &Layout, trust: Option<&TrustPolicy>) -> Result<Keyring, String> {
    let mut problem = "there is no log whose keys they could be".to_owned();
    for log in trust.iter().flat_map(|trust| trust.logs()) {
        match Keyring::open(Arc::clone(disk), layout, log.key.name().as_str()) {
            Ok(keys) => return Ok(keys),
            Err(error) => problem = error.to_string(),
        }
    }
    Err(problem)
}

/// How many leaves there are, and where frames are bad, in a journal that is not whole.
fn damage(disk: &dyn Disk, journal: &Path) -> (u64, Vec<Position>) {
    match journal::verify(disk, journal) {
        Ok(found) => (found.next_index, found.problems.iter().map(|problem| problem.position).collect()),
        Err(_) => (0, Vec::new()),
    }
}
