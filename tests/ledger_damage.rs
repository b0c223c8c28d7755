//! Promised here: what lies on the disk is believed only as far as it can be checked. Caches that are lost are made
//! again; caches that are wrong give an error, never a wrong answer and never a signature; an older copy of the truth
//! is refused; and nothing a client sends can stop the ledger.
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

#[path = "ledger_damage/forged.rs"]
mod forged;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use foreseal::disk::{Fault, FaultyDisk, OpKind, Trigger};
use foreseal::evidence::Verdict;
use foreseal::evidence::audit::tile_path;
use foreseal::journal::{
    Frame, FrameKey, JournalError, Position, RecoverError, SealedPayload, frames_from, segment_file_name,
};
use foreseal::ledger::at_rest::for_each_leaf;
use foreseal::ledger::fsck::Keys;
use foreseal::ledger::keyring::Keyring;
use foreseal::ledger::{Accepted, LedgerError, OpenError, SealedLeaf};
use foreseal::merkle::{
    Frontier, TileKind, TilePath, encode_bundle, leaf_hash, verify_consistency, verify_inclusion,
};
use serde_json::json;
use support::{Desk, ORIGIN, Site, TestAgent, admit, assert_whole, id, intent, permit_all};

const MANY: u64 = 530;

struct Sealed {
    site: Site,
    agent: TestAgent,
    leaves: Vec<SealedLeaf>,
    /// Every tile and bundle there is, made from the leaves alone.
    resources: Vec<(TilePath, Vec<u8>)>,
}

/// A ledger at rest with two full tiles, two snapshots, an index.
fn at_rest(seed: u64) -> Sealed {
    let mut site = Site::new(seed);
    site.options.snapshot_bytes = 300 << 10;
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    desk.activate(permit_all(0)).unwrap();
    let documents: Vec<_> = (0..MANY).map(|n| intent("mailer", Some(id(n)), n)).collect();
    let leaves = desk.seal_all(&agent, &documents);
    drop(desk);
    let resources = resources(&site);
    Sealed { site, agent, leaves, resources }
}

/// Everything that is read by any path: right, or an error. Returns how many answers were errors.
fn ask_everything(sealed: &Sealed, desk: &Desk) -> usize {
    let ledger = &desk.ledger;
    let size = ledger.published().size;
    let root = ledger.published().root;
    let mut errors = 0;
    let mut count = |is_error: bool| errors += usize::from(is_error);
    for leaf in sealed.leaves.iter().step_by(83).chain(sealed.leaves.last()) {
        match ledger.entry(leaf.index) {
            Ok(found) => assert_eq!(found.as_ref(), Some(&leaf.entry)),
            Err(_) => count(true),
        }
        match ledger.receipt(leaf.index, &leaf.entry, leaf.size, &leaf.checkpoint) {
            Ok(receipt) => support::assert_verifies(&sealed.site, &receipt, &leaf.entry),
            Err(_) => count(true),
        }
        match ledger.inclusion_proof(leaf.index, size) {
            Ok(path) => {
                verify_inclusion(&leaf_hash(&leaf.entry), leaf.index, size, &path.unwrap(), &root).unwrap();
            }
            Err(_) => count(true),
        }
        let old = support::checkpoint(&leaf.checkpoint);
        match ledger.consistency_proof(leaf.size, size) {
            Ok(proof) => verify_consistency(leaf.size, &old.root, size, &root, &proof.unwrap()).unwrap(),
            Err(_) => count(true),
        }
        match ledger.checkpoint_at(leaf.size) {
            Ok(checkpoint) => assert_eq!(checkpoint, leaf.checkpoint),
            Err(_) => count(true),
        }
        match ledger.find(id(leaf.index - 3), sealed.agent.index) {
            Ok(found) => assert_eq!(found.expect("never a wrong `not there`").bytes, leaf.entry),
            Err(_) => count(true),
        }
    }
    for (path, expected) in &sealed.resources {
        match ledger.resource(path) {
            Ok(bytes) => assert!(bytes.as_ref() == Some(expected), "{path}"),
            Err(_) => count(true),
        }
    }
    errors
}

