//! The tree against a plain list of leaves: whatever has been written behind, it answers the same.
#![expect(clippy::cast_possible_truncation, reason = "sizes in these tests are small")]
#![cfg(test)]

use std::num::NonZeroU8;
use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::disk::FaultyDisk;
use crate::merkle::{consistency_proof, inclusion_proof, node_hash, root_at, verify_inclusion};

fn entry(n: u64) -> Arc<[u8]> {
    format!("entry {n} {}", "x".repeat((n % 7) as usize)).into_bytes().into()
}

fn packs(disk: &FaultyDisk) -> Packs {
    let packs = Packs::open(Arc::new(disk.clone()), Path::new("/tiles")).unwrap();
    packs.prepare().unwrap();
    packs
}

/// Perfect subtrees' roots by level, over the entries 0, 1, 2, …
fn nodes() -> &'static Vec<Vec<Hash>> {
    static NODES: OnceLock<Vec<Vec<Hash>>> = OnceLock::new();
    NODES.get_or_init(|| {
        let mut levels = vec![(0..70_000).map(|n| leaf_hash(&entry(n))).collect::<Vec<_>>()];
        while let Some(row) = levels.last().filter(|row| row.len() > 1) {
            let above = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            levels.push(above);
        }
        levels
    })
}

/// The root of the first `size` leaves, smallest subtrees joined first.
fn root(size: u64) -> Hash {
    let (mut parts, mut start) = (Vec::new(), 0u64);
    for level in (0..nodes().len()).rev() {
        if size >> level & 1 == 1 {
            parts.push(nodes()[level][(start >> level) as usize]);
            start += 1 << level;
        }
    }
    let joined = parts.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or_else(crate::merkle::empty_root)
}

/// What a path must give in a log of `size` leaves.
fn resource(path: &TilePath, size: u64) -> Option<Vec<u8>> {
    let width = path.width.map_or(256, |width| u64::from(width.get()));
    let (start, end) = (path.index.checked_mul(256)?, path.index.checked_mul(256)?.checked_add(width)?);
    match path.kind {
        TileKind::Hashes { level } => {
            let there = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
            let row = (end <= there).then(|| &nodes()[8 * usize::from(level)])?;
            Some(row[start as usize..end as usize].iter().flat_map(|hash| hash.0).collect())
        }
        TileKind::Entries if end > size => None,
        TileKind::Entries => {
            let mut bytes = Vec::new();
            for n in start..end {
                let entry = entry(n);
                bytes.extend_from_slice(&u16::try_from(entry.len()).unwrap().to_be_bytes());
                bytes.extend_from_slice(&entry);
            }
            Some(bytes)
        }
    }
}

fn path(kind: TileKind, index: u64, width: u8) -> TilePath {
    TilePath { kind, index, width: NonZeroU8::new(width) }
}

/// Tiles, bundles, entries, nodes and proofs around the places that matter in a log of `size` leaves.
fn answers(tiles: &Tiles, size: u64) {
    assert_eq!((tiles.size(), tiles.root()), (size, root(size)));
    assert_eq!(root_at(tiles, size).unwrap(), root(size));
    let kinds = (0..4).map(|level| TileKind::Hashes { level }).chain([TileKind::Entries]);
    for kind in kinds {
        let count = match kind {
            TileKind::Hashes { level } => size >> (8 * level),
            TileKind::Entries => size,
        };
        let edge = count / 256;
        for index in [0, 1, edge / 2, edge.saturating_sub(1), edge, edge + 1, 1 << 50] {
            for width in [0, 1, 128, 255, (count % 256) as u8, ((count % 256) as u8).wrapping_add(1)] {
                let path = path(kind, index, width);
                assert!(tiles.resource(&path, size).unwrap() == resource(&path, size), "{path} of {size}");
            }
        }
    }
    assert_eq!(tiles.entry(size).unwrap(), None);
    let indexes = [0, 1, size / 3, size / 2, size.saturating_sub(257), size.saturating_sub(1)];
    for index in indexes.into_iter().filter(|index| *index < size) {
        assert_eq!(tiles.entry(index).unwrap(), Some(entry(index)));
        let proof = inclusion_proof(tiles, index, size).unwrap();
        verify_inclusion(&leaf_hash(&entry(index)), index, size, &proof, &root(size)).unwrap();
        let old = index + 1;
        assert_eq!(root_at(tiles, old).unwrap(), root(old));
        consistency_proof(tiles, old, size).unwrap();
    }
}

