//! The right edge of a growing log, tile by tile.

use super::frontier::Frontier;
use super::hash::Hash;
use super::tile::{Tile, TileError};

/// The tiles that are being filled, one a level, and the root over all leaves so far. A tile is handed out at the moment it
/// is full; what is left at the end are the partial tiles of that size (C2SP tlog-tiles, "Merkle Tree").
#[derive(Clone, Debug, Default)]
pub struct TileEdge {
    frontier: Frontier,
    levels: Vec<Level>,
}

/// The tile being filled at one level, and how many were filled before it.
#[derive(Clone, Debug, Default)]
struct Level {
    index: u64,
    tile: Tile,
}

impl TileEdge {
    /// The edge of an empty log.
    #[must_use]
    pub fn new() -> TileEdge {
        TileEdge::default()
    }

    /// Leaves so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root over the leaves so far.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }

    /// Levels that have a tile.
    #[must_use]
    pub fn level_count(&self) -> usize {
        self.levels.len()
    }

    /// Appends a leaf's hash. `full` is told of each tile that it fills, lowest first: level, index, tile.
    ///
    /// # Errors
    /// Whatever `full` answers; the edge must not be used after that.
    pub fn append<E: From<TileError>>(
        &mut self,
        leaf: Hash,
        mut full: impl FnMut(u8, u64, &Tile) -> Result<(), E>,
    ) -> Result<(), E> {
        self.frontier.append(leaf);
        let mut carried = leaf;
        for level in 0..=u8::MAX {
            if self.levels.len() == usize::from(level) {
                self.levels.push(Level::default());
            }
            let Some(current) = self.levels.get_mut(usize::from(level)) else { break };
            current.tile.push(carried)?;
            let Some(root) = current.tile.root() else { break };
            let tile = std::mem::take(&mut current.tile);
            let index = current.index;
            current.index += 1;
            full(level, index, &tile)?;
            carried = root;
        }
        Ok(())
    }

    /// The tiles that are not full, lowest first: level, index, tile. Empty ones are left out: C2SP knows none.
    pub fn partial_tiles(&self) -> impl Iterator<Item = (u8, u64, &Tile)> {
        let levels = (0..=u8::MAX).zip(&self.levels);
        levels.filter(|(_, at)| at.tile.width() > 0).map(|(level, at)| (level, at.index, &at.tile))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{leaf_hash, tile_width};
    use super::*;

    #[test]
    fn the_tiles_are_those_that_the_size_says_and_the_root_is_the_logs() {
        let mut edge = TileEdge::new();
        let mut frontier = Frontier::new();
        let mut full = BTreeMap::new();
        for n in 0..70_000_u64 {
            let leaf = leaf_hash(&n.to_be_bytes());
            frontier.append(leaf);
            let kept = edge.append(leaf, |level, index, tile| {
                assert_eq!(tile.width(), 256);
                full.insert((level, index), tile.root());
                Ok::<(), TileError>(())
            });
            kept.unwrap();
            if n % 4_093 == 0 || n == 69_999 {
                let size = n + 1;
                assert_eq!((edge.size(), edge.root()), (size, frontier.root()));
                let mut widths: BTreeMap<_, _> = full.keys().map(|at| (*at, 256)).collect();
                widths
                    .extend(edge.partial_tiles().map(|(level, index, tile)| ((level, index), tile.width())));
                for (&(level, index), &width) in &widths {
                    assert_eq!(tile_width(level, index, size), Some(width), "{level}/{index} of {size}");
                }
                let all =
                    (0..8).flat_map(|level| (0..).map_while(move |i| tile_width(level, i, size))).count();
                assert_eq!(widths.len(), all);
            }
        }
        assert_eq!(edge.level_count(), 3);
    }
}
