//! Promised here: a clock that steps, a disk that fails once, and two who make one ledger at a time leave nothing undone
//! that was sealed, nothing sealed that was refused, and nothing stopped for longer than it must be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
#![cfg(feature = "server")]

#[path = "support/ledger.rs"]
#[allow(dead_code, unreachable_pub)]
mod support;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use foreseal::disk::{
    DirMode, Disk, DiskFile, DiskLock, EntryKind, Fault, FaultyDisk, OpKind, OpenMode, RealDisk, Trigger,
};
use foreseal::ledger::clock::SystemClock;
use foreseal::ledger::layout::Layout;
use foreseal::ledger::{Accepted, LedgerError, LedgerOptions, OpenError, init};
use support::{Desk, ORIGIN, Site, assert_whole, id, intent, permit_all};

const DAY_MS: i64 = 86_400_000;

#[test]
fn a_clock_that_steps_ahead_and_back_stops_nothing_and_what_is_sealed_is_answered_meanwhile() {
    let site = Site::new(1);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    let known = desk.seal(&agent, &intent("mailer", Some(id(1)), 1));
    let refused = |number| match desk.submit(&agent, &intent("mailer", Some(id(number)), number)) {
        Err(LedgerError::ClockAhead { ahead_ms, wait_ms }) => (ahead_ms, wait_ms),
        other => panic!("{other:?}"),
    };
    let still_known = || match desk.submit(&agent, &intent("mailer", Some(id(1)), 1)).unwrap() {
        Accepted::Known { index } => assert_eq!(index, known.index),
        other => panic!("{other:?}"),
    };
    site.clock.jump(DAY_MS);
    assert_eq!(refused(2), (DAY_MS, 300_000));
    still_known();
    assert!(matches!(desk.ledger.check_clock(), Err(LedgerError::ClockAhead { .. })), "it is not ready");
    let changed = desk.activate(permit_all(1));
    assert!(matches!(changed, Err(LedgerError::ClockAhead { .. })), "{changed:?}");
    // Put right in time: as if nothing had been.
    site.clock.jump(-DAY_MS);
    desk.ledger.check_clock().unwrap();
    assert_eq!(desk.seal(&agent, &intent("mailer", Some(id(2)), 2)).index, known.index + 1);
    // It stays: believed when it has run on long enough, and from then on the old time is behind.
    site.clock.jump(DAY_MS);
    assert_eq!(refused(3), (DAY_MS, 300_000));
    site.clock.step(299_000);
    assert_eq!(refused(3), (DAY_MS, 1_000));
    site.clock.step(1_000);
    assert_eq!(desk.seal(&agent, &intent("mailer", Some(id(3)), 3)).index, known.index + 2);
    site.clock.jump(-DAY_MS);
    let behind = desk.submit(&agent, &intent("mailer", Some(id(4)), 4));
    assert!(matches!(behind, Err(LedgerError::ClockBehind(DAY_MS))), "{behind:?}");
    still_known();
    drop(desk);
    assert_whole(&site, "after the clock's steps");
}

#[test]
fn a_restart_vouches_for_a_clock_that_stepped_ahead() {
    let site = Site::new(2);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    site.clock.jump(DAY_MS);
    assert!(desk.submit(&agent, &intent("mailer", Some(id(1)), 1)).is_err());
    drop(desk);
    site.open().seal(&agent, &intent("mailer", Some(id(1)), 1));
}

/// The snapshots of a ledger at rest.
fn snapshots(site: &Site) -> Vec<PathBuf> {
    let files = site.faulty.paths();
    files.into_iter().filter(|path| path.extension().is_some_and(|end| end == "snap")).collect()
}

fn with_snapshots(seed: u64) -> Site {
    let mut site = Site::new(seed);
    site.options.snapshot_bytes = 100 << 10;
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    for wave in 0..12u64 {
        let documents: Vec<_> = (0..30).map(|n| intent("mailer", None, wave * 100 + n)).collect();
        desk.seal_all(&agent, &documents);
    }
    drop(desk);
    assert_eq!(snapshots(&site).len(), 2);
    site
}

/// A read that fails once says nothing about the file: a start that it stops throws nothing away.
#[test]
fn a_read_that_fails_once_costs_no_snapshot() {
    let site = with_snapshots(3);
    let before = snapshots(&site);
    let counted = site.moved_to(site.faulty.snapshot());
    drop(counted.open());
    let operations = counted.faulty.ops().len() as u64;
    let (mut refused, mut opened) = (0, 0);
    for nth in 0..operations {
        let copy = site.moved_to(site.faulty.snapshot());
        copy.faulty.inject(Trigger::Any(nth), Fault::Error);
        let outcome = copy.try_open();
        let left = snapshots(&copy);
        let struck = copy.faulty.ops().get(nth as usize).map(|op| op.kind);
        if struck.is_none_or(OpKind::is_mutation) {
            continue;
        }
        assert!(before.iter().all(|file| left.contains(file)), "operation {nth}, {struck:?}: {left:?}");
        match outcome {
            Ok(_) => opened += 1,
            Err(_) => {
                refused += 1;
                let again = copy.moved_to(copy.faulty.snapshot());
                assert!(again.try_open().unwrap().1.from_snapshot > 0, "operation {nth}");
            }
        }
    }
    eprintln!("{operations} operations: {refused} reads that failed stopped the start, {opened} did not");
    assert!(refused > 20);
}

/// Bytes of frames written, and snapshots begun, since some operation.
fn journalled_and_snapshots(site: &Site, since: usize) -> (u64, u64) {
    let ops = site.faulty.ops();
    let named = |op: &&foreseal::disk::Op, end: &str| op.path.to_string_lossy().ends_with(end);
    let since = ops.get(since..).unwrap();
    let frames = since.iter().filter(|op| op.kind == OpKind::Write && named(op, ".seg"));
    let snapshots = since.iter().filter(|op| op.kind == OpKind::CreateNew && named(op, ".snap.tmp"));
    (frames.map(|op| op.len).sum(), snapshots.count() as u64)
}

