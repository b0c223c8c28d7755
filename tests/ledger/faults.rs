//! One fault at each operation of a short life: the ledger answers, stops sealing, and recovers everything it
//! acknowledged under heads that agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foreseal::disk::{Disk, Fault, FaultyDisk, OpOutcome, Trigger};
use foreseal::ledger::{Accepted, Ledger, LedgerError, OpenError};

use crate::harness::*;

/// The same files on a disk that loses others.
fn reseeded(base: &FaultyDisk, seed: u64) -> FaultyDisk {
    let disk = FaultyDisk::new(seed);
    for path in base.paths() {
        disk.place(&path, &base.contents(&path).unwrap()).unwrap();
    }
    // Directories that hold no file yet.
    let layout = Rig::bare(disk.clone()).layout;
    for directory in [layout.tiles(), layout.snapshots(), layout.epochs()] {
        disk.create_dir_all(&directory, foreseal::disk::DirMode::Shared).unwrap();
        disk.sync_dir(&layout.data).unwrap();
    }
    disk.snapshot()
}

fn rig(disk: FaultyDisk) -> Rig {
    let mut rig = Rig::bare(disk);
    rig.options.journal.segment_bytes = 64 << 10;
    rig.options.journal.zero_step_bytes = 64 << 10;
    rig.options.snapshot_bytes = 24 << 10;
    rig
}

/// What a life left behind.
#[derive(Default)]
struct Life {
    told: Acknowledged,
    /// Agents by the number in their credential.
    agents: Vec<Agent>,
    /// Ids and bodies of acknowledged intents.
    intents: Vec<(uuid::Uuid, u64, Vec<u8>)>,
    /// Why the ledger did not open, once.
    refused: Option<OpenError>,
    next: u64,
}

impl Life {
    /// Takes an answer; whether it is that something was sealed.
    fn answered<T>(&mut self, ledger: &Ledger, told: Told<T>, stopped: &mut bool) -> Option<T> {
        match told {
            Ok(sealed) => {
                assert!(!*stopped, "sealed after a failed write");
                Some(sealed)
            }
            Err(LedgerError::OutcomeUnknown(_) | LedgerError::Poisoned(_) | LedgerError::Stopping) => {
                *stopped = true;
                assert!(ledger.poisoned().is_some());
                None
            }
            Err(LedgerError::Damaged(_) | LedgerError::Keyring(_)) => None,
            Err(error) => panic!("no fault explains: {error}"),
        }
    }

    fn batch(&mut self, ledger: &Ledger, rig: &Rig, count: u64, stopped: &mut bool) {
        rig.clock.step(40);
        let Some(agent) = self.agents.first().cloned() else { return };
        let waiting: Vec<_> = (0..count)
            .map(|_| {
                self.next += 1;
                let body = body(&agent.name, Some(id(self.next)), self.next);
                (id(self.next), submit_later(ledger, &agent, &body), body)
            })
            .collect();
        for (id, answer, body) in waiting {
            match self.answered(ledger, wait(&answer), stopped) {
                Some(Accepted::Sealed { leaf, .. }) => {
                    self.told.noted(&leaf);
                    // The receipt needs reads that the fault may strike; what is given must stand.
                    if let Ok(receipt) = ledger.receipt(leaf.index, &leaf.entry, leaf.size, &leaf.checkpoint)
                    {
                        self.told.receipts.push((Arc::clone(&leaf.entry), receipt.to_text()));
                    }
                    self.intents.push((id, agent.index, body));
                }
                Some(known) => panic!("{known:?}"),
                None => {}
            }
        }
        self.told.published(ledger);
    }

