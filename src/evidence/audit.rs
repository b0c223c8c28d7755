//! Audit of a whole log: every leaf hashed, every tile compared, every link between entries followed.

use std::num::NonZeroU8;

use super::report::{Coverage, Report};
use super::verify::check_checkpoint;
use crate::merkle::{
    Frontier, GrowingTiles, Tile, TileError, TileKind, TilePath, encode_bundle, leaf_hash, parse_bundle,
    tile_bytes, tile_width,
};
use crate::note::{Checkpoint, TrustPolicy};
use crate::record::chain::{Chain, Outcomes};
use crate::record::entry::Entry;

/// Leaves in a full tile and in a full entry bundle (C2SP tlog-tiles).
const TILE_LEAVES: u64 = 256;

/// Where a log is read from: a served log, or a directory in the C2SP layout.
pub trait LogReader {
    /// The signed checkpoint.
    ///
    /// # Errors
    /// [`ReadLogError`]
    fn checkpoint(&self) -> Result<String, ReadLogError>;

    /// One tile or entry bundle.
    ///
    /// # Errors
    /// [`ReadLogError`]
    fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ReadLogError>;
}

/// Why a part of a log could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadLogError {
    /// The log answers, but it does not have this: with a checkpoint that covers it, proven incomplete.
    #[error("{0} is missing")]
    Missing(String),
    /// It could not be asked.
    #[error("{what} could not be read: {why}")]
    Unreachable {
        /// What was asked for.
        what: String,
        /// What went wrong.
        why: String,
    },
    /// What was read contradicts its own checksum.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// What was asked for.
        what: String,
        /// What is wrong.
        why: String,
    },
}

/// What the leaves of an audited log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// Foreseal's entries: read, and their links followed. Anything else is a defect of the log.
    Entries,
    /// Anything: carried and hashed, as for any C2SP log. An audit does not fall back to this by itself, or whoever puts
    /// one strange leaf at the front would be rid of every check of links.
    Opaque,
}

/// Audits a log against the keys the verifier trusts. `progress` is told (leaves done, leaves in all).
pub fn audit_log(
    reader: &dyn LogReader,
    leaves: Leaves,
    trust: Option<&TrustPolicy>,
    progress: &mut dyn FnMut(u64, u64),
) -> Report {
    let mut report = Report::new("log");
    let note = match reader.checkpoint() {
        Ok(note) => note,
        Err(error) => {
            record_read_error(&mut report, "checkpoint can be read", &error);
            return report;
        }
    };
    let Some(checkpoint) = check_checkpoint(&mut report, "checkpoint", &note, trust) else { return report };
    let mut walk = Walk::new(checkpoint.size, leaves);
    let outcome = walk.run(reader, progress);
    walk.conclude(&mut report, &checkpoint, outcome);
    add_limits(&mut report);
    report
}

/// What an audit of leaves alone cannot establish.
pub fn add_limits(report: &mut Report) {
    report.not_checked("payloads: leaves commit to them, this audit does not open them");
    report.not_checked("that decisions follow from their policies (an auditor's replay does that)");
    report.not_checked("actions that were never submitted");
    report.not_checked("that this is the newest state of the log: compare it with a checkpoint you kept");
    report.not_checked("agents' signatures: they cover declared documents, which the log does not hold");
}

/// A first finding that ends the walk.
enum Stop {
    Read(ReadLogError),
    Tile(String),
    Entry(String),
}

impl From<TileError> for Stop {
    fn from(error: TileError) -> Self {
        Self::Tile(error.to_string())
    }
}

/// The walk over all leaves: the tree as it grows, the links, and what differed.
struct Walk {
    size: u64,
    done: u64,
    frontier: Frontier,
    growing: GrowingTiles,
    /// Absent where leaves are opaque.
    chain: Option<Chain>,
    outcomes: Outcomes,
}

impl Walk {
    fn new(size: u64, leaves: Leaves) -> Self {
        let chain = (leaves == Leaves::Entries).then(Chain::default);
        Self {
            size,
            done: 0,
            frontier: Frontier::new(),
            growing: GrowingTiles::new(),
            chain,
            outcomes: Outcomes::default(),
        }
    }

    fn run(&mut self, reader: &dyn LogReader, progress: &mut dyn FnMut(u64, u64)) -> Result<(), Stop> {
        for bundle_index in 0..self.size.div_ceil(TILE_LEAVES) {
            let path = tile_path(TileKind::Entries, bundle_index, self.size)
                .ok_or_else(|| Stop::Tile(format!("bundle {bundle_index} lies beyond the log's size")))?;
            let bytes = read_resource(reader, &path).map_err(Stop::Read)?;
            let entries = parse_bundle(&bytes).map_err(|e| Stop::Tile(format!("{path}: {e}")))?;
            let expected = (self.size - bundle_index * TILE_LEAVES).min(TILE_LEAVES);
            if entries.len() as u64 != expected {
                return Err(Stop::Tile(format!(
                    "{path} has {} entries, the log's size says {expected}",
                    entries.len()
                )));
            }
            for entry in entries {
                self.leaf(reader, entry)?;
            }
            progress(self.done, self.size);
        }
        let mut growing = self.growing.partial();
        growing.try_for_each(|(level, index, tile)| compare(reader, level, index, tile, self.size))
    }