/// A disk whose syncs take their time, so that much waits for the committer.
#[derive(Debug)]
struct SlowDisk(FaultyDisk);

#[derive(Debug)]
struct SlowFile(Arc<dyn DiskFile>);

impl Disk for SlowDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(SlowFile(self.0.open(path, mode)?)))
    }
    fn create_dir_all(&self, path: &Path, mode: DirMode) -> io::Result<()> {
        self.0.create_dir_all(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn read_dir(&self, path: &Path) -> io::Result<Vec<String>> {
        self.0.read_dir(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.0.sync_dir(path)
    }
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.0.kind(path)
    }
    fn lock_exclusive(&self, path: &Path) -> io::Result<Option<DiskLock>> {
        self.0.lock_exclusive(path)
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        std::thread::sleep(Duration::from_millis(60));
        self.0.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// One snapshot for each stretch of the journal, not one for each batch until the first is there.
#[test]
fn a_snapshot_is_asked_for_once() {
    let mut site = Site::new(4);
    site.options.snapshot_bytes = 400 << 10;
    site.init();
    let slow: Arc<dyn Disk> = Arc::new(SlowDisk(site.faulty.clone()));
    let (ledger, _) = foreseal::ledger::Ledger::open(&slow, &site.layout, &site.options).unwrap();
    let desk = Desk { ledger };
    let agent = desk.add_agent("mailer");
    let since = site.faulty.ops().len();
    let admitted: Vec<_> =
        (0..900).map(|n| support::admit(&agent, &intent("mailer", None, n), [9; 32])).collect();
    let answers: Vec<_> = admitted.into_iter().map(|admitted| desk.send(admitted).unwrap()).collect();
    answers.iter().for_each(|answer| drop(answer.recv().unwrap().unwrap()));
    let bytes_per_snapshot = site.options.snapshot_bytes;
    drop(desk);
    let (bytes, snapshots) = journalled_and_snapshots(&site, since);
    eprintln!("{bytes} bytes, {snapshots} snapshots");
    // More are on their way to the committer than fit one stretch.
    assert!(bytes > 5 * bytes_per_snapshot, "{bytes}");
    assert!((1..=bytes / bytes_per_snapshot + 1).contains(&snapshots), "{snapshots} over {bytes} bytes");
}

/// Markers are replayed too: an idle log, of one entry and one marker at a time, gets its snapshots as often.
#[test]
fn markers_count_towards_the_next_snapshot() {
    let mut site = Site::new(5);
    site.options.snapshot_bytes = 60 << 10;
    site.options.marker_after = Some(Duration::from_millis(1));
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    let since = site.faulty.ops().len();
    for n in 0..80 {
        desk.seal(&agent, &intent("mailer", None, n));
        let written = || journalled_and_snapshots(&site, since).0;
        while written() < (2 * n + 1) * 4096 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    drop(desk);
    let (bytes, snapshots) = journalled_and_snapshots(&site, since);
    eprintln!("{bytes} bytes, {snapshots} snapshots");
    assert!(snapshots + 1 >= bytes / (site.options.snapshot_bytes + 8192), "{snapshots} over {bytes} bytes");
}

#[test]
fn of_many_who_make_one_ledger_one_does_and_its_keys_stay_whole() {
    for _ in 0..6 {
        let home = tempfile::tempdir().unwrap();
        let layout = Layout::new(&home.path().join("ledger"), None);
        let start = Arc::new(Barrier::new(4));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (layout, start) = (layout.clone(), Arc::clone(&start));
                std::thread::spawn(move || {
                    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                    start.wait();
                    init(&disk, &layout, ORIGIN, &LedgerOptions::new(Arc::new(SystemClock)))
                })
            })
            .collect();
        let made: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let mut winners = made.iter().filter_map(|made| made.as_ref().ok());
        let winner = winners.next().expect("one made it");
        assert!(winners.next().is_none(), "two made it");
        for refused in made.iter().filter_map(|made| made.as_ref().err()) {
            assert!(matches!(refused, OpenError::Locked | OpenError::AlreadyThere(_)), "{refused}");
        }
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let options = LedgerOptions::new(Arc::new(SystemClock));
        let (ledger, _) = foreseal::ledger::Ledger::open(&disk, &layout, &options).unwrap();
        assert_eq!(ledger.verifier(), &winner.verifier, "its keys are those it was told");
    }
}

#[test]
fn two_data_directories_do_not_share_new_keys() {
    let home = tempfile::tempdir().unwrap();
    let keys = home.path().join("keys");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let options = LedgerOptions::new(Arc::new(SystemClock));
    let make = |name: &str| init(&disk, &Layout::new(&home.path().join(name), Some(&keys)), ORIGIN, &options);
    make("one").unwrap();
    let key = std::fs::read(keys.join("log.key")).unwrap();
    assert!(matches!(make("two"), Err(OpenError::AlreadyThere(_))));
    assert_eq!(std::fs::read(keys.join("log.key")).unwrap(), key);
    // A key that came between looking and writing is not written over either.
    let late = FaultyDisk::new(9);
    late.create_dir_all(&keys, DirMode::Private).unwrap();
    late.place(&keys.join("log.key"), b"somebody's").unwrap();
    let refused = foreseal::disk::write_new_file(
        &late,
        &keys.join("log.key"),
        b"mine",
        foreseal::disk::FileMode::Private,
    );
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(late.contents(&keys.join("log.key")).unwrap(), b"somebody's");
}