    /// Open, agent, policy, intents in batches, snapshots, stop; open again, more intents, stop.
    fn live(&mut self, rig: &Rig) {
        for (run, batches) in [[1, 3, 2, 3, 3].as_slice(), &[2, 1, 3, 2]].iter().enumerate() {
            let ledger = match rig.try_open() {
                Ok((ledger, _)) => ledger,
                Err(error) => {
                    self.refused = Some(error);
                    return;
                }
            };
            let mut stopped = false;
            if run == 0 {
                let answer = add_agent(&ledger, "a", 1);
                if let Some((agent, leaf)) = self.answered(&ledger, answer, &mut stopped) {
                    self.told.noted(&leaf);
                    self.agents.push(agent);
                }
                let answer = administer(&ledger, permit_all(0));
                if let Some(leaf) = self.answered(&ledger, answer, &mut stopped) {
                    self.told.noted(&leaf);
                }
            }
            for count in *batches {
                self.batch(&ledger, rig, *count, &mut stopped);
            }
            ledger.stop();
        }
    }

    /// Opens what survived and holds it against what was told.
    fn check(&mut self, rig: &Rig) {
        let (ledger, _) = rig.try_open().unwrap_or_else(|error| panic!("no fault explains: {error}"));
        let trust = rig.trust();
        self.told.published(&ledger);
        let leaves = journal_leaves(&rig.disk, &rig.layout, &trust);
        self.told.holds(&leaves, &trust);
        assert_eq!(head_agrees(&rig.disk, &rig.layout, &leaves, &trust), leaves.len() as u64);
        serves(&ledger, &leaves, 100);
        for (id, agent, body) in &self.intents {
            let found = ledger.find(*id, *agent).unwrap().expect("an acknowledged intent is found");
            assert_eq!(&found.payload.declared, body);
        }
        let mut stopped = false;
        self.batch(&ledger, rig, 2, &mut stopped);
        assert!(!stopped, "{:?}", ledger.poisoned());
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Kill,
    PowerCut,
    /// The process is killed and the cache drops what it believes to be clean.
    Evict,
}

/// One life with one fault. Returns whether the fault struck.
fn live_with(trigger: Trigger, fault: Fault, then: Then, seed: u64) -> bool {
    let mut rig = rig(reseeded(&initialised(), seed));
    rig.disk.inject(trigger, fault);
    let mut life = Life::default();
    life.live(&rig);
    let struck: Vec<String> = rig
        .disk
        .ops()
        .iter()
        .filter(|op| matches!(op.outcome, OpOutcome::Struck(_)))
        .map(ToString::to_string)
        .collect();
    let _told = Tell(format!("{trigger:?} {fault:?} {then:?} seed {seed}: {struck:?}"));
    if let Some(error) = &life.refused {
        assert!(!struck.is_empty(), "{error}");
        assert!(explained(error), "{error:?} after {struck:?}");
    }
    match then {
        Then::Kill => {}
        Then::PowerCut => rig.disk.power_cut(),
        Then::Evict => rig.disk.evict_clean_pages(),
    }
    rig.restart();
    life.check(&rig);
    !struck.is_empty()
}

/// Opening under a fault may fail as the disk fails, never for another reason.
fn explained(error: &OpenError) -> bool {
    use foreseal::journal::{JournalError, ReadError, RecoverError};
    use foreseal::ledger::keyring::KeyringError;
    matches!(
        error,
        OpenError::Io { .. }
            | OpenError::Keyring(KeyringError::Io { .. })
            | OpenError::Journal(
                JournalError::Disk(_) | JournalError::Recover(RecoverError::Read(ReadError::Disk { .. }))
            )
            | OpenError::Index(_)
            | OpenError::Damaged(_)
    )
}

/// Says which life it was, if the test fails in it.
struct Tell(String);

impl Drop for Tell {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("in the life with {}", self.0);
        }
    }
}

fn operations() -> (u64, u64) {
    let rig = rig(reseeded(&initialised(), 1));
    let mut life = Life::default();
    life.live(&rig);
    assert!(life.refused.is_none() && life.intents.len() == 20, "{:?}", life.refused);
    assert!(!rig.files_in(&rig.layout.snapshots()).is_empty(), "the life has a snapshot in it");
    (rig.disk.operations(), rig.disk.mutations())
}

