//! Some hundred intents over several tiles: everything that is served is right, and stays so over restarts.

use std::collections::BTreeMap;

use foreseal::record::entry::Entry;

use crate::harness::*;

/// Bodies of intents by the number in their id, and agent.
type Bodies = BTreeMap<(u64, u64), Vec<u8>>;

/// Registers two agents and a policy, and submits in waves; returns the bodies by id and agent.
fn fill(ledger: &foreseal::ledger::Ledger, rig: &Rig, told: &mut Acknowledged, intents: u64) -> Bodies {
    let (a, first) = add_agent(ledger, "a", 1).unwrap();
    let (b, second) = add_agent(ledger, "b", 2).unwrap();
    let policy = administer(ledger, permit_all(0)).unwrap();
    for leaf in [first, second, policy] {
        told.leaf(ledger, &leaf);
    }
    let agents = [a, b];
    let mut bodies = BTreeMap::new();
    for wave in (0..intents).step_by(24) {
        rig.clock.step(7);
        let waiting: Vec<_> = (wave..intents.min(wave + 24))
            .map(|n| {
                let agent = &agents[n as usize % 2];
                let body = body(&agent.name, Some(id(n)), n);
                let answer = submit_later(ledger, agent, &body);
                bodies.insert((n, agent.index), body);
                answer
            })
            .collect();
        for answer in waiting {
            told.leaf(ledger, &sealed(wait(&answer)));
        }
    }
    bodies
}

fn found(ledger: &foreseal::ledger::Ledger, bodies: &Bodies) {
    for ((n, agent), body) in bodies {
        let found = ledger.find(id(*n), *agent).unwrap().unwrap_or_else(|| panic!("intent {n} is lost"));
        assert_eq!(&found.payload.declared, body);
        assert_eq!(found.entry.id, id(*n));
        let checkpoint = ledger.checkpoint_at(found.sealed_size).unwrap();
        assert_eq!(size_of(&checkpoint), found.sealed_size);
        assert_eq!(ledger.find_all(id(*n)).unwrap().len(), 1);
    }
    assert!(ledger.find(id(1 << 40), 1).unwrap().is_none());
}

#[test]
fn what_is_served_is_what_was_sealed_whether_snapshots_are_there_or_not() {
    let rig = Rig::new(1);
    let ledger = rig.open();
    let mut told = Acknowledged::default();
    let bodies = fill(&ledger, &rig, &mut told, 600);
    told.published(&ledger);
    let trust = rig.trust();
    let leaves = journal_leaves(&rig.disk, &rig.layout, &trust);
    assert_eq!(leaves.len(), 604);
    told.holds(&leaves, &trust);
    serves(&ledger, &leaves, 1);
    found(&ledger, &bodies);
    assert!(leaves[4..].iter().all(|leaf| matches!(Entry::parse(leaf), Ok(Entry::Intent(_)))));
    ledger.stop();
    drop(ledger);
    assert!(rig.files_in(&rig.layout.snapshots()).len() == 2, "two snapshots are kept");

    let (ledger, report) = rig.try_open().unwrap();
    assert!(report.from_snapshot > 0 && report.size == 604, "{report:?}");
    told.published(&ledger);
    serves(&ledger, &leaves, 13);
    found(&ledger, &bodies);
    drop(ledger);

    rig.remove_all(&rig.layout.snapshots());
    let (ledger, report) = rig.try_open().unwrap();
    assert_eq!((report.from_snapshot, report.size), (0, 604));
    told.published(&ledger);
    serves(&ledger, &leaves, 17);
    found(&ledger, &bodies);
    let agent = Agent { name: "a".to_owned(), index: 1, credential: credential(1) };
    told.leaf(&ledger, &sealed(submit(&ledger, &agent, &body("a", None, 1))));
    drop(ledger);
    let leaves = journal_leaves(&rig.disk, &rig.layout, &trust);
    told.holds(&leaves, &trust);
    assert_eq!(head_agrees(&rig.disk, &rig.layout, &leaves, &trust), 605);
}
