//! Promised here: whatever is asked of a ledger, in whatever order, across clean ends, kills and power cuts: every leaf
//! that was acknowledged is there with the same bytes at the same index, every receipt handed out verifies still, all
//! checkpoints ever handed out lie on one history, and every byte at rest is accounted for.
//!
//! The model is a list of leaves and a list of checkpoints. Roots are computed by the recursion of RFC 6962, section
//! 2.1, and not by the code under test.
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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foreseal::evidence::Receipt;
use foreseal::ledger::state::CredentialDigest;
use foreseal::ledger::{Accepted, Change, LedgerError, SealedLeaf};
use foreseal::record::entry::Entry;
use proptest::prelude::*;
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{Desk, Site, TestAgent, assert_verifies, assert_whole, checkpoint, id, intent, permit_all};

#[derive(Debug, Clone)]
enum Step {
    /// `agent`, `id` and `body` choose among few, so that they meet again.
    Submit {
        agent: usize,
        id: Option<u64>,
        body: u64,
    },
    /// Many at once.
    Burst {
        agent: usize,
        count: u64,
    },
    AddAgent,
    Rotate {
        agent: usize,
    },
    Revoke {
        agent: usize,
    },
    Policy {
        number: u32,
    },
    Clock {
        millis: i64,
    },
    StopAndOpen,
    /// The process is killed; the system keeps its cache.
    Kill,
    /// The power goes; what was not synced survives in part.
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let id = prop_oneof![Just(None), (0u64..4).prop_map(Some)];
    prop_oneof![
        12 => (0usize..3, id, 0u64..3).prop_map(|(agent, id, body)| Step::Submit { agent, id, body }),
        2 => (0usize..3, 2u64..40).prop_map(|(agent, count)| Step::Burst { agent, count }),
        1 => Just(Step::AddAgent),
        1 => (0usize..3).prop_map(|agent| Step::Rotate { agent }),
        1 => (0usize..3).prop_map(|agent| Step::Revoke { agent }),
        1 => (0u32..3).prop_map(|number| Step::Policy { number }),
        3 => prop_oneof![Just(5_000i64), Just(1), Just(-1_000), Just(-3_000)].prop_map(|millis| Step::Clock { millis }),
        1 => Just(Step::StopAndOpen),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ]
}

/// What a reader of the log could know, and no more.
#[derive(Default)]
struct Model {
    /// Acknowledged leaves by index. Between them lie only leaves of `refused` counts, which nobody waits for.
    leaves: BTreeMap<u64, Arc<[u8]>>,
    receipts: Vec<(Receipt, Arc<[u8]>)>,
    checkpoints: BTreeSet<Arc<str>>,
    /// Sealed ids, with the body that was first.
    ids: BTreeMap<(usize, u64), (u64, Value)>,
    agents: Vec<(TestAgent, bool)>,
    /// The latest time on any leaf.
    last_ms: i64,
}

