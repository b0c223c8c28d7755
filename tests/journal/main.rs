//! What the journal acknowledged is there after any fault, wholly and in order; what it did not is there wholly
//! or not at all; what is damaged is refused and never silently dropped.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]

mod damage;
mod faults;
mod preparation;

use std::path::Path;
use std::sync::Arc;

use foreseal::disk::{Disk, Fault, FaultyDisk, RealDisk, Trigger};
use foreseal::journal::{
    AES_256_GCM, Append, Expected, Frame, FrameKey, Journal, JournalError, JournalOptions, PayloadLocator,
    Position, Preparation, ReadError, RecoverError, Recovered, Resume, SealedPayload, SegmentedJournal,
    XCHACHA20_POLY1305, frames_from, read_frame_at, recover, segment_file_name, verify,
};
use proptest::prelude::*;

const DIR: &str = "data/journal";
const SEGMENT: u64 = 64 << 10;

fn key() -> FrameKey {
    FrameKey::from_bytes([7; 32])
}

fn options() -> JournalOptions {
    JournalOptions {
        segment_bytes: SEGMENT,
        segments_ahead: 1,
        zero_step_bytes: 32 << 10,
        preparation: Preparation::Inline,
    }
}

/// Entries and payloads with no zero bytes, recognisable by `salt`.
fn frame(epoch: u64, first_index: u64, salt: u64, entries: u32, bytes: usize) -> Frame {
    let fill = |n: u32| vec![(salt * 31 + u64::from(n) * 7) as u8 | 1; bytes];
    let payload = |entry: u32| SealedPayload {
        entry,
        key_epoch: 3,
        aead: if entry.is_multiple_of(2) { AES_256_GCM } else { XCHACHA20_POLY1305 },
        kid: [entry as u8 + 1; 16],
        ciphertext: fill(entry + 100),
    };
    Frame {
        epoch,
        first_index,
        checkpoint: format!("log.example/agents\n{first_index}\nsalt {salt}\n").into_bytes(),
        entries: (0..entries).map(fill).collect(),
        payloads: (0..entries).map(payload).collect(),
    }
}

/// Appends behind the head.
fn append(journal: &mut SegmentedJournal, salt: u64, entries: u32, bytes: usize) -> (Frame, Append) {
    let head = journal.head();
    let frame = frame(head.epoch, head.size, salt, entries, bytes);
    let answer = journal.append(&Expected { epoch: head.epoch, size: head.size }, &frame);
    (frame, answer)
}

fn must_append(journal: &mut SegmentedJournal, salt: u64, entries: u32, bytes: usize) -> (Position, Frame) {
    match append(journal, salt, entries, bytes) {
        (frame, Append::Appended(at)) => (at, frame),
        (_, other) => panic!("{other:?}"),
    }
}

type Opened = Result<(SegmentedJournal, Recovered, Vec<Frame>), JournalError>;

fn open(disk: &FaultyDisk, known_size: u64) -> Opened {
    let mut seen = Vec::new();
    let mut visit = |_, view: &foreseal::journal::FrameView| {
        seen.push(view.to_frame());
        Ok(())
    };
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let opened = SegmentedJournal::open(
        disk,
        Path::new(DIR),
        &options(),
        &key(),
        &Resume::Beginning,
        known_size,
        &mut visit,
    );
    opened.map(|(journal, recovered)| (journal, recovered, seen))
}

fn create(disk: &FaultyDisk) -> Result<SegmentedJournal, JournalError> {
    SegmentedJournal::create(Arc::new(disk.clone()), Path::new(DIR), &options(), &key())
}

/// A journal over three segments, the last frame without a marker behind it.
fn written(disk: &FaultyDisk) -> Vec<(Position, Frame)> {
    let mut journal = create(disk).unwrap();
    (0..11).map(|n| must_append(&mut journal, n, 1 + n as u32 % 3, 4_000 + 500 * n as usize)).collect()
}

fn segment(n: u64) -> String {
    format!("{DIR}/{}", segment_file_name(n))
}

