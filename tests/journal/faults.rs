//! Every operation of a workload struck by every fault.

use super::*;

/// What a run of the workload knows when it stops.
#[derive(Debug, Default)]
struct Known {
    created: bool,
    acknowledged: Vec<Frame>,
    /// The frame whose append failed.
    unknown: Option<Frame>,
}

/// Creates, fills more than three segments, opens again, appends on: until something fails.
fn workload(disk: &FaultyDisk) -> Known {
    let mut known = Known::default();
    let Ok(mut journal) = create(disk) else { return known };
    known.created = true;
    for salt in 0..13 {
        if salt == 10 {
            drop(journal);
            let Ok((reopened, ..)) = open(disk, 0) else { return known };
            journal = reopened;
        }
        let entries = [2, 3, 0, 3, 3, 2, 3, 0, 3, 3, 3, 2, 3][salt as usize];
        match append(&mut journal, salt, entries, 4_700) {
            (frame, Append::Appended(_)) => known.acknowledged.push(frame),
            (frame, Append::Unknown(_)) => {
                known.unknown = Some(frame);
                let (_, again) = append(&mut journal, 77, 1, 1);
                assert!(
                    matches!(again, Append::Unknown(_)) && journal.is_poisoned(),
                    "poison lasts: {again:?}"
                );
                return known;
            }
            (_, other) => panic!("{other:?}"),
        }
    }
    known
}

/// After the fault and a restart: everything acknowledged is there, and what is appended next lasts.
fn check(disk: &FaultyDisk, known: &Known, context: &dyn Fn() -> String) {
    let (mut journal, _, seen) = match open(disk, 0) {
        Ok(opened) => opened,
        Err(JournalError::Recover(RecoverError::Read(ReadError::NoSegments { .. }))) if !known.created => {
            return drop(create(disk).unwrap_or_else(|error| panic!("{error}: {}", context())));
        }
        Err(error) => panic!("{error}: {}", context()),
    };
    let (acknowledged, rest) = seen.split_at(known.acknowledged.len().min(seen.len()));
    assert!(acknowledged == known.acknowledged, "acknowledged frames differ: {}", context());
    assert!(
        rest.is_empty() || Some(rest) == known.unknown.as_ref().map(std::slice::from_ref),
        "neither whole nor absent: {}",
        context()
    );
    let (_, added) = must_append(&mut journal, 55, 2, 9_000);
    drop(journal);
    disk.power_cut();
    let (_, _, again) = open(&disk.restart(), 0).unwrap_or_else(|error| panic!("{error}: {}", context()));
    assert!(again[..seen.len()] == seen && again[seen.len()..] == [added], "lost later: {}", context());
}

/// Strikes every operation of the workload with the fault, and ends each run by killing the process, by a power
/// cut, or by a kill after which the cache forgets its clean pages.
fn matrix(fault: Fault, seeds: u64) {
    let clean = FaultyDisk::new(0);
    let known = workload(&clean);
    assert_eq!(known.acknowledged.len(), 13);
    assert!(clean.paths().len() >= 5, "at least three segments are used: {:?}", clean.paths());
    let mut runs = 0;
    let endings = if fault == Fault::PowerCut { 1 } else { 3 };
    for n in 0..=clean.operations() {
        for (seed, ending) in (0..seeds).flat_map(|seed| (0..endings).map(move |ending| (seed, ending))) {
            let disk = FaultyDisk::new(seed << 32 | n);
            disk.inject(Trigger::Any(n), fault);
            let known = workload(&disk);
            let ops = disk.ops();
            match ending {
                0 => disk.evict_clean_pages(),
                1 => disk.power_cut(),
                _ => {}
            }
            check(&disk.restart(), &known, &|| {
                let last = ops.iter().rev().take(12).rev().map(|op| format!("\n  {op}")).collect::<String>();
                format!("{fault:?} at operation {n}, seed {seed}, ending {ending}; last operations: {last}")
            });
            runs += 1;
        }
    }
    eprintln!("{fault:?}: {runs} runs");
}

#[test]
fn nothing_acknowledged_is_lost_when_operations_fail() {
    matrix(Fault::Error, 1);
    matrix(Fault::NoSpace, 1);
}

#[test]
fn nothing_acknowledged_is_lost_when_operations_fail_but_were_done() {
    matrix(Fault::ErrorButDone, 1);
    matrix(Fault::Freeze, 1);
}

#[test]
fn nothing_acknowledged_is_lost_when_writes_are_torn() {
    matrix(Fault::Torn { sectors: 0 }, 1);
    matrix(Fault::Torn { sectors: 1 }, 1);
    matrix(Fault::Torn { sectors: 9 }, 1);
}

#[test]
fn nothing_acknowledged_is_lost_when_syncs_fail() {
    matrix(Fault::FailSync, 4);
}

#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes() {
    matrix(Fault::PowerCut, 4);
}

#[test]
fn a_disk_that_lies_is_caught_where_a_head_is_known() {
    let clean = FaultyDisk::new(0);
    workload(&clean);
    for n in 0..=clean.operations() {
        let disk = FaultyDisk::new(n);
        disk.inject(Trigger::Any(n), Fault::Lie);
        let known = workload(&disk);
        disk.power_cut();
        let size = known.acknowledged.iter().map(|frame| frame.entries.len() as u64).sum();
        if let Ok((_, _, seen)) = open(&disk.restart(), size) {
            let kept =
                known.acknowledged.iter().rposition(|frame| !frame.is_marker()).map_or(0, |last| last + 1);
            assert_eq!(seen.get(..kept), known.acknowledged.get(..kept), "lie at operation {n}");
        }
    }
}

/// The reason for the fresh copy: the cache shows a frame that the disk never got, and it is accepted.
#[test]
fn what_recovery_accepted_from_the_cache_survives_the_power() {
    for seed in 0..32 {
        let disk = FaultyDisk::new(seed);
        let mut journal = create(&disk).unwrap();
        disk.inject(Trigger::Mutation(disk.mutations() + 1), Fault::FailSync);
        let (frame, answer) = append(&mut journal, 1, 2, 9_000);
        assert!(matches!(answer, Append::Unknown(_)));
        let disk = disk.restart();
        let (journal, _, seen) = open(&disk, 0).unwrap();
        assert_eq!((seen, journal.head().size), (vec![frame.clone()], 2), "the cache shows it whole");
        disk.power_cut();
        let (_, _, seen) = open(&disk.restart(), 2).unwrap();
        assert_eq!(seen, [frame], "and it stays");
    }
}
