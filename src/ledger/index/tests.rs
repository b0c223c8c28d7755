//! The index across crashes: what it says it has, it has, and at rest every block is whole.
#![cfg(test)]

use super::*;
use crate::disk::{Fault, FaultyDisk, Trigger};

const PATH: &str = "/index.redb";

fn key(number: u64) -> IntentKey {
    IntentKey { id: Uuid::from_u128(u128::from(number) << 40), agent: number % 3 }
}

fn row(number: u64) -> Row {
    Row { index: number, frame: Some(Position { segment: number / 10, offset: number * 4096 }) }
}

fn rows(from: u64, to: u64) -> Vec<(IntentKey, Row)> {
    (from..to).map(|number| (key(number), row(number))).collect()
}

/// Three runs, each in its own transaction, and a clean end.
fn fill(disk: &Arc<dyn Disk>) -> Result<(), IndexError> {
    let index = Index::open(disk, Path::new(PATH), u64::MAX)?;
    let mut done = index.indexed_to()?;
    for _ in 0..3 {
        index.insert(&rows(done, done + 150), done + 150)?;
        done += 150;
    }
    index.close(true)
}

/// Has all rows before `indexed_to`, none after; and once closed, every block matches its checksum.
fn assert_sound(disk: &FaultyDisk, at: &str) -> u64 {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let index = Index::open(&disk, Path::new(PATH), u64::MAX).unwrap();
    let indexed_to = index.indexed_to().unwrap();
    for number in 0..1_000 {
        let expected = (number < indexed_to).then(|| row(number));
        assert_eq!(index.get(&key(number)).unwrap(), expected, "{at}: row {number} of {indexed_to}");
    }
    assert_eq!(index.row_count().unwrap(), indexed_to, "{at}");
    index.close(true).unwrap();
    let file = CheckedFile::new(disk.open(Path::new(PATH), OpenMode::Read).unwrap()).unwrap();
    assert!(file.was_closed(), "{at}");
    file.verify().unwrap_or_else(|error| panic!("{at}: {error}"));
    indexed_to
}

#[test]
fn rows_are_there_together_with_what_says_so_wherever_the_power_goes() {
    let clean = FaultyDisk::new(0);
    fill(&(Arc::new(clean.clone()) as Arc<dyn Disk>)).unwrap();
    assert_eq!(assert_sound(&clean, "without a fault"), 450);
    let base = clean.restart();
    let again = base.snapshot();
    fill(&(Arc::new(again.clone()) as Arc<dyn Disk>)).unwrap();
    let mutations = again.mutations();
    let mut kept = 0;
    for operation in 0..mutations {
        for (turn, fault) in [Fault::PowerCut, Fault::FailSync, Fault::ErrorButDone].into_iter().enumerate() {
            // Another seed for each: what survives differs.
            let disk = FaultyDisk::new(operation * 7 + turn as u64);
            disk.place(Path::new(PATH), &base.contents(Path::new(PATH)).unwrap()).unwrap();
            disk.inject(Trigger::Mutation(operation), fault);
            let _ = fill(&(Arc::new(disk.clone()) as Arc<dyn Disk>));
            disk.power_cut();
            kept += u64::from(assert_sound(&disk.restart(), &format!("{fault:?} at {operation}")) >= 450);
        }
    }
    // It is not thrown away at every crash.
    assert!(kept * 3 > mutations, "kept {kept} times in {mutations} operations");
}

/// After a failed sync the cache shows blocks that the disk does not hold: who opens the file next, before the power goes,
/// must not build on them.
#[test]
fn what_a_failed_sync_left_in_the_cache_is_not_built_on() {
    let clean = FaultyDisk::new(0);
    fill(&(Arc::new(clean.clone()) as Arc<dyn Disk>)).unwrap();
    for operation in 0..clean.mutations() {
        for luck in 0..2 {
            let disk = FaultyDisk::new(operation * 2 + luck);
            disk.inject(Trigger::Mutation(operation), Fault::FailSync);
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            if let Ok(index) = Index::open(&shared, Path::new(PATH), u64::MAX) {
                let filled =
                    (0..3u64).try_for_each(|n| index.insert(&rows(n * 150, n * 150 + 150), n * 150 + 150));
                let _ = index.close(filled.is_ok());
            }
            let at = format!("operation {operation}, luck {luck}");
            assert_sound(&disk, &at);
            disk.power_cut();
            assert_sound(&disk.restart(), &at);
        }
    }
}

#[test]
fn a_closed_index_says_so() {
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk::new(1));
    let index = Index::open(&disk, Path::new(PATH), 10).unwrap();
    index.insert(&rows(0, 5), 5).unwrap();
    index.close(true).unwrap();
    index.close(true).unwrap();
    assert!(index.get(&key(1)).is_err());
    assert!(index.insert(&rows(5, 6), 6).is_err());
    assert_eq!(Index::open(&disk, Path::new(PATH), 10).unwrap().indexed_to().unwrap(), 5);
    // One that reaches beyond the log is of another log.
    assert_eq!(Index::open(&disk, Path::new(PATH), 4).unwrap().indexed_to().unwrap(), 0);
}
