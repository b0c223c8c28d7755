//! The walk over the journal's frames: leaves, links, checkpoints, and the tiles that were derived.

use std::path::Path;

use super::super::packs::Packs;
use super::super::tiles::BUNDLE_LEAVES;
use super::open_keys::OpenKeys;
use crate::disk::Disk;
use crate::evidence::audit::ReadLogError;
use crate::evidence::{Coverage, Report};
use crate::journal::{FrameView, Position, frames_from};
use crate::merkle::{Frontier, FullTile, GrowingTiles, Hash, encode_bundle, leaf_hash};
use crate::note::{TrustError, TrustPolicy};
use crate::record::chain::{Chain, Outcomes};
use crate::record::entry::Entry;

/// The keys that checkpoints must be signed by; remembers the last one, because markers repeat it.
pub(in crate::ledger) struct Trusted<'a> {
    policy: &'a TrustPolicy,
    last: Option<(Vec<u8>, u64, Hash)>,
}

impl<'a> Trusted<'a> {
    pub(in crate::ledger) fn new(policy: &'a TrustPolicy) -> Self {
        Self { policy, last: None }
    }

    pub(in crate::ledger) fn verify(&mut self, note: &[u8]) -> Result<(u64, Hash), Stop> {
        if let Some((known, size, root)) = &self.last
            && known == note
        {
            return Ok((*size, *root));
        }
        let text =
            std::str::from_utf8(note).map_err(|_| Stop::Checkpoint("a checkpoint is not text".to_owned()))?;
        let verified = self.policy.verify(text).map_err(|error| match error {
            TrustError::Invalid(_) => Stop::Checkpoint(error.to_string()),
            _ => Stop::Unknown(error.to_string()),
        })?;
        let (size, root) = (verified.checkpoint.size, verified.checkpoint.root);
        self.last = Some((note.to_vec(), size, root));
        Ok((size, root))
    }
}

/// A first finding that ends the walk.
pub(in crate::ledger) enum Stop {
    Read(String),
    Checkpoint(String),
    Tag(Position),
    Unknown(String),
    Entry(String),
    Tile(String),
    Payload(String),
}

pub(super) struct Walk<'a> {
    trusted: Trusted<'a>,
    packs: &'a Packs,
    keys: Option<&'a OpenKeys>,
    opened: super::open_keys::Opened,
    chain: Chain,
    outcomes: Outcomes,
    frontier: Frontier,
    growing: GrowingTiles,
    bundle: Vec<Vec<u8>>,
    bundles_end: u64,
    covered: u64,
    checkpoints: u64,
    /// Stop at the first signed size that is not below this.
    upto: Option<u64>,
    /// It did, and more may follow.
    stopped: bool,
    tiles_behind: u64,
    bundles_behind: u64,
}

impl<'a> Walk<'a> {
    pub(super) fn new(trusted: Trusted<'a>, packs: &'a Packs, keys: Option<&'a OpenKeys>) -> Self {
        Self {
            trusted,
            packs,
            keys,
            opened: super::open_keys::Opened::default(),
            chain: Chain::default(),
            outcomes: Outcomes::default(),
            frontier: Frontier::new(),
            growing: GrowingTiles::new(),
            bundle: Vec::new(),
            bundles_end: 0,
            covered: 0,
            checkpoints: 0,
            upto: None,
            stopped: false,
            tiles_behind: 0,
            bundles_behind: 0,
        }
    }

    /// Looks at the log only as far as the first signed checkpoint of at least this size.
    pub(super) fn upto(self, upto: Option<u64>) -> Self {
        Self { upto, ..self }
    }