struct Run {
    site: Site,
    desk: Option<Desk>,
    model: Model,
    numbers: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut site = Site::new(seed);
        site.options.snapshot_bytes = 60 << 10;
        site.init();
        let model = Model { last_ms: site.clock.millis(), ..Model::default() };
        let mut run = Self { site, desk: None, model, numbers: 0 };
        run.reopen();
        run.add_agent();
        run
    }

    fn desk(&self) -> &Desk {
        self.desk.as_ref().unwrap()
    }

    /// The clock stands before the last leaf by more than is tolerated.
    fn clock_is_behind(&self) -> bool {
        self.model.last_ms - self.site.clock.millis() > 2_000
    }

    fn acknowledged(&mut self, leaf: &SealedLeaf) {
        let known = self.model.leaves.insert(leaf.index, Arc::clone(&leaf.entry));
        assert!(known.is_none(), "leaf {} was given twice", leaf.index);
        assert!(leaf.index < leaf.size, "a receipt is under a checkpoint that covers it");
        let signed = checkpoint(&leaf.checkpoint);
        assert_eq!(signed.size, leaf.size);
        assert!(self.desk().ledger.published().size >= leaf.size, "answered before it was published");
        let receipt = self.desk().receipt(leaf);
        self.model.receipts.push((receipt, Arc::clone(&leaf.entry)));
        self.model.checkpoints.insert(Arc::clone(&leaf.checkpoint));
        let at = Entry::parse(&leaf.entry).unwrap().at().unwrap().as_millis();
        assert!(at >= self.model.last_ms, "time goes on in the log");
        self.model.last_ms = at;
    }

    /// An administrative change, unless the clock forbids it.
    fn change(&mut self, change: Change) -> Option<SealedLeaf> {
        match self.desk().administer(Some(0), change) {
            Ok(leaf) => {
                assert!(!self.clock_is_behind());
                self.acknowledged(&leaf);
                Some(leaf)
            }
            Err(LedgerError::ClockBehind(_)) => {
                assert!(self.clock_is_behind());
                None
            }
            Err(other) => panic!("{other}"),
        }
    }

    fn add_agent(&mut self) {
        let name = format!("agent-{}", self.model.agents.len());
        let credential = CredentialDigest::of(&name);
        let change = Change::RegisterAgent { name: name.clone(), roles: vec![], credential, key: None };
        if let Some(leaf) = self.change(change) {
            self.model.agents.push((TestAgent { name, index: leaf.index, credential }, true));
        }
    }

    fn submit(&mut self, which: usize, number: Option<u64>, body: u64) {
        let (agent, active) = self.model.agents[which].clone();
        let document = intent(&agent.name, number.map(id), body);
        let answer = self.desk().submit(&agent, &document);
        let known = number.and_then(|number| self.model.ids.get(&(which, number)).cloned());
        match answer {
            // What is sealed already is answered at any time, and not called unsealed.
            Err(LedgerError::ClockBehind(_)) => assert!(active && self.clock_is_behind() && known.is_none()),
            Err(LedgerError::NotRegistered) => assert!(!active),
            Err(other) => panic!("{other}"),
            Ok(_) if !active => panic!("it should have been refused"),
            Ok(Accepted::Known { index }) => {
                let (sealed, first) = known.expect("an id that was sealed before");
                assert_eq!(index, sealed);
                let found = self.desk().ledger.find(id(number.unwrap()), agent.index).unwrap().unwrap();
                assert_eq!(found.payload.declared, serde_json::to_vec(&first).unwrap());
            }
            Ok(Accepted::Sealed { leaf, .. }) => {
                assert!(known.is_none(), "an id was sealed twice");
                assert!(!self.clock_is_behind(), "it should have been refused");
                if let Some(number) = number {
                    self.model.ids.insert((which, number), (leaf.index, document));
                }
                self.acknowledged(&leaf);
            }
        }
    }

    fn burst(&mut self, which: usize, count: u64) {
        let (agent, active) = self.model.agents[which].clone();
        if !active || self.clock_is_behind() {
            return;
        }
        let documents: Vec<_> = (0..count).map(|n| intent(&agent.name, None, self.numbers + n)).collect();
        self.numbers += count;
        for leaf in self.desk().seal_all(&agent, &documents) {
            self.acknowledged(&leaf);
        }
    }

    fn step(&mut self, step: &Step) {
        let agents = self.model.agents.len();
        match step {
            Step::Submit { agent, id, body } => self.submit(agent % agents, *id, *body),
            Step::Burst { agent, count } => self.burst(agent % agents, *count),
            Step::AddAgent => self.add_agent(),
            Step::Rotate { agent } => {
                let (agent, active) = self.model.agents[agent % agents].clone();
                self.numbers += 1;
                let credential = CredentialDigest::of(&format!("{} {}", agent.name, self.numbers));
                let change = Change::RotateAgent { name: agent.name.clone(), credential, key: None };
                if active && self.change(change).is_some() {
                    let old = agent.credential;
                    let place = self.model.agents.iter_mut().find(|(a, _)| a.index == agent.index).unwrap();
                    place.0.credential = credential;
                    let stale = TestAgent { credential: old, ..agent };
                    let refused = self.desk().submit(&stale, &intent(&stale.name, None, 0));
                    assert!(matches!(refused, Err(LedgerError::NotRegistered)), "{refused:?}");
                }
            }
            Step::Revoke { agent } => {
                let which = agent % agents;
                // One is left, so that there is something to do.
                if which > 0 && self.model.agents[which].1 {
                    let name = self.model.agents[which].0.name.clone();
                    if self.change(Change::RevokeAgent { name }).is_some() {
                        self.model.agents[which].1 = false;
                    }
                }
            }
            Step::Policy { number } => match self.desk().activate(permit_all(*number)) {
                Ok(leaf) => self.acknowledged(&leaf),
                Err(LedgerError::ClockBehind(_)) => assert!(self.clock_is_behind()),
                Err(other) => panic!("{other}"),
            },
            Step::Clock { millis } => self.site.clock.step(*millis),
            Step::StopAndOpen => self.restart(&Step::StopAndOpen),
            other => self.restart(other),
        }
    }

    fn restart(&mut self, how: &Step) {
        let desk = self.desk.take().unwrap();
        match how {
            Step::Kill => {
                self.site.faulty = self.site.faulty.restart();
                drop(desk);
            }
            Step::PowerCut => {
                self.site.faulty.power_cut();
                drop(desk);
                self.site.faulty = self.site.faulty.restart();
            }
            _ => drop(desk),
        }
        self.reopen();
    }

    fn reopen(&mut self) {
        let (desk, report) = self.site.try_open().unwrap();
        let published = desk.ledger.published();
        assert_eq!(report.size, published.size);
        self.model.checkpoints.insert(Arc::clone(&published.checkpoint));
        for (index, bytes) in &self.model.leaves {
            assert_eq!(desk.ledger.entry(*index).unwrap().as_ref(), Some(bytes), "leaf {index}");
        }
        for ((which, number), (index, document)) in &self.model.ids {
            let agent = &self.model.agents[*which].0;
            let found = desk.ledger.find(id(*number), agent.index).unwrap().expect("it was acknowledged");
            assert_eq!(found.index, *index);
            assert_eq!(found.payload.declared, serde_json::to_vec(document).unwrap());
        }
        self.desk = Some(desk);
    }

    /// A clean end, and what must hold of all that was ever handed out.
    fn conclude(mut self) {
        let desk = self.desk.take().unwrap();
        let size = desk.ledger.published().size;
        let hashes: Vec<_> = (0..size).map(|i| leaf(&desk.ledger.entry(i).unwrap().unwrap())).collect();
        for note in &self.model.checkpoints {
            let signed = checkpoint(note);
            let size = signed.size as usize;
            assert_eq!(
                signed.root.0,
                tree(&hashes[..size]),
                "a checkpoint of size {size} of another history"
            );
            assert_eq!(desk.ledger.checkpoint_at(signed.size).unwrap(), *note);
        }
        for (receipt, entry) in self.model.receipts.iter().step_by(7) {
            assert_verifies(&self.site, receipt, entry);
        }
        drop(desk);
        assert_whole(&self.site, "at the end");
    }
}