fn resources(site: &Site) -> Vec<(TilePath, Vec<u8>)> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for_each_leaf(&*site.disk(), &site.layout.data, &mut |_, bytes| {
        all.push(bytes.to_vec());
        ControlFlow::Continue(())
    })
    .unwrap();
    let root = |chunk: &[Vec<u8>]| {
        let mut frontier = Frontier::new();
        chunk.iter().for_each(|entry| frontier.append(leaf_hash(entry)));
        frontier.root().0
    };
    let mut resources = Vec::new();
    for kind in [TileKind::Hashes { level: 0 }, TileKind::Hashes { level: 1 }, TileKind::Entries] {
        for path in (0..).map_while(|index| tile_path(kind, index, all.len() as u64)) {
            let width = path.width.map_or(256, |width| usize::from(width.get()));
            let leaves = all.get(path.index as usize * 256..).unwrap_or_default();
            let bytes = match kind {
                TileKind::Entries => encode_bundle(&leaves[..width]).unwrap(),
                TileKind::Hashes { level: 0 } => {
                    leaves[..width].iter().flat_map(|entry| leaf_hash(entry).0).collect()
                }
                TileKind::Hashes { .. } => all.chunks_exact(256).take(width).flat_map(root).collect(),
            };
            resources.push((path, bytes));
        }
    }
    assert_eq!(resources.len(), 7);
    resources
}

fn files_under(disk: &FaultyDisk, part: &str) -> Vec<PathBuf> {
    let all = disk.paths().into_iter().map(|path| Path::new("/").join(path));
    all.filter(|path| path.starts_with("/ledger") && path.display().to_string().contains(part)).collect()
}

fn remove(disk: &FaultyDisk, path: &Path) {
    foreseal::disk::Disk::remove(disk, path).unwrap();
}

#[test]
fn each_cache_that_is_lost_is_made_again() {
    let sealed = at_rest(1);
    let parts = ["index.redb", ".snap", "tiles/", "hashes-0.pack", "entries.pack", "entries.offsets"];
    for part in parts {
        let copy = sealed.site.moved_to(sealed.site.faulty.snapshot());
        let lost = files_under(&copy.faulty, part);
        assert!(!lost.is_empty(), "{part}");
        lost.iter().for_each(|path| remove(&copy.faulty, path));
        let desk = copy.open();
        assert_eq!(ask_everything(&sealed, &desk), 0, "without {part}");
        drop(desk);
        assert_whole(&copy, part);
    }
}

/// Bits flipped while the ledger is at rest, and what is served after it opened: right, or refused.
#[test]
fn a_flipped_bit_in_a_cache_is_never_served() {
    let sealed = at_rest(2);
    let (mut refused, mut made_again, mut errors) = (0, 0, 0);
    for part in ["index.redb", ".snap", "tiles/"] {
        for path in files_under(&sealed.site.faulty, part) {
            let length = sealed.site.faulty.contents(&path).unwrap().len();
            let places = (0..length).step_by((length / 4).max(1)).chain([length.saturating_sub(1)]);
            for (n, at) in places.enumerate().filter(|_| length > 0) {
                let copy = sealed.site.moved_to(sealed.site.faulty.snapshot());
                assert!(copy.faulty.flip_bit(&path, at as u64, (n % 8) as u8));
                match copy.try_open() {
                    Err(_) => refused += 1,
                    Ok((desk, _)) => match ask_everything(&sealed, &desk) {
                        0 => made_again += 1,
                        some => errors += some,
                    },
                }
            }
        }
    }
    eprintln!("refused to open: {refused}, made again: {made_again}, errors instead of answers: {errors}");
    assert_eq!(refused, 0, "no cache keeps the ledger from opening");
}

/// The same while it runs: what is read from disk now was changed behind its back.
#[test]
fn a_bit_flipped_under_a_running_ledger_is_never_served() {
    let sealed = at_rest(3);
    let desk = sealed.site.open();
    for part in ["tiles/", "index.redb"] {
        for path in files_under(&sealed.site.faulty, part) {
            let length = sealed.site.faulty.contents(&path).unwrap().len();
            for at in (0..length).step_by((length / 5).max(1)) {
                assert!(sealed.site.faulty.flip_bit(&path, at as u64, 5));
                ask_everything(&sealed, &desk);
                assert!(sealed.site.faulty.flip_bit(&path, at as u64, 5));
            }
        }
    }
    assert_eq!(ask_everything(&sealed, &desk), 0);
}

