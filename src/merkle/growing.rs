//! The tiles that a growing log fills: one at each level.

use super::hash::Hash;
use super::tile::{Tile, TileError};

/// Levels of 256-wide tiles over 2^64 leaves.
const LEVELS_MAX: usize = 8;

/// The tile being filled at each level of a log. A full one is handed out, and its root goes into the level above.
#[derive(Debug, Clone, Default)]
pub struct GrowingTiles {
    size: u64,
    levels: Vec<Tile>,
}

/// A tile that was just filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Its level; level 0 is over leaves.
    pub level: u8,
    /// Its number in the level.
    pub index: u64,
    /// The tile.
    pub tile: Tile,
}

impl GrowingTiles {
    /// Those of an empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those of a log of `size` leaves, lowest level first.
    ///
    /// # Errors
    /// [`TileError::Width`] if they are not exactly as many and as wide as the size says: a hash too many would change no
    /// root, and put every later one into a wrong place.
    pub fn from_tiles(size: u64, levels: Vec<Tile>) -> Result<Self, TileError> {
        let mut left = size;
        for tile in &levels {
            if u64::from(tile.width()) != left & 0xff {
                return Err(TileError::Width { size });
            }
            left >>= 8;
        }
        if left != 0 || levels.len() > LEVELS_MAX {
            return Err(TileError::Width { size });
        }
        Ok(Self { size, levels })
    }

    /// Leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tiles being filled, lowest level first; some may be empty.
    #[must_use]
    pub fn levels(&self) -> &[Tile] {
        &self.levels
    }

    /// The tiles that are neither full nor empty, lowest level first: level, number in the level, tile. Those of a log of
    /// this size that are served with their width.
    pub fn partial(&self) -> impl Iterator<Item = (u8, u64, &Tile)> {
        let levels = (0u8..).zip(&self.levels).filter(|(_, tile)| tile.width() > 0);
        levels.map(|(level, tile)| (level, self.full(level), tile))
    }

    /// How many full tiles a level has: the number of the one being filled.
    #[must_use]
    pub fn full(&self, level: u8) -> u64 {
        self.size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
    }

    /// Appends a leaf's hash. Returns the tiles that it filled, lowest level first.
    ///
    /// # Errors
    /// [`TileError::Full`] if the log cannot grow any more.
    pub fn push(&mut self, leaf: Hash) -> Result<Vec<FullTile>, TileError> {
        let grown = self.size.checked_add(1).ok_or(TileError::Full)?;
        let mut filled = Vec::new();
        let mut carried = leaf;
        for level in 0..8u8 {
            let at = usize::from(level);
            if self.levels.len() == at {
                self.levels.push(Tile::new());
            }
            let index = self.full(level);
            let Some(tile) = self.levels.get_mut(at) else { break };
            tile.push(carried)?;
            let Some(root) = tile.root() else { break };
            filled.push(FullTile { level, index, tile: std::mem::take(tile) });
            carried = root;
        }
        self.size = grown;
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{leaf_hash, tile_width};
    use super::*;

    #[test]
    fn every_tile_is_handed_out_once_and_the_rest_is_as_wide_as_the_size_says() {
        let mut growing = GrowingTiles::new();
        let mut next = [0u64; 3];
        for n in 0..66_000u64 {
            for FullTile { level, index, tile } in growing.push(leaf_hash(&n.to_be_bytes())).unwrap() {
                assert_eq!((index, tile.width()), (next[usize::from(level)], 256));
                next[usize::from(level)] += 1;
            }
            assert_eq!(growing.size(), n + 1);
            if n % 251 == 0 || n > 65_500 {
                for (level, tile) in (0u8..).zip(growing.levels()) {
                    let there = tile_width(level, growing.full(level), n + 1).unwrap_or(0);
                    assert_eq!(tile.width(), there, "level {level} of {n}");
                    assert_eq!(growing.full(level), next[usize::from(level)]);
                }
                let again = GrowingTiles::from_tiles(n + 1, growing.levels().to_vec()).unwrap();
                assert_eq!(again.levels(), growing.levels());
            }
        }
        assert_eq!(next, [257, 1, 0]);
        for wrong in [65_999, 66_001, 66_000 << 8, 0] {
            assert!(GrowingTiles::from_tiles(wrong, growing.levels().to_vec()).is_err(), "{wrong}");
        }
    }
}
