//! Files that were lost, restored from older copies, or rotted: derived ones are made again, the rest is refused or
//! reported; what is served is right or an error.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use foreseal::disk::{Disk, FaultyDisk, RealDisk};
use foreseal::journal::{JournalError, RecoverError};
use foreseal::ledger::keyring::KeyringError;
use foreseal::ledger::{Ledger, LedgerError, OpenError, init};

use crate::harness::*;

const INTENTS: u64 = 300;

/// A stopped ledger with some tiles, its leaves, and the bodies of its intents.
struct Aged {
    rig: Rig,
    agent: Agent,
    leaves: Vec<Vec<u8>>,
    tree: Tree,
    told: Acknowledged,
}

fn aged() -> &'static Aged {
    static AGED: OnceLock<Aged> = OnceLock::new();
    AGED.get_or_init(age)
}

fn age() -> Aged {
    let rig = Rig::bare(initialised());
    let ledger = rig.open();
    let (agent, _) = add_agent(&ledger, "a", 1).unwrap();
    administer(&ledger, permit_all(0)).unwrap();
    let mut told = Acknowledged::default();
    for wave in 0..INTENTS / 25 {
        rig.clock.step(5);
        let waiting: Vec<_> = (wave * 25..(wave + 1) * 25)
            .map(|n| submit_later(&ledger, &agent, &body("a", Some(id(n)), n)))
            .collect();
        waiting.iter().for_each(|answer| told.noted(&sealed(wait(answer))));
    }
    drop(ledger);
    let leaves = journal_leaves(&rig.disk, &rig.layout, &rig.trust());
    let tree = Tree::over(&leaves);
    Aged { rig, agent, leaves, tree, told }
}

impl Aged {
    /// The same on a copy of the disk.
    fn copy(&self) -> Rig {
        let rig = Rig::bare(self.rig.disk.snapshot());
        rig.clock.step(1_000);
        rig
    }

    /// All of it is served and found, and sealing goes on.
    fn whole(&self, ledger: &Ledger) {
        serves(ledger, &self.leaves, 40);
        for n in (0..INTENTS).step_by(11) {
            let found = ledger.find(id(n), self.agent.index).unwrap().expect("it is there");
            assert_eq!(found.payload.declared, body("a", Some(id(n)), n));
        }
        let leaf = sealed(submit(ledger, &self.agent, &body("a", None, 9)));
        assert_eq!(leaf.index, self.leaves.len() as u64);
    }

    /// Whatever is served is right; anything may be an error. Says what was refused.
    fn right_or_error(&self, ledger: &Ledger) -> usize {
        let mut errors = 0;
        for (index, leaf) in (0u64..).zip(&self.leaves).step_by(29) {
            match ledger.entry(index) {
                Ok(found) => assert_eq!(found.as_deref(), Some(leaf.as_slice()), "leaf {index}"),
                Err(_) => errors += 1,
            }
        }
        for path in self.tree.paths(85) {
            match ledger.resource(&path) {
                Ok(found) => assert!(found == self.tree.resource(&path), "{path}"),
                Err(_) => errors += 1,
            }
        }
        let published = ledger.published();
        for n in (0..INTENTS).step_by(41) {
            match ledger.find(id(n), self.agent.index) {
                Ok(found) => {
                    let found = found.unwrap_or_else(|| panic!("intent {n} is there, and not found"));
                    assert_eq!(found.payload.declared, body("a", Some(id(n)), n));
                    let (size, note) = (published.size, &published.checkpoint);
                    match ledger.receipt(found.index, &found.bytes, size, note) {
                        Ok(receipt) => foreseal::merkle::verify_inclusion(
                            &foreseal::merkle::leaf_hash(&self.leaves[found.index as usize]),
                            found.index,
                            size,
                            &receipt.path,
                            &self.tree.root(size as usize),
                        )
                        .unwrap(),
                        Err(_) => errors += 1,
                    }
                }
                Err(_) => errors += 1,
            }
        }
        for from in [1, 100, 256] {
            match ledger.consistency_proof(from, published.size) {
                Ok(proof) => {
                    let (old, new) = (self.tree.root(from as usize), self.tree.root(self.leaves.len()));
                    let proof = proof.unwrap();
                    foreseal::merkle::verify_consistency(from, &old, published.size, &new, &proof).unwrap();
                }
                Err(_) => errors += 1,
            }
        }
        // A known id is never sealed again.
        let again = submit(ledger, &self.agent, &body("a", Some(id(3)), 3));
        match again {
            Ok(foreseal::ledger::Accepted::Known { index }) => assert_eq!(index, 3 + 3),
            Ok(sealed) => panic!("the same id twice: {sealed:?}"),
            Err(_) => errors += 1,
        }
        errors
    }
}

