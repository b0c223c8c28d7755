//! Segments are zeros, synced and named before a frame goes into them, whoever makes them and whatever fails.

use std::time::{Duration, Instant};

use foreseal::disk::OpKind;

use super::*;

fn in_background(disk: &FaultyDisk) -> SegmentedJournal {
    let options = JournalOptions { preparation: Preparation::Background, zero_step_bytes: 4096, ..options() };
    SegmentedJournal::create(Arc::new(disk.clone()), Path::new(DIR), &options, &key()).unwrap()
}

#[test]
fn zeros_are_written_in_steps_and_synced_before_they_get_their_name() {
    let disk = FaultyDisk::new(0);
    drop(create(&disk).unwrap());
    let kinds = disk.ops().into_iter().filter(|op| op.kind.is_mutation()).map(|op| (op.kind, op.len));
    let step = (OpKind::Write, 32 << 10);
    let (sync, none) = ((OpKind::SyncFile, 0), |kind| (kind, 0));
    let one = [none(OpKind::CreateNew), step, sync, step, sync, none(OpKind::Rename), none(OpKind::SyncDir)];
    let kinds = kinds.skip_while(|(kind, _)| *kind != OpKind::CreateNew).collect::<Vec<_>>();
    assert_eq!(kinds, [one, one].concat(), "two segments, the first and one ahead");
    assert!(disk.volatile().is_empty());
}

#[test]
fn a_writer_that_outruns_the_thread_waits_or_makes_its_own() {
    let disk = FaultyDisk::new(0);
    let mut journal = in_background(&disk);
    let frames = (0..80).map(|n| must_append(&mut journal, n, 3, 4_000).1).collect::<Vec<_>>();
    let counts = journal.preparation_counts();
    assert!(counts.waits + counts.inline > 0, "{counts:?}");
    drop(journal);
    disk.power_cut();
    let (_, _, seen) = open(&disk.restart(), 240).unwrap();
    assert!(seen == frames);
}

#[test]
fn a_disk_too_full_for_the_next_segment_stops_the_writer_and_nothing_is_lost() {
    let disk = FaultyDisk::new(0);
    let mut journal = in_background(&disk);
    disk.set_space(Some(3 * SEGMENT + SEGMENT / 2));
    let mut written = Vec::new();
    let error = loop {
        match append(&mut journal, written.len() as u64, 3, 4_000) {
            (frame, Append::Appended(_)) => written.push(frame),
            (_, Append::Unknown(error)) => break error,
            (_, other) => panic!("{other:?}"),
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    assert!(written.len() >= 6, "three segments were filled: {}", written.len());
    assert!(matches!(append(&mut journal, 1, 1, 1).1, Append::Unknown(_)), "poisoned");
    drop(journal);
    let disk = disk.restart();
    disk.set_space(None);
    let (mut journal, _, seen) = open(&disk, 0).unwrap();
    assert!(seen == written, "and with space it goes on");
    must_append(&mut journal, 1, 3, 4_000);
}

#[test]
fn a_journal_that_is_dropped_stops_its_thread_and_leaves_no_half_segment() {
    let disk = FaultyDisk::new(0);
    let options = JournalOptions {
        segment_bytes: 4 << 20,
        segments_ahead: 8,
        zero_step_bytes: 4096,
        preparation: Preparation::Background,
    };
    let begun = Instant::now();
    drop(SegmentedJournal::create(Arc::new(disk.clone()), Path::new(DIR), &options, &key()).unwrap());
    assert!(begun.elapsed() < Duration::from_secs(5));
    for path in disk.paths() {
        let complete = disk.contents(&path).unwrap().len() == 4 << 20;
        assert!(complete || path.extension().unwrap() == "tmp", "{path:?}");
    }
    let (_, recovered, _) = open(&disk, 0).unwrap();
    assert_eq!((recovered.next_index, recovered.truncated), (0, None));
    assert!(disk.paths().iter().all(|path| path.extension().unwrap() == "seg"), "{:?}", disk.paths());
    assert!(verify(&disk, Path::new(DIR)).unwrap().is_sound());
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let wrong = [
        JournalOptions { segment_bytes: SEGMENT - 4096, ..options() },
        JournalOptions { segment_bytes: SEGMENT + 1, ..options() },
        JournalOptions { segment_bytes: 2 << 30, ..options() },
        JournalOptions { zero_step_bytes: 0, ..options() },
        JournalOptions { zero_step_bytes: 1000, ..options() },
        JournalOptions { segments_ahead: 65, ..options() },
    ];
    for options in wrong {
        let disk = FaultyDisk::new(0);
        let made = SegmentedJournal::create(Arc::new(disk.clone()), Path::new(DIR), &options, &key());
        assert!(matches!(made, Err(JournalError::Options(_))), "{options:?}");
        assert_eq!(disk.operations(), 0);
    }
}

/// The thread's operations fall between the writer's as they happen to: the promise does not depend on it.
#[test]
fn nothing_acknowledged_is_lost_when_the_power_goes_while_a_thread_prepares() {
    for n in (0..160).step_by(3) {
        let disk = FaultyDisk::new(n);
        let mut journal = in_background(&disk);
        disk.inject(Trigger::Mutation(disk.mutations() + n), Fault::PowerCut);
        let mut written = Vec::new();
        while written.len() < 30 {
            let (frame, answer) = append(&mut journal, written.len() as u64, 3, 4_000);
            let Append::Appended(_) = answer else { break };
            written.push(frame);
        }
        drop(journal);
        disk.power_cut();
        let (_, _, seen) = open(&disk.restart(), 3 * written.len() as u64).unwrap();
        assert!(seen.get(..written.len()) == Some(&written[..]), "power cut {n} operations on");
    }
}