    fn leaf(&mut self, reader: &dyn LogReader, bytes: &[u8]) -> Result<(), Stop> {
        if let Some(chain) = &mut self.chain {
            let index = self.done;
            let entry = Entry::parse(bytes).map_err(|e| Stop::Entry(format!("leaf {index}: {e}")))?;
            chain.apply(&entry).map_err(|e| Stop::Entry(e.to_string()))?;
            self.outcomes.apply(&entry).map_err(|e| Stop::Entry(e.to_string()))?;
        }
        let hash = leaf_hash(bytes);
        self.frontier.append(hash);
        self.done += 1;
        // Full tiles are compared as they fill.
        let filled = self.growing.push(hash)?;
        filled.iter().try_for_each(|full| compare(reader, full.level, full.index, &full.tile, self.size))
    }

    fn conclude(self, report: &mut Report, checkpoint: &Checkpoint, outcome: Result<(), Stop>) {
        match outcome {
            Err(Stop::Read(error)) => return record_read_error(report, "every leaf can be read", &error),
            Err(Stop::Tile(problem)) => return report.failed("tiles agree with the leaves", problem),
            Err(Stop::Entry(problem)) => {
                report.hint.get_or_insert_with(|| {
                    "a log of another kind is audited with --opaque-leaves, which hashes its leaves only"
                        .to_owned()
                });
                return report.failed("entries are linked", problem);
            }
            Ok(()) => {}
        }
        let root = self.frontier.root();
        if root == checkpoint.root {
            report.passed("leaves hash to the signed root", format!("{} leaves", self.done));
            report.coverage = Some(Coverage { leaves: self.done, signed: checkpoint.size });
        } else {
            report.failed(
                "leaves hash to the signed root",
                format!("{} leaves hash to {root}, signed is {}", self.done, checkpoint.root),
            );
            return;
        }
        report.passed("tiles agree with the leaves", format!("{} levels", self.growing.levels().len()));
        let Some(chain) = self.chain else {
            return report
                .not_checked("what the leaves say, and the links between them: they were only hashed");
        };
        report.passed(
            "entries are linked",
            format!("{} agents, sequence numbers and times without a gap", chain.agent_count()),
        );
        if chain.not_understood() > 0 {
            report
                .not_checked(format!("{} entries of a type that is not understood", chain.not_understood()));
        }
    }
}

fn compare(reader: &dyn LogReader, level: u8, index: u64, tile: &Tile, size: u64) -> Result<(), Stop> {
    let path = tile_path(TileKind::Hashes { level }, index, size)
        .ok_or_else(|| Stop::Tile(format!("tile {level}/{index} lies beyond the log's size")))?;
    let served = read_resource(reader, &path).map_err(Stop::Read)?;
    if served == tile.to_bytes() {
        return Ok(());
    }
    let leaf = served.chunks(32).zip(tile.bottom()).position(|(served, own)| served != own.as_bytes());
    Err(Stop::Tile(match leaf {
        Some(at) => format!("{path}: hash {at} is not that of the leaves below it"),
        None => format!("{path} has {} bytes, should have {}", served.len(), tile.bottom().len() * 32),
    }))
}

/// Reads a tile or bundle. A log may drop a partial one when the full one is there (C2SP tlog-tiles, "Partial Tiles"): then
/// the full one's first part is it.
///
/// # Errors
/// [`ReadLogError`]; a full bundle that cannot be cut is damaged.
pub fn read_resource(reader: &dyn LogReader, path: &TilePath) -> Result<Vec<u8>, ReadLogError> {
    let (missing, width) = match (reader.tile(path), path.width) {
        (Err(ReadLogError::Missing(missing)), Some(width)) => (missing, usize::from(width.get())),
        (answer, _) => return answer,
    };
    let whole = match reader.tile(&TilePath { width: None, ..*path }) {
        Err(ReadLogError::Missing(_)) => return Err(ReadLogError::Missing(missing)),
        other => other?,
    };
    let damaged = |why: String| ReadLogError::Damaged { what: path.to_string(), why };
    match path.kind {
        TileKind::Hashes { .. } => {
            let part = whole.get(..tile_bytes(path.width.map_or(0, |width| u16::from(width.get()))));
            part.map(<[u8]>::to_vec).ok_or_else(|| damaged("the full tile is shorter than it".to_owned()))
        }
        TileKind::Entries => {
            let entries = parse_bundle(&whole).map_err(|error| damaged(error.to_string()))?;
            encode_bundle(entries.into_iter().take(width)).map_err(|error| damaged(error.to_string()))
        }
    }
}

/// The path of a tile in a log of `size` leaves: full, or partial with its width. `None` where the log has none.
#[must_use]
pub fn tile_path(kind: TileKind, index: u64, size: u64) -> Option<TilePath> {
    let level = match kind {
        TileKind::Hashes { level } => level,
        TileKind::Entries => 0,
    };
    let width = tile_width(level, index, size)?;
    let width = if u64::from(width) == TILE_LEAVES {
        None
    } else {
        Some(u8::try_from(width).ok().and_then(NonZeroU8::new)?)
    };
    Some(TilePath { kind, index, width })
}

fn record_read_error(report: &mut Report, name: &str, error: &ReadLogError) {
    match error {
        ReadLogError::Unreachable { .. } => report.undecided(name, error.to_string()),
        ReadLogError::Missing(_) | ReadLogError::Damaged { .. } => report.failed(name, error.to_string()),
    }
}
