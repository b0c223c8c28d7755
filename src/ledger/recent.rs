//! Full tiles that were read or written lately, kept in memory: a receipt of a fresh leaf needs the tile that was filled
//! last, and every proof needs the same few tiles of the upper levels. A tile that is read from its pack is hashed anew.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::merkle::Tile;

/// Tiles kept of level 0, and of all levels above it together; a tile takes 16 KiB. In a log of ten million leaves the
/// upper levels have 154.
const KEPT: [usize; 2] = [64, 256];

/// A level and an index.
type Place = (u8, u64);

/// A few tiles, the newest that were put in.
#[derive(Debug, Default)]
pub(super) struct RecentTiles {
    shelves: [Mutex<Shelf>; 2],
}

#[derive(Debug, Default)]
struct Shelf {
    tiles: BTreeMap<Place, Arc<Tile>>,
    /// The order they came in.
    order: VecDeque<Place>,
}

impl RecentTiles {
    fn shelf(&self, level: u8) -> (MutexGuard<'_, Shelf>, usize) {
        let ([lower, upper], [lower_kept, upper_kept]) = (&self.shelves, KEPT);
        let (shelf, kept) = if level == 0 { (lower, lower_kept) } else { (upper, upper_kept) };
        (shelf.lock().unwrap_or_else(PoisonError::into_inner), kept)
    }

    pub(super) fn get(&self, level: u8, index: u64) -> Option<Arc<Tile>> {
        self.shelf(level).0.tiles.get(&(level, index)).cloned()
    }

    pub(super) fn put(&self, level: u8, index: u64, tile: Arc<Tile>) {
        let (mut shelf, kept) = self.shelf(level);
        if shelf.tiles.insert((level, index), tile).is_none() {
            shelf.order.push_back((level, index));
        }
        if shelf.order.len() > kept
            && let Some(oldest) = shelf.order.pop_front()
        {
            shelf.tiles.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_and_level_zero_never_displaces_what_is_above() {
        let recent = RecentTiles::default();
        let tile = || Arc::new(Tile::new());
        recent.put(1, 7, tile());
        for index in 0..100 {
            recent.put(0, index, tile());
            recent.put(0, index, tile());
        }
        assert!(recent.get(1, 7).is_some() && recent.get(0, 99).is_some() && recent.get(0, 36).is_some());
        assert!(recent.get(0, 35).is_none() && recent.get(1, 8).is_none());
        let [lower, upper] = &recent.shelves;
        for (shelf, count) in [(lower, 64), (upper, 1)] {
            let shelf = shelf.lock().unwrap();
            assert_eq!((shelf.tiles.len(), shelf.order.len()), (count, count));
        }
    }
}