/// Smaller published sizes are served from a larger tree, and nothing beyond them.
fn published(tiles: &Tiles, size: u64) {
    for smaller in [0, size.min(1), size / 2, size.saturating_sub(1)] {
        for kind in [TileKind::Hashes { level: 0 }, TileKind::Hashes { level: 1 }, TileKind::Entries] {
            for width in [0, 1, (smaller % 256) as u8, ((smaller % 256) as u8).wrapping_add(1)] {
                let path = path(kind, smaller / 256, width);
                let found = tiles
                    .resource(&path, smaller)
                    .unwrap_or_else(|e| panic!("{path} of {smaller} in {size}: {e}"));
                assert!(found == resource(&path, smaller), "{path} of {smaller}");
            }
        }
    }
}

#[test]
fn every_size_answers_as_a_plain_list_does() {
    let tiles = Tiles::empty(packs(&FaultyDisk::new(1)));
    let mut size = 0;
    for next in [0, 1, 2, 3, 255, 256, 257, 511, 512, 700, 1_024, 65_535, 65_536, 65_537, 65_792, 70_000] {
        for first in (size..next).step_by(500) {
            let entries: Vec<_> = (first..next.min(first + 500)).map(entry).collect();
            if tiles.append(&entries).unwrap() > 8 && first % 1_000 == 0 {
                tiles.write_behind().unwrap();
            }
        }
        size = next;
        answers(&tiles, size);
        published(&tiles, size);
    }
    tiles.write_behind().unwrap();
    answers(&tiles, size);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn writing_behind_and_starting_again_change_no_answer(
        steps in prop::collection::vec((0u64..400, 0u8..4), 1..7),
    ) {
        let disk = FaultyDisk::new(2);
        let mut tiles = Tiles::empty(packs(&disk));
        for (count, then) in steps {
            let size = tiles.size();
            tiles.append(&(size..size + count).map(entry).collect::<Vec<_>>()).unwrap();
            match then {
                0 => {}
                1 => tiles.write_behind().unwrap(),
                _ => {
                    tiles.write_behind().unwrap();
                    let saved = tiles.save();
                    tiles = Tiles::from_saved(packs(&disk), &saved).unwrap();
                    prop_assert_eq!(tiles.save(), saved);
                }
            }
            answers(&tiles, size + count);
        }
    }

    #[test]
    fn a_saved_edge_that_was_changed_is_refused(size in 1u64..900, what in 0u8..10, at: prop::sample::Index) {
        let disk = FaultyDisk::new(3);
        let tiles = Tiles::empty(packs(&disk));
        tiles.append(&(0..size).map(entry).collect::<Vec<_>>()).unwrap();
        tiles.write_behind().unwrap();
        let good = tiles.save();
        let mut bad = good.clone();
        let pick = |length: usize| (length > 0).then(|| at.index(length));
        match what {
            0 => bad.size += 1,
            1 => bad.size -= 1,
            2 => { let n = at.index(bad.frontier.len()); bad.frontier[n][3] ^= 1 }
            3 => drop(bad.frontier.pop()),
            4 => { let n = at.index(bad.levels.len()); bad.levels[n].push([0; 32]) }
            5 => drop(bad.levels.pop()),
            6 => if let Some(n) = pick(bad.bundle.len()) { bad.bundle[n].push(b'!') },
            // One leaf more, in its tile too: no root changes by it.
            7 => {
                bad.bundle.push(b"more".to_vec());
                bad.levels[0].push(leaf_hash(b"more").0);
            }
            8 => bad.bundles_end += 1,
            _ => if let Some(n) = pick(bad.levels[0].len()) { bad.levels[0][n][0] ^= 1 },
        }
        let again = Tiles::from_saved(packs(&disk), &bad);
        prop_assert_eq!(again.is_err(), bad != good, "{}", what);
    }
}

#[test]
fn readers_beside_the_writer_see_whole_answers() {
    let tiles = Tiles::empty(packs(&FaultyDisk::new(4)));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                tiles.write_behind().unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let size = tiles.size();
                    assert_eq!(root_at(&tiles, size).unwrap(), root(size));
                    published(&tiles, size);
                    // What lies beyond that size may be there by now.
                    for index in
                        [0, size / 2, size.saturating_sub(300)].into_iter().filter(|index| *index < size)
                    {
                        assert_eq!(tiles.entry(index).unwrap(), Some(entry(index)));
                    }
                }
            });
        }
        for first in (0..20_000).step_by(100) {
            tiles.append(&(first..first + 100).map(entry).collect::<Vec<_>>()).unwrap();
            std::thread::yield_now();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    answers(&tiles, 20_000);
}