fn leaf(bytes: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(bytes).finalize().into()
}

/// MTH of RFC 6962, section 2.1, over leaf hashes.
fn tree(hashes: &[[u8; 32]]) -> [u8; 32] {
    match hashes {
        [] => Sha256::digest([]).into(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            Sha256::new()
                .chain_update([1])
                .chain_update(tree(left))
                .chain_update(tree(right))
                .finalize()
                .into()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 60, ..ProptestConfig::default() })]
    #[test]
    fn nothing_acknowledged_is_lost_and_there_is_one_history(
        seed in any::<u64>(), steps in proptest::collection::vec(step(), 10..60),
    ) {
        let mut run = Run::new(seed);
        for step in &steps {
            run.step(step);
        }
        run.conclude();
    }
}

/// The cases that the random sequences may miss, one after another, twice.
#[test]
fn every_kind_of_step_in_a_row() {
    let mut run = Run::new(42);
    let submit = |agent, id, body| Step::Submit { agent, id, body };
    let steps = [
        Step::AddAgent,
        Step::Policy { number: 1 },
        submit(0, Some(1), 1),
        submit(0, Some(1), 1),
        submit(0, Some(1), 2),
        submit(1, Some(1), 1),
        Step::Burst { agent: 1, count: 300 },
        Step::Rotate { agent: 1 },
        submit(1, None, 4),
        Step::Clock { millis: -1_000 },
        submit(0, Some(2), 1),
        Step::Clock { millis: -3_000 },
        submit(0, Some(3), 1),
        Step::Kill,
        submit(0, Some(3), 1),
        Step::Clock { millis: 5_000 },
        submit(0, Some(3), 1),
        Step::PowerCut,
        Step::Revoke { agent: 1 },
        submit(1, None, 5),
        Step::StopAndOpen,
        Step::PowerCut,
        Step::Kill,
    ];
    for step in steps.iter().chain(&steps) {
        run.step(step);
    }
    run.conclude();
}
