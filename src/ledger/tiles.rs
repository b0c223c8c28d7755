//! The tree: its right edge in memory, its full tiles in packs, written behind.
//!
//! Appending is cheap and never waits for the disk as long as the writer keeps up. Whatever is not yet in a pack is in
//! memory; whatever is in memory and not in a pack can be rebuilt from the journal.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, RwLock};

use serde::{Deserialize, Serialize};

use super::packs::Packs;
use super::recent::RecentTiles;
use crate::evidence::audit::ReadLogError;
use crate::merkle::{
    Frontier, FullTile, GrowingTiles, Hash, NodeReader, ProveError, TILE_WIDTH, Tile, TileKind, TilePath,
    encode_bundle, leaf_hash, parse_bundle, tile_position, tile_width,
};

/// Leaves of a full bundle.
pub const BUNDLE_LEAVES: u64 = TILE_WIDTH as u64;
/// Full bundles that wait for the writer before appending waits for it.
pub const WAITING_BUNDLES_MAX: usize = 64;

/// The tree of one log.
#[derive(Debug)]
pub struct Tiles {
    packs: Packs,
    edge: RwLock<Edge>,
    recent: RecentTiles,
}

/// What is not (or not yet known to be) in the packs.
#[derive(Debug, Default)]
struct Edge {
    frontier: Frontier,
    /// The tile being filled at each level.
    growing: GrowingTiles,
    /// Entries of the bundle being filled.
    bundle: Vec<Arc<[u8]>>,
    /// Full tiles on their way to a pack, by level and index.
    tiles: BTreeMap<(u8, u64), Arc<Tile>>,
    /// Full bundles on their way to a pack, with their place in it.
    bundles: BTreeMap<u64, (u64, Arc<Vec<u8>>)>,
    /// Where the last full bundle ends in its pack, written or waiting.
    bundles_end: u64,
}

/// The right edge as a snapshot keeps it: with the packs, all there is to go on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedEdge {
    /// Leaves.
    pub size: u64,
    /// The frontier's nodes.
    pub frontier: Vec<[u8; 32]>,
    /// Bottom hashes of the tile being filled at each level.
    pub levels: Vec<Vec<[u8; 32]>>,
    /// Entries of the bundle being filled.
    pub bundle: Vec<Vec<u8>>,
    /// Where the last full bundle ends in its pack.
    pub bundles_end: u64,
}

/// Why a tree does not go on from a saved edge, or not with an entry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// It fits neither the packs nor itself.
    #[error("the saved edge of the tree does not fit the tiles: {0}")]
    Unfit(String),
    /// The packs could not be read, so whether it fits is not known.
    #[error("the tiles could not be read: {0}")]
    Unread(String),
}

impl EdgeError {
    fn unfit(why: impl std::fmt::Display) -> Self {
        Self::Unfit(why.to_string())
    }

    fn read(error: ReadLogError) -> Self {
        match error {
            ReadLogError::Unreachable { .. } => Self::Unread(error.to_string()),
            ReadLogError::Missing(_) | ReadLogError::Damaged { .. } => Self::unfit(error),
        }
    }

    fn io(error: &io::Error) -> Self {
        Self::Unread(error.to_string())
    }
}

impl Tiles {
    /// An empty tree over `packs`.
    #[must_use]
    pub fn empty(packs: Packs) -> Self {
        Self { packs, edge: RwLock::default(), recent: RecentTiles::default() }
    }