/// Strikes operations evenly, every `step`-th with each fault; `FORESEAL_ALL_FAULTS=1` strikes every one.
fn matrix(faults: &[(Fault, Then)], any: bool, step: u64) {
    let step = if std::env::var_os("FORESEAL_ALL_FAULTS").is_some() { 1 } else { step };
    let (operations, mutations) = operations();
    let count = if any { operations } else { mutations };
    let lives: Vec<_> = (0..)
        .zip(faults)
        .flat_map(|(row, fault)| (row % step..count).step_by(step as usize).map(move |n| (n, row, fault)))
        .collect();
    let (next, struck) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let live = || {
        while let Some((n, row, (fault, then))) = lives.get(next.fetch_add(1, Ordering::Relaxed)) {
            let trigger = if any { Trigger::Any(*n) } else { Trigger::Mutation(*n) };
            let fault = match fault {
                Fault::Torn { .. } => Fault::Torn { sectors: *n as usize % 9 },
                other => *other,
            };
            struck.fetch_add(usize::from(live_with(trigger, fault, *then, n * 31 + row)), Ordering::Relaxed);
        }
    };
    // A life waits much: several at once.
    std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(live))));
    let struck = struck.into_inner();
    eprintln!("{count} operations; {} lives, each with every {step}th; {struck} were struck", lives.len());
    assert!(struck * 10 > lives.len() * 8, "most faults must strike");
}

#[test]
fn operations_that_fail() {
    matrix(&[(Fault::Error, Then::Kill)], true, 6);
    let faults = [(Fault::Error, Then::PowerCut), (Fault::NoSpace, Then::Kill)];
    matrix(&faults, false, 9);
}

#[test]
fn operations_that_are_done_and_called_failed() {
    matrix(&[(Fault::ErrorButDone, Then::Kill), (Fault::ErrorButDone, Then::PowerCut)], false, 9);
}

#[test]
fn writes_that_tear_and_syncs_that_fail() {
    let torn = Fault::Torn { sectors: 0 };
    let faults = [
        (torn, Then::Kill),
        (torn, Then::PowerCut),
        (Fault::FailSync, Then::Kill),
        (Fault::FailSync, Then::Evict),
        (Fault::FailSync, Then::PowerCut),
    ];
    matrix(&faults, false, 11);
}

#[test]
fn the_power_goes() {
    matrix(&[(Fault::PowerCut, Then::Kill); 4], false, 9);
}

/// The sequencer writes too: the file of a new key epoch. A disk that fails there fails everywhere.
#[test]
fn a_key_epoch_that_cannot_be_written_stops_sealing() {
    for fault in [Fault::Error, Fault::FailSync, Fault::ErrorButDone] {
        for n in 0..5 {
            let mut rig = rig(initialised());
            let ledger = rig.open();
            let (agent, _) = add_agent(&ledger, "a", 1).unwrap();
            // Whatever is written behind is done.
            std::thread::sleep(std::time::Duration::from_millis(150));
            rig.clock.step(25 * 60 * 60 * 1_000);
            rig.disk.inject(Trigger::Mutation(rig.disk.mutations() + n), fault);
            let answer = submit(&ledger, &agent, &body("a", Some(id(1)), 1));
            let struck = rig.disk.ops().into_iter().find(|op| matches!(op.outcome, OpOutcome::Struck(_)));
            let struck = struck.expect("a new epoch is written").to_string();
            assert!(struck.contains("epochs"), "{struck}");
            assert!(answer.is_err() && ledger.poisoned().is_some(), "{struck}: {answer:?}");
            let again = submit(&ledger, &agent, &body("a", Some(id(2)), 2));
            assert!(matches!(again, Err(LedgerError::Poisoned(_))), "{struck}: {again:?}");
            drop(ledger);
            rig.restart();
            assert_eq!(sealed(submit(&rig.open(), &agent, &body("a", Some(id(1)), 1))).index, 2);
        }
    }
}