    pub(super) fn run(
        &mut self,
        disk: &dyn Disk,
        journal: &Path,
        leaves: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), Stop> {
        let frames = frames_from(disk, journal, Position { segment: 0, offset: 0 });
        for frame in frames.map_err(|e| Stop::Read(e.to_string()))? {
            let (_, frame) = frame.map_err(|e| Stop::Read(e.to_string()))?;
            self.checkpoint(&frame)?;
            if self.upto.is_some_and(|upto| self.covered >= upto) {
                self.stopped = true;
                return Ok(());
            }
            if self.keys.is_some_and(|keys| !frame.is_tagged_by(keys.frame_key())) {
                return Err(Stop::Tag(frame.header().position));
            }
            for (number, bytes) in (0u32..).zip(frame.entries()) {
                self.leaf(&frame, number, bytes)?;
            }
            progress(self.chain.size(), leaves);
        }
        if let Some(keys) = self.keys {
            keys.conclude(&mut self.opened, &self.chain, &self.frontier).map_err(Stop::Payload)?;
        }
        self.lengths()
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

    fn leaf(&mut self, frame: &FrameView, number: u32, bytes: &[u8]) -> Result<(), Stop> {
        let index = self.chain.size();
        let entry = Entry::parse(bytes).map_err(|e| Stop::Entry(format!("leaf {index}: {e}")))?;
        self.chain.apply(&entry).map_err(|e| Stop::Entry(e.to_string()))?;
        self.outcomes.apply(&entry).map_err(|e| Stop::Entry(e.to_string()))?;
        let hash = leaf_hash(bytes);
        self.frontier.append(hash);
        self.bundle.push(bytes.to_vec());
        self.push(hash)?;
        if self.bundle.len() as u64 == BUNDLE_LEAVES {
            self.full_bundle(index / BUNDLE_LEAVES)?;
        }
        if let Some(keys) = self.keys {
            keys.leaf(&mut self.opened, &self.frontier, &entry, frame, number).map_err(Stop::Payload)?;
        }
        Ok(())
    }

    fn full_bundle(&mut self, number: u64) -> Result<(), Stop> {
        let own = encode_bundle(&self.bundle).map_err(|e| Stop::Entry(e.to_string()))?;
        self.bundle.clear();
        match self.packs.read_bundle(number) {
            Ok((found, end)) => {
                self.bundles_end += own.len() as u64;
                if found != own || end != self.bundles_end || self.bundles_behind > 0 {
                    return Err(Stop::Tile(format!("entry bundle {number} is not that of the leaves")));
                }
            }
            Err(ReadLogError::Missing(_)) => self.bundles_behind += 1,
            Err(error) => return Err(Stop::Tile(error.to_string())),
        }
        Ok(())
    }

    fn push(&mut self, hash: Hash) -> Result<(), Stop> {
        for FullTile { level, index, tile } in
            self.growing.push(hash).map_err(|e| Stop::Tile(e.to_string()))?
        {
            match self.packs.read_tile(level, index) {
                Ok(found) if found.bottom() == tile.bottom() => {}
                Ok(_) => return Err(Stop::Tile(format!("tile {level}/{index} is not that of the leaves"))),
                Err(ReadLogError::Missing(_)) => self.tiles_behind += 1,
                Err(error) => return Err(Stop::Tile(error.to_string())),
            }
        }
        Ok(())
    }

    fn behind(&self) -> u64 {
        self.tiles_behind + self.bundles_behind
    }

    /// No pack is longer than its tiles, and nothing else lies beside them.
    fn lengths(&self) -> Result<(), Stop> {
        let expected = Packs::lengths_for(self.frontier.size(), self.bundles_end);
        for (name, length) in self.packs.lengths().map_err(|e| Stop::Read(e.to_string()))? {
            let known = expected.iter().find(|(expected, _)| *expected == name);
            match known {
                None => return Err(Stop::Tile(format!("{name} is no pack"))),
                Some((_, expected)) if length > *expected => {
                    return Err(Stop::Tile(format!("{name} has {length} bytes, its tiles have {expected}")));
                }
                Some((_, expected)) if length < *expected && self.behind() == 0 => {
                    return Err(Stop::Tile(format!("{name} has {length} bytes of {expected}")));
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Leaves behind the newest checkpoint are vouched for by their frame's tag, which only the keys can check.
    fn conclude_coverage(&self, report: &mut Report, size: u64) {
        report.coverage = Some(Coverage { leaves: size, signed: self.covered });
        let behind = size - self.covered;
        if let Some(upto) = self.upto {
            let name = "a signed checkpoint covers what was asked for";
            if self.stopped {
                report.passed(name, format!("{size} leaves"));
                report.not_checked(format!("what the directory holds behind its first {size} leaves"));
            } else {
                report.undecided(
                    name,
                    format!("the largest is of {} leaves, asked for were {upto}", self.covered),
                );
            }
        }
        if self.keys.is_some() {
            report.passed(
                "frames carry the ledger's tag",
                match behind {
                    0 => String::new(),
                    _ => format!(
                        "so do the {behind} leaves that no checkpoint covers yet: the next start signs them"
                    ),
                },
            );
        } else if behind == 0 {
            report.passed("every leaf is under a signed checkpoint", format!("{size}"));
        } else {
            report.undecided(
                "every leaf is under a signed checkpoint",
                format!("{} of {size} are; of the last {behind} nothing is established", self.covered),
            );
            report.hint = Some(format!(
                "the service was not stopped cleanly: start it once, it checks the last leaves with its keys and signs them; or audit what is signed with --upto {}",
                self.covered
            ));
        }
    }

    pub(super) fn conclude(self, report: &mut Report, walked: Result<(), Stop>) {
        match walked {
            // A torn end, which was let pass: what was asked for may lie behind it.
            Err(Stop::Read(problem)) if self.upto.is_some() => {
                return report.undecided("every leaf can be read", problem);
            }
            Err(Stop::Read(problem)) => return report.failed("every leaf can be read", problem),
            Err(Stop::Checkpoint(problem)) => {
                return report.failed("leaves hash to every signed root", problem);
            }
            Err(Stop::Tag(position)) => {
                return report.failed(
                    "frames carry the ledger's tag",
                    format!("the frame at {position} was not written with these keys"),
                );
            }
            Err(Stop::Unknown(problem)) => {
                return report.undecided("leaves hash to every signed root", problem);
            }
            Err(Stop::Entry(problem)) => return report.failed("entries are linked", problem),
            Err(Stop::Tile(problem)) => return report.failed("tiles agree with the leaves", problem),
            Err(Stop::Payload(problem)) => {
                return report.failed("what the keys open agrees with the leaves", problem);
            }
            Ok(()) => {}
        }
        let size = self.frontier.size();
        report.passed(
            "leaves hash to every signed root",
            format!("{} leaves, {} checkpoints", self.covered, self.checkpoints),
        );
        self.conclude_coverage(report, size);
        report.passed(
            "entries are linked",
            format!("{} agents, sequence numbers and times without a gap", self.chain.agent_count()),
        );
        if !self.packs.are_there().unwrap_or(true) {
            report.not_checked("the tiles: there are none; the next start makes them from the journal");
        } else if self.behind() == 0 {
            report.passed("tiles agree with the leaves", format!("{} levels", self.growing.levels().len()));
        } else {
            report.undecided(
                "tiles agree with the leaves",
                format!("{} full tiles and bundles are not written yet", self.behind()),
            );
            report
                .hint
                .get_or_insert_with(|| "start the service once: it writes them from the journal".to_owned());
        }
        if let Some(keys) = self.keys {
            let head = if keys.has_head() { ", the head" } else { "" };
            let opened = format!("{}{head}", self.opened.summary());
            report.passed("what the keys open agrees with the leaves", opened);
            if !keys.has_head() {
                report.not_checked(
                    "the head: there is none; a start needs the newest checkpoint that anyone holds",
                );
            }
        }
        if self.chain.not_understood() > 0 {
            report.not_checked(format!(
                "{} entries of a type that is not understood",
                self.chain.not_understood()
            ));
        }
    }
}
