//! Tiles: 256 hashes of one level with the eight levels above them.

use super::hash::{HASH_BYTES, Hash, node_hash};

/// Levels of the tree between the bottom of a tile and its root.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes at the bottom of a full tile.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// Bytes of a tile of `width` hashes, as it is stored and served: the bottom hashes alone.
#[must_use]
pub const fn tile_bytes(width: u16) -> usize {
    width as usize * HASH_BYTES
}

/// How many hashes tile `index` of tile level `level` has in a log of `log_size` entries: `None` where the tile does not
/// exist, 256 where it is full. Entry bundles are as wide as the tile of level 0 with the same index.
#[must_use]
pub fn tile_width(level: u8, index: u64, log_size: u64) -> Option<u16> {
    let shift = u32::from(level) * u32::from(TILE_HEIGHT);
    let hashes = log_size.checked_shr(shift).unwrap_or(0);
    let before = index.checked_mul(u64::from(TILE_WIDTH))?;
    let here = hashes.checked_sub(before)?.min(u64::from(TILE_WIDTH));
    u16::try_from(here).ok().filter(|width| *width != 0)
}

/// Where a node of the tree lies in the tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TilePosition {
    /// Level of the tile: its bottom hashes are 256^level leaves each.
    pub level: u8,
    /// Index of the tile within its level.
    pub index: u64,
    /// Height of the node above the tile's bottom, 0 to 7.
    pub height: u8,
    /// Index of the node among those of its height in the tile.
    pub offset: u8,
}

impl TilePosition {
    /// How many bottom hashes the tile must have for this node to be computable from it.
    #[must_use]
    pub fn width_needed(&self) -> u16 {
        (u16::from(self.offset) + 1) << self.height.min(TILE_HEIGHT)
    }
}

/// The lowest tile that holds node `index` of tree level `level` (as in [`NodeReader`](super::NodeReader)).
#[must_use]
pub fn tile_position(level: u8, index: u64) -> TilePosition {
    let height = level % TILE_HEIGHT;
    let bits = TILE_HEIGHT - height;
    let offset = index & ((1 << bits) - 1);
    TilePosition {
        level: level / TILE_HEIGHT,
        index: index >> bits,
        height,
        // At most `bits` <= 8 bits are left.
        offset: u8::try_from(offset).unwrap_or(u8::MAX),
    }
}

/// A tile in memory: up to 256 bottom hashes, and above them each interior node from the moment its right half is
/// complete. The right edge of a log kept as one of these per level answers node reads without rehashing.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Tile {
    /// Bottom first; the ninth is the root.
    heights: [Vec<Hash>; TILE_HEIGHT as usize + 1],
}

/// Why something is not a tile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// A 257th hash.
    #[error("a tile has at most 256 hashes")]
    Full,
    /// Tiles that are not those being filled in a log of this size.
    #[error("these are not the tiles that a log of {size} leaves is filling")]
    Width {
        /// The size.
        size: u64,
    },
    /// Bytes that are no whole number of hashes, or none.
    #[error("a tile is 1 to 256 hashes of 32 bytes, and these are {bytes} bytes")]
    Length {
        /// How many bytes there are.
        bytes: usize,
    },
}

impl Tile {
    /// A tile without hashes. Not served: C2SP knows no empty tile.
    #[must_use]
    pub fn new() -> Tile {
        Tile::default()
    }

    /// The tile over these bottom hashes.
    ///
    /// # Errors
    /// [`TileError::Full`] for more than 256.
    pub fn from_hashes(bottom: &[Hash]) -> Result<Tile, TileError> {
        let mut tile = Tile::new();
        bottom.iter().try_for_each(|hash| tile.push(*hash))?;
        Ok(tile)
    }