    /// A tree that goes on from a saved edge, checked against itself and against the last full tile and bundle.
    ///
    /// # Errors
    /// [`EdgeError`]
    pub fn from_saved(packs: Packs, saved: &SavedEdge) -> Result<Self, EdgeError> {
        let fail = |why: &str| EdgeError::unfit(why);
        let hashes = |hashes: &[[u8; 32]]| hashes.iter().map(|hash| Hash(*hash)).collect::<Vec<_>>();
        let frontier = Frontier::from_nodes(saved.size, hashes(&saved.frontier)).map_err(EdgeError::unfit)?;
        let levels = saved
            .levels
            .iter()
            .map(|bottom| Tile::from_hashes(&hashes(bottom)))
            .collect::<Result<Vec<_>, _>>()
            .map_err(EdgeError::unfit)?;
        let growing = GrowingTiles::from_tiles(saved.size, levels).map_err(EdgeError::unfit)?;
        let bundle: Vec<Arc<[u8]>> = saved.bundle.iter().map(|entry| Arc::from(entry.as_slice())).collect();
        let bottom = growing.levels().first().map(Tile::bottom).unwrap_or_default();
        if !bundle.iter().map(|entry| leaf_hash(entry)).eq(bottom.iter().copied()) {
            return Err(fail("its entries do not hash to its tile"));
        }
        let edge = Edge { frontier, growing, bundle, bundles_end: saved.bundles_end, ..Edge::default() };
        let tiles = Self { packs, edge: RwLock::new(edge), recent: RecentTiles::default() };
        let root = crate::merkle::root_at(&tiles, saved.size).map_err(|error| match error {
            ProveError::Read { source, .. } => EdgeError::read(source),
            error => EdgeError::unfit(error),
        })?;
        if root != tiles.root() {
            return Err(fail("its tiles do not hash to its frontier"));
        }
        let end = match (saved.size / BUNDLE_LEAVES).checked_sub(1) {
            Some(last) => tiles.packs.read_bundle(last).map_err(EdgeError::read)?.1,
            None => 0,
        };
        if end != saved.bundles_end {
            return Err(fail("its last full bundle ends elsewhere"));
        }
        if !tiles.packs.reach(saved.size, end).map_err(|error| EdgeError::io(&error))? {
            return Err(fail("a pack is missing, or shorter than the tiles it should hold"));
        }
        // What was written is there; whether each tile is right is checked when it is read.
        let there = tiles.packs.lengths().map_err(|error| EdgeError::io(&error))?;
        for (name, needed) in Packs::lengths_for(saved.size, saved.bundles_end) {
            let length = there.iter().find(|(file, _)| *file == name).map_or(0, |(_, length)| *length);
            if length < needed {
                return Err(EdgeError::Unfit(format!("{name} has {length} bytes of {needed}")));
            }
        }
        Ok(tiles)
    }