#[test]
fn what_is_derived_is_made_again() {
    let aged = aged();
    let layout = &aged.rig.layout;
    let index = vec![layout.index()];
    let snapshots = aged.rig.files_in(&layout.snapshots());
    let tiles = aged.rig.files_in(&layout.tiles());
    assert!(!snapshots.is_empty() && tiles.len() >= 3, "{tiles:?}");
    let each = |files: &[PathBuf]| files.iter().map(|file| vec![file.clone()]).collect::<Vec<_>>();
    let all = [index.clone(), snapshots.clone(), tiles.clone()].concat();
    let mut lost = vec![index, snapshots.clone(), tiles.clone(), all];
    lost.extend(each(&snapshots));
    lost.extend(each(&tiles));
    for files in lost {
        let rig = aged.copy();
        files.iter().for_each(|file| rig.disk.remove(file).unwrap());
        eprintln!("without {files:?}");
        aged.right_or_error(&rig.open());
        // And once more from what was made.
        aged.whole(&rig.open());
    }
}

#[test]
fn cut_or_emptied_tiles_are_made_again() {
    let aged = aged();
    for file in aged.rig.files_in(&aged.rig.layout.tiles()) {
        let bytes = aged.rig.disk.contents(&file).unwrap();
        for length in [0, bytes.len() / 2, bytes.len().saturating_sub(1)] {
            let rig = aged.copy();
            rig.disk.place(&file, &bytes[..length]).unwrap();
            eprintln!("{} cut to {length} of {}", file.display(), bytes.len());
            aged.whole(&rig.open());
        }
    }
}

#[test]
fn making_tiles_again_can_be_cut_short() {
    let aged = aged();
    for n in 0..16 {
        let mut rig = aged.copy();
        rig.remove_all(&rig.layout.tiles());
        let mutation = n * 2;
        rig.disk.inject(foreseal::disk::Trigger::Mutation(mutation), foreseal::disk::Fault::PowerCut);
        drop(rig.try_open());
        rig.disk.power_cut();
        rig.restart();
        eprintln!("the power went at {mutation}");
        aged.whole(&rig.open());
    }
}

#[test]
fn a_directory_of_derived_files_may_be_gone_altogether() {
    let home = tempfile::tempdir().unwrap();
    let mut rig = Rig::bare(FaultyDisk::new(0));
    rig.layout = foreseal::ledger::layout::Layout::new(&home.path().join("data"), None);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    init(&disk, &rig.layout, ORIGIN, &rig.options).unwrap();
    let open = || Ledger::open(&disk, &rig.layout, &rig.options).unwrap().0;
    let ledger = open();
    let (agent, _) = add_agent(&ledger, "a", 1).unwrap();
    (0..40).for_each(|n| drop(sealed(submit(&ledger, &agent, &body("a", Some(id(n)), n)))));
    drop(ledger);
    for directory in [rig.layout.tiles(), rig.layout.snapshots()] {
        std::fs::remove_dir_all(&directory).unwrap();
        let ledger = open();
        assert_eq!(ledger.published().size, 42);
        (0..40).for_each(|n| assert!(ledger.find(id(n), agent.index).unwrap().is_some()));
    }
}

#[test]
fn an_older_copy_of_the_data_is_refused() {
    let aged = aged();
    let mut rig = aged.copy();
    let ledger = rig.open();
    let before = rig.files_in(&rig.layout.data);
    let old: Vec<_> = before.iter().map(|file| (file.clone(), rig.disk.contents(file).unwrap())).collect();
    sealed(submit(&ledger, &aged.agent, &body("a", None, 1)));
    drop(ledger);
    rig.restart();
    for file in rig.files_in(&rig.layout.data) {
        rig.disk.remove(&file).unwrap();
    }
    old.iter().for_each(|(file, bytes)| rig.disk.place(file, bytes).unwrap());
    let refused = rig.try_open().map(drop).unwrap_err();
    let ahead = matches!(refused, OpenError::Journal(JournalError::Recover(RecoverError::HeadAhead { .. })));
    assert!(ahead, "{refused}");
    assert!(refused.hint().contains("older copy"));
}

#[test]
fn another_history_of_the_same_size_is_refused() {
    let mut base = Rig::bare(initialised());
    let fork = base.disk.snapshot();
    let ledger = base.open();
    add_agent(&ledger, "a", 1).unwrap();
    drop(ledger);
    base.restart();
    let other = Rig::bare(fork);
    drop(add_agent(&other.open(), "b", 2).unwrap());
    let head = other.disk.contents(&other.layout.head()).unwrap();
    base.disk.place(&base.layout.head(), &head).unwrap();
    let refused = base.try_open().map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::HeadDiverges(2)), "{refused}");
}