    /// The tile in its served form: 1 to 256 hashes, one after the other.
    ///
    /// # Errors
    /// [`TileError::Length`] for any other number of bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Tile, TileError> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.is_empty() || bytes.len() > tile_bytes(TILE_WIDTH) {
            return Err(TileError::Length { bytes: bytes.len() });
        }
        let mut tile = Tile::new();
        hashes.iter().try_for_each(|hash| tile.push(Hash(*hash)))?;
        Ok(tile)
    }

    /// The served form of the tile.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.bottom().iter().flat_map(|hash| hash.0).collect()
    }

    /// Appends one bottom hash and keeps the interior nodes it completes.
    ///
    /// # Errors
    /// [`TileError::Full`] where there are 256 already; the tile is unchanged.
    pub fn push(&mut self, hash: Hash) -> Result<(), TileError> {
        if self.width() >= TILE_WIDTH {
            return Err(TileError::Full);
        }
        let mut built = hash;
        for height in &mut self.heights {
            let left = height.last().copied();
            height.push(built);
            match left {
                // An even number now: the last two have a parent.
                Some(left) if height.len() % 2 == 0 => built = node_hash(&left, &built),
                _ => break,
            }
        }
        Ok(())
    }

    /// How many bottom hashes there are: 0 to 256.
    #[must_use]
    pub fn width(&self) -> u16 {
        u16::try_from(self.bottom().len()).unwrap_or(TILE_WIDTH)
    }

    /// The bottom hashes.
    #[must_use]
    pub fn bottom(&self) -> &[Hash] {
        let [bottom, ..] = &self.heights;
        bottom
    }

    /// Node `index` at `height` above the bottom, if all the bottom hashes below it are there.
    #[must_use]
    pub fn node(&self, height: u8, index: usize) -> Option<Hash> {
        self.heights.get(usize::from(height))?.get(index).copied()
    }

    /// The root of a full tile: the bottom hash that the tile above gets. `None` before there are 256; a partial tile is
    /// never hashed upward.
    #[must_use]
    pub fn root(&self) -> Option<Hash> {
        self.node(TILE_HEIGHT, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Frontier, leaf_hash};
    use super::*;

    fn leaves(n: u16) -> Vec<Hash> {
        (0..n).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn every_node_of_every_width_is_the_root_over_its_leaves() {
        let leaves = leaves(TILE_WIDTH);
        let mut tile = Tile::new();
        for (i, leaf) in leaves.iter().enumerate() {
            tile.push(*leaf).unwrap();
            for height in 0..=TILE_HEIGHT {
                let whole = (i + 1) >> height;
                assert!(tile.node(height, whole).is_none());
                if whole == 0 {
                    continue;
                }
                let mut under = Frontier::new();
                let from = (whole - 1) << height;
                leaves[from..from + (1 << height)].iter().for_each(|l| under.append(*l));
                assert_eq!(tile.node(height, whole - 1), Some(under.root()));
            }
            assert_eq!(tile.root().is_some(), tile.width() == TILE_WIDTH);
        }
        assert_eq!(tile.push(leaves[0]), Err(TileError::Full));
        assert_eq!(tile, Tile::from_hashes(&leaves).unwrap());
        assert_eq!(tile.node(9, 0), None);
    }

    #[test]
    fn bytes_are_the_bottom_hashes_alone() {
        for width in [1, 2, 255, 256] {
            let tile = Tile::from_hashes(&leaves(width)).unwrap();
            let bytes = tile.to_bytes();
            assert_eq!(bytes.len(), tile_bytes(width));
            assert_eq!(Tile::from_bytes(&bytes).unwrap(), tile);
        }
        for bad in [0, 1, 31, 33, 8191, 8193, 8224] {
            assert_eq!(Tile::from_bytes(&vec![0; bad]), Err(TileError::Length { bytes: bad }));
        }
    }

    #[test]
    fn widths_are_those_of_the_worked_example() {
        let widths = |level, size| (0..).map_while(move |i| tile_width(level, i, size)).collect::<Vec<_>>();
        let mut bottom = vec![256; 273];
        bottom.push(112);
        assert_eq!(widths(0, 70_000), bottom);
        assert_eq!(widths(1, 70_000), [256, 17]);
        assert_eq!(widths(2, 70_000), [1]);
        assert!(widths(3, 70_000).is_empty());
        assert_eq!(widths(0, 256), [256]);
        assert_eq!(widths(1, 256), [1]);
        assert!(widths(0, 0).is_empty());
        for level in [0, 7, 8, 63, 255] {
            assert_eq!(tile_width(level, u64::MAX, u64::MAX), None);
        }
        assert_eq!(tile_width(7, 0, u64::MAX), Some(255));
        assert_eq!(tile_width(8, 0, u64::MAX), None);
    }

    #[test]
    fn a_node_lies_where_its_leaves_say() {
        for level in 0..64_u8 {
            for index in [0_u64, 1, 2, 127, 128, 255, 256, 70_000] {
                let at = tile_position(level, index);
                assert_eq!(u32::from(at.level) * 8 + u32::from(at.height), u32::from(level));
                let per_tile = 1_u64 << (8 - at.height);
                assert_eq!(at.index * per_tile + u64::from(at.offset), index);
                assert!(at.width_needed() <= TILE_WIDTH);
                assert_eq!(u64::from(at.width_needed()), (u64::from(at.offset) + 1) << at.height);
            }
        }
    }
}