    /// The edge, to be kept in a snapshot. Full tiles are not in it: they are in the packs after the next
    /// [`Tiles::write_behind`].
    #[must_use]
    pub fn save(&self) -> SavedEdge {
        let edge = self.read();
        let raw = |hashes: &[Hash]| hashes.iter().map(|hash| hash.0).collect();
        SavedEdge {
            size: edge.size(),
            frontier: raw(edge.frontier.nodes()),
            levels: edge.growing.levels().iter().map(|tile| raw(tile.bottom())).collect(),
            bundle: edge.bundle.iter().map(|entry| entry.to_vec()).collect(),
            bundles_end: edge.bundles_end,
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Edge> {
        self.edge.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Edge> {
        self.edge.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Leaves, published or not.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.read().size()
    }

    /// The root over all leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.read().frontier.root()
    }

    /// Appends leaves that are durable in the journal. Returns how many full bundles wait for the writer.
    ///
    /// # Errors
    /// [`EdgeError`] for an entry that no bundle can hold.
    pub fn append(&self, entries: &[Arc<[u8]>]) -> Result<usize, EdgeError> {
        // Hashing outside the lock: readers wait for pushes only.
        let hashes: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
        let mut edge = self.write();
        for (entry, hash) in entries.iter().zip(hashes) {
            edge.push(Arc::clone(entry), hash)?;
        }
        Ok(edge.bundles.len())
    }

    /// Writes what waits into the packs. One caller at a time: the writer.
    ///
    /// # Errors
    /// What the system says; the service must then stop.
    pub fn write_behind(&self) -> io::Result<()> {
        let (tiles, bundles) = {
            let edge = self.read();
            (edge.tiles.clone(), edge.bundles.clone())
        };
        for ((level, index), tile) in &tiles {
            self.packs.write_tile(*level, *index, tile)?;
        }
        for (index, (offset, bundle)) in &bundles {
            self.packs.write_bundle(*index, *offset, bundle)?;
        }
        for ((level, index), tile) in &tiles {
            self.recent.put(*level, *index, Arc::clone(tile));
        }
        let mut edge = self.write();
        edge.tiles.retain(|at, _| !tiles.contains_key(at));
        edge.bundles.retain(|at, _| !bundles.contains_key(at));
        Ok(())
    }

    /// Makes the packs durable.
    ///
    /// # Errors
    /// What the system says; the service must then stop.
    pub fn sync(&self) -> io::Result<()> {
        self.packs.sync()
    }

    /// The packs.
    #[must_use]
    pub fn packs(&self) -> &Packs {
        &self.packs
    }

    /// One leaf's bytes. `None` beyond the tree.
    ///
    /// # Errors
    /// [`ReadLogError`]
    pub fn entry(&self, index: u64) -> Result<Option<Arc<[u8]>>, ReadLogError> {
        let (bundle, offset) = (index / BUNDLE_LEAVES, index % BUNDLE_LEAVES);
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        {
            let edge = self.read();
            if index >= edge.size() {
                return Ok(None);
            }
            if bundle == edge.size() / BUNDLE_LEAVES {
                return Ok(edge.bundle.get(offset).cloned());
            }
        }
        let bytes = self.full_bundle(bundle)?;
        let damaged = |why: String| ReadLogError::Damaged { what: format!("entry bundle {bundle}"), why };
        let entries = parse_bundle(&bytes).map_err(|e| damaged(e.to_string()))?;
        let entry = entries.get(offset).ok_or_else(|| damaged("too few entries".to_owned()))?;
        // A checksum guards against rot; the tree says whether it is the leaf.
        let hash = self.node(0, index)?;
        if leaf_hash(entry) != hash {
            return Err(damaged(format!("entry {offset} is not the leaf in the tree")));
        }
        Ok(Some(Arc::from(*entry)))
    }

    /// Leaves from `from` on, below `to` and up to the end of their bundle, each checked against the tree: as many as have
    /// `bytes_max` together, and one at least.
    ///
    /// # Errors
    /// [`ReadLogError`]
    pub fn entries(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Arc<[u8]>>, ReadLogError> {
        let bundle = from / BUNDLE_LEAVES;
        let skipped = usize::try_from(from % BUNDLE_LEAVES).unwrap_or(usize::MAX);
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        if count == 0 {
            return Ok(Vec::new());
        }
        let (mut taken, mut bytes_left) = (0_usize, bytes_max);
        let mut fits = |length: usize| {
            let fits = taken == 0 || length <= bytes_left;
            (taken, bytes_left) = (taken + 1, bytes_left.saturating_sub(length));
            fits
        };
        {
            let edge = self.read();
            if bundle == edge.size() / BUNDLE_LEAVES {
                let leaves = edge.bundle.iter().skip(skipped).take(count);
                return Ok(leaves.take_while(|leaf| fits(leaf.len())).cloned().collect());
            }
        }
        let bytes = self.full_bundle(bundle)?;
        let damaged = |why: String| ReadLogError::Damaged { what: format!("entry bundle {bundle}"), why };
        let entries = parse_bundle(&bytes).map_err(|e| damaged(e.to_string()))?;
        let tile = self.tile(0, bundle)?;
        if entries.len() != tile.bottom().len() {
            return Err(damaged(format!("{} entries, the tree has {}", entries.len(), tile.bottom().len())));
        }
        let leaves = entries.iter().zip(tile.bottom()).enumerate().skip(skipped).take(count);
        leaves
            .take_while(|(_, (entry, _))| fits(entry.len()))
            .map(|(offset, (entry, hash))| {
                if leaf_hash(entry) == *hash {
                    Ok(Arc::from(*entry))
                } else {
                    Err(damaged(format!("entry {offset} is not the leaf in the tree")))
                }
            })
            .collect()
    }

    fn full_bundle(&self, index: u64) -> Result<Arc<Vec<u8>>, ReadLogError> {
        let waiting = self.read().bundles.get(&index).cloned();
        match waiting {
            Some((_, bundle)) => Ok(bundle),
            None => self.packs.read_bundle(index).map(|(bytes, _)| Arc::new(bytes)),
        }
    }

    /// The bytes of a tile or bundle of a log of `size` leaves, exactly as wide as `path` says. `None` where such a
    /// log has no such resource.
    ///
    /// # Errors
    /// [`ReadLogError`]
    pub fn resource(&self, path: &TilePath, size: u64) -> Result<Option<Vec<u8>>, ReadLogError> {
        let level = match path.kind {
            TileKind::Hashes { level } => level,
            TileKind::Entries => 0,
        };
        let width = path.width.map_or(TILE_WIDTH, |width| u16::from(width.get()));
        if tile_width(level, path.index, size).is_none_or(|there| there < width) {
            return Ok(None);
        }
        match path.kind {
            TileKind::Hashes { level } => {
                let tile = self.tile(level, path.index)?;
                let bytes = tile.to_bytes();
                Ok(bytes.get(..usize::from(width) * 32).map(<[u8]>::to_vec))
            }
            TileKind::Entries => self.bundle_prefix(path.index, usize::from(width)),
        }
    }

    fn bundle_prefix(&self, index: u64, width: usize) -> Result<Option<Vec<u8>>, ReadLogError> {
        let encode = |entries: &mut dyn Iterator<Item = &[u8]>| {
            encode_bundle(entries).map(Some).map_err(|e| ReadLogError::Damaged {
                what: format!("entry bundle {index}"),
                why: e.to_string(),
            })
        };
        {
            let edge = self.read();
            if index == edge.size() / BUNDLE_LEAVES {
                return encode(&mut edge.bundle.iter().take(width).map(|entry| &**entry));
            }
        }
        let bytes = self.full_bundle(index)?;
        if width == usize::from(TILE_WIDTH) {
            return Ok(Some(bytes.to_vec()));
        }
        let entries = parse_bundle(&bytes).map_err(|e| ReadLogError::Damaged {
            what: format!("entry bundle {index}"),
            why: e.to_string(),
        })?;
        encode(&mut entries.into_iter().take(width))
    }

    fn tile(&self, level: u8, index: u64) -> Result<Arc<Tile>, ReadLogError> {
        {
            let edge = self.read();
            if let Some(tile) = edge.tiles.get(&(level, index)) {
                return Ok(Arc::clone(tile));
            }
            if index == edge.growing.full(level) {
                let tile = edge.growing.levels().get(usize::from(level));
                return tile
                    .map(|tile| Arc::new(tile.clone()))
                    .ok_or_else(|| ReadLogError::Missing(format!("tile {level}/{index}")));
            }
        }
        if let Some(tile) = self.recent.get(level, index) {
            return Ok(tile);
        }
        let tile = self.packs.read_tile(level, index).map(Arc::new)?;
        self.recent.put(level, index, Arc::clone(&tile));
        Ok(tile)
    }
}

impl Edge {
    fn size(&self) -> u64 {
        self.growing.size()
    }

    fn push(&mut self, entry: Arc<[u8]>, hash: Hash) -> Result<(), EdgeError> {
        self.bundle.push(entry);
        if self.bundle.len() as u64 == BUNDLE_LEAVES {
            let bytes = encode_bundle(self.bundle.iter().map(|entry| &**entry)).map_err(EdgeError::unfit)?;
            let offset = self.bundles_end;
            self.bundles_end += bytes.len() as u64;
            self.bundles.insert(self.size() / BUNDLE_LEAVES, (offset, Arc::new(bytes)));
            self.bundle.clear();
        }
        self.frontier.append(hash);
        for FullTile { level, index, tile } in self.growing.push(hash).map_err(EdgeError::unfit)? {
            self.tiles.insert((level, index), Arc::new(tile));
        }
        Ok(())
    }
}

impl NodeReader for Tiles {
    type Error = ReadLogError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, ReadLogError> {
        let at = tile_position(level, index);
        let missing = || ReadLogError::Missing(format!("node {index} of level {level}"));
        {
            // The edge's own tiles answer without being copied: the hot path of a receipt.
            let edge = self.read();
            if at.index == edge.growing.full(at.level) {
                let tile = edge.growing.levels().get(usize::from(at.level)).ok_or_else(missing)?;
                return tile.node(at.height, usize::from(at.offset)).ok_or_else(missing);
            }
        }
        self.tile(at.level, at.index)?.node(at.height, usize::from(at.offset)).ok_or_else(missing)
    }
}

#[cfg(test)]
#[path = "tiles_tests.rs"]
mod tests;