#[derive(Debug, Clone)]
enum Act {
    Append { entries: u32, bytes: usize },
    TooLarge,
    WrongSize,
    Reopen,
    ReopenAfterPowerCut,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..5_u32, 0..5_000_usize).prop_map(|(entries, bytes)| Act::Append { entries, bytes }),
        1 => Just(Act::TooLarge),
        1 => Just(Act::WrongSize),
        1 => Just(Act::Reopen),
        1 => Just(Act::ReopenAfterPowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_is_the_list_of_its_frames(acts in prop::collection::vec(act(), 1..40), seed in any::<u64>()) {
        let mut disk = FaultyDisk::new(seed);
        let mut journal = create(&disk).unwrap();
        let mut model: Vec<(Position, Frame)> = Vec::new();
        for (salt, act) in acts.iter().enumerate() {
            let head = journal.head();
            match act {
                Act::Append { entries, bytes } => {
                    model.push(must_append(&mut journal, salt as u64, *entries, *bytes));
                }
                Act::TooLarge => {
                    let (_, answer) = append(&mut journal, 0, 9, 5_000);
                    prop_assert!(matches!(answer, Append::Refused(_)), "{:?}", answer);
                    prop_assert_eq!(journal.head(), head);
                }
                Act::WrongSize => {
                    let stale = Expected { epoch: head.epoch, size: head.size + 1 };
                    let answer = journal.append(&stale, &frame(head.epoch, head.size, 0, 1, 1));
                    let Append::Conflict { head: found } = answer else { panic!("{answer:?}") };
                    prop_assert_eq!(found, head);
                }
                Act::Reopen | Act::ReopenAfterPowerCut => {
                    if matches!(act, Act::ReopenAfterPowerCut) {
                        disk.power_cut();
                    }
                    disk = disk.restart();
                    let (reopened, recovered, seen) = open(&disk, head.size).unwrap();
                    prop_assert_eq!(recovered.truncated, None);
                    prop_assert_eq!(seen, model.iter().map(|(_, frame)| frame.clone()).collect::<Vec<_>>());
                    prop_assert_eq!(reopened.head().end, head.end);
                    prop_assert!(reopened.head().epoch > model.last().map_or(0, |(_, last)| last.epoch));
                    journal = reopened;
                }
            }
        }
        let head = journal.head();
        prop_assert_eq!(head.size, model.iter().map(|(_, frame)| frame.entries.len() as u64).sum::<u64>());
        let read = journal.read(Position { segment: 0, offset: 0 }).unwrap();
        let read = read.map(|frame| frame.map(|(at, view)| (at, view.to_frame()))).collect::<Result<Vec<_>, _>>();
        prop_assert_eq!(read.unwrap(), model.clone());
        let report = verify(&disk, Path::new(DIR)).unwrap();
        prop_assert!(report.is_sound(), "{:?}", report);
        prop_assert_eq!(report.frame_bytes + report.padding_bytes + report.zero_bytes, report.total_bytes);
        prop_assert_eq!((report.frames, report.next_index), (model.len() as u64, head.size));
        for (at, frame) in &model {
            for index in frame.first_index..frame.first_index + frame.entries.len() as u64 {
                prop_assert_eq!(journal.reader().find(index, head.end).unwrap(), Some(*at));
            }
            for (n, payload) in frame.payloads.iter().enumerate() {
                let locator = PayloadLocator { frame: *at, payload: n as u32 };
                prop_assert_eq!(&journal.payload(&locator).unwrap(), payload);
            }
        }
        prop_assert_eq!(journal.reader().find(head.size, head.end).unwrap(), None);
    }
}

#[test]
fn on_the_machine_a_thread_prepares_and_everything_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("journal");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = JournalOptions { preparation: Preparation::Background, segments_ahead: 2, ..options() };
    let mut journal = SegmentedJournal::create(Arc::clone(&disk), &dir, &options, &key()).unwrap();
    let frames = (0..60).map(|n| must_append(&mut journal, n, 3, 3_000)).collect::<Vec<_>>();
    let head = journal.head();
    assert!(head.end.segment > 10, "many segments: {head:?}");
    let again = SegmentedJournal::create(Arc::clone(&disk), &dir, &options, &key());
    assert!(matches!(again, Err(JournalError::AlreadyThere { .. })));
    drop(journal);
    let report = verify(&*disk, &dir).unwrap();
    assert!(report.is_sound() && report.frames == 60, "{report:?}");

    let (at, last) = frames[40].clone();
    let resume = Resume::After { frame: at, hash: read_frame_at(&*disk, &dir, at).unwrap().hash() };
    let mut seen = Vec::new();
    let visit = &mut |at, view: &foreseal::journal::FrameView| {
        seen.push((at, view.to_frame()));
        Ok(())
    };
    let (mut journal, recovered) =
        SegmentedJournal::open(Arc::clone(&disk), &dir, &options, &key(), &resume, head.size, visit).unwrap();
    assert_eq!((recovered.frames, recovered.end, recovered.last_epoch), (19, head.end, last.epoch));
    assert_eq!(seen, frames[41..]);
    must_append(&mut journal, 99, 0, 0);
    assert_eq!(journal.head().size, head.size, "a marker adds nothing");
    assert_eq!(journal.frame(recovered.end).unwrap().header().epoch, 2);
}