#[test]
fn rot_in_an_acknowledged_frame_is_refused_and_never_dropped() {
    let aged = aged();
    // Behind the last frame with entries lies the marker of the clean stop.
    for snapshots in [true, false] {
        let mut frames = 0;
        let rig = aged.copy();
        let journal = rig.layout.journal();
        let start = foreseal::journal::Position { segment: 0, offset: 0 };
        let all: Vec<_> = foreseal::journal::frames_from(&rig.disk, &journal, start)
            .unwrap()
            .map(|frame| frame.unwrap())
            .collect();
        assert!(all.last().unwrap().1.entries().len() == 0, "a marker ends it");
        let (at, _) = all.iter().rev().find(|(_, frame)| frame.entries().len() > 0).unwrap();
        for offset in [0, 9, 70, 200, 1_000, 3_000] {
            let rig = aged.copy();
            if !snapshots {
                rig.remove_all(&rig.layout.snapshots());
            }
            rig.disk.remove(&rig.layout.head()).unwrap();
            let file = journal.join(foreseal::journal::segment_file_name(at.segment));
            assert!(rig.disk.flip_bit(&file, at.offset + offset, 3));
            let refused = rig.try_open().map(drop).unwrap_err();
            let corrupt =
                matches!(refused, OpenError::Journal(JournalError::Recover(RecoverError::Corrupt { .. })));
            assert!(corrupt, "{refused}");
            frames += 1;
        }
        assert_eq!(frames, 6);
    }
}

#[test]
fn a_flipped_bit_in_a_derived_file_gives_right_answers_or_errors() {
    let aged = aged();
    let layout = &aged.rig.layout;
    let mut files = aged.rig.files_in(&layout.tiles());
    files.extend(aged.rig.files_in(&layout.snapshots()));
    files.push(layout.index());
    let (mut noticed, mut refused, mut flips) = (0, 0, 0);
    for file in files {
        let length = aged.rig.disk.contents(&file).unwrap().len() as u64;
        let is_index = file == layout.index();
        // The index's first block holds its headers; elsewhere evenly.
        let places = (0..if is_index { 330 } else { 40 }).step_by(31);
        let places: Vec<u64> = places.chain((0..length).step_by((length / 9 + 1) as usize)).collect();
        for (n, offset) in (0u8..).zip(places.into_iter().filter(|offset| *offset < length)) {
            let rig = aged.copy();
            assert!(rig.disk.flip_bit(&file, offset, n % 8));
            flips += 1;
            match rig.try_open() {
                Ok((ledger, _)) => {
                    let _told = Flipped(&file, offset);
                    noticed += usize::from(aged.right_or_error(&ledger) > 0);
                }
                Err(OpenError::Index(_) | OpenError::Damaged(_)) => refused += 1,
                Err(error) => panic!("{} byte {offset}: {error}", file.display()),
            }
        }
    }
    eprintln!("{flips} flips: {noticed} were noticed when served, {refused} refused at the start");
}

struct Flipped<'a>(&'a Path, u64);

impl Drop for Flipped<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with a flipped bit at byte {} of {}", self.1, self.0.display());
        }
    }
}

#[test]
fn a_missing_key_epoch_takes_its_payloads_and_nothing_else() {
    let aged = aged();
    let rig = aged.copy();
    let last = rig.files_in(&rig.layout.epochs()).pop().unwrap();
    // The last epoch there is holds intents only, if the ledger was opened once more.
    let ledger = rig.open();
    let newest = rig.files_in(&rig.layout.epochs()).pop().unwrap();
    assert_ne!(last, newest);
    let body_of = |n: u64| body("a", Some(id(n)), n);
    let leaf = sealed(submit(&ledger, &aged.agent, &body_of(5_000)));
    drop(ledger);
    for snapshots in [true, false] {
        let rig = Rig::bare(rig.disk.snapshot());
        rig.clock.step(2_000);
        rig.disk.remove(&newest).unwrap();
        if !snapshots {
            rig.remove_all(&rig.layout.snapshots());
        }
        let epoch: u32 = newest.file_name().unwrap().to_str().unwrap().parse().unwrap();
        // Twice, so that a new epoch cannot take the lost one's place unnoticed.
        for round in 0..2 {
            let ledger = rig.open();
            match ledger.find(id(5_000), aged.agent.index) {
                Err(LedgerError::Keyring(KeyringError::NoEpoch(lost))) => assert_eq!(lost, epoch),
                Err(error) => panic!("round {round}: {error:?}"),
                Ok(_) => panic!("round {round}: the payload was read without its key"),
            }
            assert_eq!(ledger.entry(leaf.index).unwrap().as_deref(), Some(&*leaf.entry));
            let n = 6_000 + round;
            sealed(submit(&ledger, &aged.agent, &body_of(n)));
            let found = ledger.find(id(n), aged.agent.index).unwrap().unwrap();
            assert_eq!(found.payload.declared, body_of(n));
        }
    }
    assert_eq!(aged.told.leaves.len() as u64, INTENTS);
}