/// A tile changed by a hand that knows the checksum: the service's own key is never put to a false root.
#[test]
fn a_forged_tile_gets_no_signature() {
    let sealed = at_rest(4);
    let path = sealed.site.layout.tiles().join("hashes-0.pack");
    let mut bytes = sealed.site.faulty.contents(&path).unwrap();
    bytes[40 * 32] ^= 1;
    let sum = crc32c::crc32c(&bytes[..8192]).to_be_bytes();
    bytes[8192..8196].copy_from_slice(&sum);
    sealed.site.faulty.place(&path, &bytes).unwrap();
    let desk = sealed.site.open();
    let mut compared = 0;
    for size in 1..=MANY + 3 {
        let signed = desk.ledger.checkpoint_at(size);
        assert_eq!(signed.is_err(), size < 256, "size {size}: {signed:?}");
        let truth = sealed.leaves.iter().find(|leaf| leaf.size == size);
        if let (Ok(signed), Some(leaf)) = (signed, truth) {
            assert_eq!(signed, leaf.checkpoint, "two roots for size {size}");
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn an_older_copy_of_the_data_is_refused_by_the_head() {
    let sealed = at_rest(5);
    let old = sealed.site.faulty.snapshot();
    let desk = sealed.site.open();
    desk.seal(&sealed.agent, &intent("mailer", None, 1));
    drop(desk);
    let copy = sealed.site.moved_to(old);
    let head = sealed.site.faulty.contents(&sealed.site.layout.head()).unwrap();
    copy.faulty.place(&copy.layout.head(), &head).unwrap();
    let error = copy.try_open().err().expect("it must not open");
    assert!(
        matches!(error, OpenError::Journal(JournalError::Recover(RecoverError::HeadAhead { .. }))),
        "{error:?}"
    );
    assert!(error.hint().contains("older copy"), "{}", error.hint());
}

/// Journal and head were both put back, but a snapshot proves that more was signed.
#[test]
fn an_older_journal_is_refused_by_a_newer_snapshot() {
    let sealed = at_rest(6);
    let copy = sealed.site.moved_to(sealed.site.faulty.snapshot());
    // The journal as it was before the last segments, and no head at all.
    remove(&copy.faulty, &copy.layout.head());
    let segments = files_under(&copy.faulty, ".seg");
    for path in segments.iter().skip(2) {
        remove(&copy.faulty, path);
    }
    let error = copy.try_open().err().expect("it must not open");
    assert!(
        matches!(error, OpenError::Journal(JournalError::Recover(RecoverError::HeadAhead { .. }))),
        "{error:?}"
    );
}

#[test]
fn a_head_of_another_history_is_refused() {
    let sealed = at_rest(7);
    let other = at_rest(8);
    let copy = sealed.site.moved_to(sealed.site.faulty.snapshot());
    let head = other.site.faulty.contents(&other.site.layout.head()).unwrap();
    copy.faulty.place(&copy.layout.head(), &head).unwrap();
    assert!(matches!(copy.try_open().err(), Some(OpenError::HeadFile(_))));
}

/// Rot in the last acknowledged frame looks like a torn write, but for the marker behind it.
#[test]
fn the_last_acknowledged_frame_is_never_dropped() {
    let site = Site::new(9);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    drop(desk);
    let desk = site.open();
    let before = site.faulty.operations();
    desk.seal(&agent, &intent("mailer", None, 1));
    let write =
        site.faulty.ops().into_iter().skip(before as usize).find(|op| op.kind == OpKind::Write).unwrap();
    drop(desk);
    remove(&site.faulty, &site.layout.head());
    let path = Path::new("/").join(&write.path);
    let mut bytes = site.faulty.contents(&path).unwrap();
    let sector = write.offset as usize + 512;
    bytes[sector..sector + 512].fill(0);
    site.faulty.place(&path, &bytes).unwrap();
    let error = site.try_open().err().expect("it must not open");
    assert!(
        matches!(
            error,
            OpenError::Journal(JournalError::Recover(RecoverError::Corrupt { followed_by: Some(_), .. }))
        ),
        "{error:?}"
    );
}

#[test]
fn what_does_not_fit_a_segment_is_refused_and_nothing_is_poisoned() {
    let site = Site::new(10);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    let large = |n: usize| {
        json!({"agent": "mailer", "session": "s", "reasoning": ["x".repeat(n)],
               "calls": [{"id": "c", "tool": "t", "args": {}}]})
    };
    let refused = desk.submit(&agent, &large(100 << 10));
    assert!(matches!(refused, Err(LedgerError::TooLarge(_))), "{refused:?}");
    assert_eq!(desk.ledger.poisoned(), None);
    // Many that fit alone and not together.
    let documents: Vec<_> = (0..40).map(|n| large(14_000 + n)).collect();
    let leaves = desk.seal_all(&agent, &documents);
    assert_eq!(leaves.len(), 40);
    assert_eq!(desk.ledger.poisoned(), None);
    drop(desk);
    assert_whole(&site, "large intents");
}

/// Restarts that each write less than a snapshot's worth do not add up to a replay without end.
#[test]
fn short_lives_get_their_snapshot_too() {
    let mut site = Site::new(11);
    site.options.snapshot_bytes = 100 << 10;
    site.init();
    let agent = site.open().add_agent("mailer");
    let mut from_snapshot = 0;
    for n in 0..8u64 {
        let (desk, report) = site.try_open().unwrap();
        from_snapshot = report.from_snapshot;
        let documents: Vec<_> = (0..20).map(|i| intent("mailer", None, n * 100 + i)).collect();
        desk.seal_all(&agent, &documents);
    }
    assert!(from_snapshot > 0, "eight lives of 40 KiB and no snapshot");
}

#[test]
fn every_reply_comes_while_the_ledger_stops() {
    for seed in 0..6 {
        let site = Site::new(100 + seed);
        site.init();
        let desk = site.open();
        let agent = desk.add_agent("mailer");
        let sent = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let answers = scope.spawn(|| {
                let mut answers = Vec::new();
                let mut told = Vec::new();
                loop {
                    let n = sent.fetch_add(1, Ordering::SeqCst);
                    let admitted = admit(&agent, &intent("mailer", None, n), [1; 32]);
                    match desk.send(admitted) {
                        // A reply that is there already is taken now, and only once.
                        Ok(answer) => match answer.try_recv() {
                            Ok(reply) => told.push(reply),
                            Err(_) => answers.push(answer),
                        },
                        Err(LedgerError::Overloaded) => {}
                        Err(other) => panic!("{other}"),
                    }
                    if matches!(told.last(), Some(Err(LedgerError::Stopping))) || n > 20_000 {
                        return (answers, told);
                    }
                }
            });
            while sent.load(Ordering::SeqCst) < 50 + seed * 20 {
                std::thread::yield_now();
            }
            desk.ledger.stop();
            let size = desk.ledger.published().size;
            let mut sealed = 0;
            let (answers, told) = answers.join().unwrap();
            let waited = answers
                .iter()
                .map(|answer| answer.recv_timeout(std::time::Duration::from_secs(20)).expect("a reply"));
            for reply in told.into_iter().chain(waited) {
                match reply {
                    Ok(Accepted::Sealed { .. }) => sealed += 1,
                    Ok(Accepted::Known { .. }) => panic!("no id was given"),
                    Err(LedgerError::Stopping) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(size, sealed + 2);
        });
        assert_eq!(desk.ledger.in_hand(), 0);
    }
}

/// The lock goes only when nothing of the old process touches the files any more.
#[test]
fn a_stopped_ledger_that_is_still_held_does_not_disturb_the_next() {
    let site = Site::new(12);
    site.init();
    let first = site.open();
    let agent = first.add_agent("mailer");
    let sealed = first.seal(&agent, &intent("mailer", Some(id(1)), 1));
    assert!(matches!(site.try_open().err(), Some(OpenError::Locked)));
    first.ledger.stop();
    let second = site.open();
    let more = second.seal(&agent, &intent("mailer", Some(id(2)), 2));
    // What a stopped ledger has published it still serves, but it seals nothing.
    assert_eq!(first.ledger.entry(sealed.index).unwrap(), Some(sealed.entry));
    assert!(matches!(first.submit(&agent, &intent("mailer", None, 3)), Err(LedgerError::Stopping)));
    second.ledger.stop();
    drop(first);
    drop(second);
    assert_whole(&site, "two handles");
    let third = site.open();
    assert_eq!(third.ledger.find(id(2), agent.index).unwrap().unwrap().index, more.index);
}

/// A write that fails poisons: nothing more is sealed, whoever waits is told, and the service can see it.
#[test]
fn a_failed_write_poisons_and_shows() {
    for fault in [Fault::Error, Fault::FailSync, Fault::NoSpace] {
        let site = Site::new(13);
        site.init();
        let desk = site.open();
        let agent = desk.add_agent("mailer");
        let acknowledged = desk.seal(&agent, &intent("mailer", None, 1));
        assert_eq!(desk.ledger.poisoned(), None);
        // What is written behind (head, index) must be done, or the fault strikes that instead of the commit.
        let mut seen = None;
        while seen != Some(site.faulty.mutations()) {
            seen = Some(site.faulty.mutations());
            std::thread::sleep(std::time::Duration::from_millis(1_300));
        }
        site.faulty.inject(Trigger::Mutation(site.faulty.mutations()), fault);
        let failed = desk.submit(&agent, &intent("mailer", None, 2));
        assert!(matches!(failed, Err(LedgerError::OutcomeUnknown(_))), "{failed:?}");
        assert!(desk.ledger.poisoned().is_some());
        let refused = desk.submit(&agent, &intent("mailer", None, 3));
        assert!(matches!(refused, Err(LedgerError::Poisoned(_))), "{refused:?}");
        let refused = desk.try_add_agent("other");
        assert!(matches!(refused, Err(LedgerError::Poisoned(_))), "{refused:?}");
        assert_eq!(desk.ledger.published().size, acknowledged.size, "what is published stays");
        assert_eq!(desk.ledger.entry(acknowledged.index).unwrap(), Some(acknowledged.entry.clone()));
        drop(desk);
        let desk = site.open();
        assert_eq!(desk.ledger.entry(acknowledged.index).unwrap(), Some(acknowledged.entry));
        drop(desk);
        assert_whole(&site, "after a poison");
    }
}
