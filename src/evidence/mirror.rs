//! A copy of a log as plain C2SP tlog-tiles, for other people's tools: every resource written, the checkpoint last.

use super::audit::{LogReader, ReadLogError, read_resource, tile_path};
use crate::merkle::{
    Frontier, GrowingTiles, Hash, Tile, TileError, TileKind, TilePath, encode_bundle, leaf_hash, parse_bundle,
};
use crate::note::Checkpoint;

/// Leaves in a full bundle (C2SP tlog-tiles).
const BUNDLE_LEAVES: u64 = 256;

/// Where the leaves come from, in order.
pub trait LeafSource {
    /// Hands over the leaves `0..size`, in order, until `visit` fails.
    ///
    /// # Errors
    /// [`MirrorError::Read`] where leaves cannot be read or end before `size`, and whatever `visit` answers.
    fn for_each_leaf(
        &self,
        size: u64,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError>;
}

/// The leaves of a log that is read by its bundles.
pub struct BundledLeaves<'a>(pub &'a dyn LogReader);

/// Where the copy goes.
pub trait TileWriter {
    /// Writes one resource, whole or not at all. One that is there already with these bytes may be left.
    ///
    /// # Errors
    /// What went wrong, in words.
    fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), String>;
}

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirrored {
    /// Leaves.
    pub size: u64,
    /// The root they hash to, which is the checkpoint's.
    pub root: Hash,
    /// Tiles and bundles.
    pub resources: u64,
}

/// Why a log was not copied. The copy then has no checkpoint of this size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// The log could not be read.
    #[error(transparent)]
    Read(#[from] ReadLogError),
    /// The copy could not be written.
    #[error("writing {name}: {why}")]
    Write {
        /// The resource.
        name: String,
        /// What went wrong.
        why: String,
    },
    /// A bundle is not what the checkpoint's size says.
    #[error("{0}")]
    Bundle(String),
    /// The leaves are not those of the checkpoint.
    #[error("{size} leaves hash to {found}, the checkpoint says {signed}")]
    Root {
        /// Leaves read.
        size: u64,
        /// What they hash to.
        found: Hash,
        /// What is signed.
        signed: Hash,
    },
}

impl From<TileError> for MirrorError {
    fn from(error: TileError) -> Self {
        Self::Bundle(error.to_string())
    }
}

impl LeafSource for BundledLeaves<'_> {
    fn for_each_leaf(
        &self,
        size: u64,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), MirrorError>,
    ) -> Result<(), MirrorError> {
        for index in 0..size.div_ceil(BUNDLE_LEAVES) {
            let path = resource_path(TileKind::Entries, index, size)?;
            let bytes = read_resource(self.0, &path)?;
            let entries = parse_bundle(&bytes).map_err(|e| MirrorError::Bundle(format!("{path}: {e}")))?;
            let expected = (size - index * BUNDLE_LEAVES).min(BUNDLE_LEAVES);
            if entries.len() as u64 != expected {
                let found = entries.len();
                return Err(MirrorError::Bundle(format!("{path} has {found} entries instead of {expected}")));
            }
            entries.into_iter().try_for_each(&mut *visit)?;
        }
        Ok(())
    }
}

/// Copies the log that a signed checkpoint covers: tiles and bundles, and when all leaves have hashed to the root, the
/// checkpoint. `progress` is told (leaves done, leaves in all). The caller has verified the checkpoint's signature.
///
/// # Errors
/// [`MirrorError`]
pub fn mirror(
    note: &str,
    checkpoint: &Checkpoint,
    leaves: &dyn LeafSource,
    writer: &mut dyn TileWriter,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Mirrored, MirrorError> {
    let size = checkpoint.size;
    let mut copy = Copy {
        size,
        frontier: Frontier::new(),
        growing: GrowingTiles::new(),
        bundle: Vec::new(),
        resources: 0,
        writer,
    };
    leaves.for_each_leaf(size, &mut |leaf| {
        copy.leaf(leaf)?;
        if copy.growing.size().is_multiple_of(BUNDLE_LEAVES) {
            progress(copy.growing.size(), size);
        }
        Ok(())
    })?;
    copy.close()?;
    progress(size, size);
    let (found, done) = (copy.frontier.root(), copy.growing.size());
    if (done, found) != (size, checkpoint.root) {
        return Err(MirrorError::Root { size: done, found, signed: checkpoint.root });
    }
    let resources = copy.resources;
    write(copy.writer, "checkpoint", note.as_bytes())?;
    Ok(Mirrored { size, root: found, resources })
}

/// A copy on its way.
struct Copy<'a> {
    size: u64,
    frontier: Frontier,
    growing: GrowingTiles,
    bundle: Vec<Vec<u8>>,
    resources: u64,
    writer: &'a mut dyn TileWriter,
}

impl Copy<'_> {
    fn leaf(&mut self, leaf: &[u8]) -> Result<(), MirrorError> {
        self.bundle.push(leaf.to_vec());
        let hash = leaf_hash(leaf);
        self.frontier.append(hash);
        for full in self.growing.push(hash)? {
            self.write_tile(full.level, full.index, &full.tile)?;
        }
        if self.bundle.len() as u64 == BUNDLE_LEAVES { self.write_bundle() } else { Ok(()) }
    }

    fn write_bundle(&mut self) -> Result<(), MirrorError> {
        let index = self.growing.size().saturating_sub(1) / BUNDLE_LEAVES;
        let path = resource_path(TileKind::Entries, index, self.size)?;
        let bytes = encode_bundle(&self.bundle).map_err(|e| MirrorError::Bundle(format!("{path}: {e}")))?;
        self.bundle.clear();
        self.resources += 1;
        write(self.writer, &path.to_string(), &bytes)
    }

    /// Writes what is not full.
    fn close(&mut self) -> Result<(), MirrorError> {
        if !self.bundle.is_empty() {
            self.write_bundle()?;
        }
        for (level, index, tile) in self.growing.clone().partial() {
            self.write_tile(level, index, tile)?;
        }
        Ok(())
    }

    fn write_tile(&mut self, level: u8, index: u64, tile: &Tile) -> Result<(), MirrorError> {
        self.resources += 1;
        let path = resource_path(TileKind::Hashes { level }, index, self.size)?;
        write(self.writer, &path.to_string(), &tile.to_bytes())
    }
}

fn resource_path(kind: TileKind, index: u64, size: u64) -> Result<TilePath, MirrorError> {
    tile_path(kind, index, size)
        .ok_or_else(|| MirrorError::Bundle(format!("there are more leaves than the checkpoint's {size}")))
}

fn write(writer: &mut dyn TileWriter, name: &str, bytes: &[u8]) -> Result<(), MirrorError> {
    writer.write(name, bytes).map_err(|why| MirrorError::Write { name: name.to_owned(), why })
}
