//! Promised here: what was acknowledged is there after a restart, found by its id, with a receipt that verifies under the
//! trust policy that `init` wrote; whether the restart went by a snapshot or replayed everything.
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

use foreseal::evidence::Verdict;
use foreseal::ledger::{Accepted, LedgerError, SealedLeaf};
use support::{Desk, Site, TestAgent, id, intent, permit_all, verified};

const MANY: u64 = 600;

fn populated(site: &Site) -> (Desk, TestAgent, Vec<SealedLeaf>) {
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    desk.activate(permit_all(0)).unwrap();
    let documents: Vec<_> = (0..MANY).map(|n| intent("mailer", Some(id(n)), n)).collect();
    let leaves = desk.seal_all(&agent, &documents);
    (desk, agent, leaves)
}

fn check_all(site: &Site, desk: &Desk, agent: &TestAgent, leaves: &[SealedLeaf]) {
    let trust = site.trust();
    for (n, leaf) in (0u64..).zip(leaves) {
        assert_eq!(leaf.index, n + 3, "operator, agent, policy, then the intents");
        assert_eq!(desk.ledger.entry(leaf.index).unwrap().as_ref(), Some(&leaf.entry));
        if n.is_multiple_of(37) {
            let report = verified(&desk.receipt(leaf), &leaf.entry, &trust);
            assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
            let found = desk.ledger.find(id(n), agent.index).unwrap().expect("it is indexed");
            assert_eq!((found.index, &found.bytes), (leaf.index, &leaf.entry));
            let declared = serde_json::to_vec(&intent("mailer", Some(id(n)), n)).unwrap();
            assert_eq!(found.payload.declared, declared);
            assert_eq!(found.sealed_size, leaf.size);
            assert_eq!(desk.ledger.checkpoint_at(found.sealed_size).unwrap(), leaf.checkpoint);
        }
    }
    assert!(desk.ledger.find(id(MANY), agent.index).unwrap().is_none());
    assert!(desk.ledger.find(id(0), agent.index + 1).unwrap().is_none());
}

#[test]
fn what_was_sealed_is_found_and_proven_after_a_restart() {
    let site = Site::new(1);
    let (desk, agent, leaves) = populated(&site);
    check_all(&site, &desk, &agent, &leaves);
    let published = desk.ledger.published();
    desk.ledger.stop();
    drop(desk);
    let (desk, report) = site.try_open().unwrap();
    assert_eq!((report.size, report.from_snapshot, report.indexed), (MANY + 3, 0, 0));
    let again = desk.ledger.published();
    assert_eq!((&again.checkpoint, again.last_at), (&published.checkpoint, published.last_at));
    assert_eq!(again.registry, published.registry);
    check_all(&site, &desk, &agent, &leaves);
    assert_eq!(desk.ledger.poisoned(), None);
}

#[test]
fn a_restart_goes_on_from_a_snapshot() {
    let mut site = Site::new(2);
    site.options.snapshot_bytes = 256 << 10;
    let (desk, agent, leaves) = populated(&site);
    drop(desk);
    let (desk, report) = site.try_open().unwrap();
    assert!(report.from_snapshot > 0, "a snapshot was used");
    assert_eq!(report.size, MANY + 3);
    check_all(&site, &desk, &agent, &leaves);
    // The fold went on: the agent's next intent is linked to its last.
    let leaf = desk.seal(&agent, &intent("mailer", None, MANY));
    assert_eq!(leaf.index, MANY + 3);
}

#[test]
fn an_id_is_sealed_once_and_credentials_are_looked_at_when_it_is_their_turn() {
    let site = Site::new(3);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    let other = desk.add_agent("reader");
    let first = desk.seal(&agent, &intent("mailer", Some(id(1)), 1));
    let again = desk.submit(&agent, &intent("mailer", Some(id(1)), 1)).unwrap();
    assert!(matches!(again, Accepted::Known { index } if index == first.index));
    let of_other = desk.seal(&other, &intent("reader", Some(id(1)), 1));
    assert_eq!(desk.ledger.find_all(id(1)).unwrap().len(), 2);
    assert_ne!(of_other.index, first.index);
    let stranger = TestAgent { index: 99, ..agent.clone() };
    let refused = desk.submit(&stranger, &intent("mailer", Some(id(2)), 2));
    assert!(matches!(refused, Err(LedgerError::NotRegistered)), "{refused:?}");
    assert!(matches!(desk.try_add_agent("mailer"), Err(LedgerError::NameTaken { .. })));
}
