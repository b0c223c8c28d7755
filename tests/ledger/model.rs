//! Random histories against a model that is a list of leaves: what was acknowledged is there after every stop and
//! every kill, in its place, and refusals seal nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use foreseal::ledger::{Accepted, Change, Ledger, LedgerError};
use foreseal::record::entry::Entry;
use proptest::prelude::*;

use crate::harness::*;

#[derive(Debug, Clone)]
enum Step {
    /// `id`: one of a few, so that they repeat; `text`: one of two bodies.
    Submit {
        agent: usize,
        id: Option<u64>,
        text: u64,
    },
    /// The same id from two agents.
    Both {
        id: u64,
    },
    /// Many at once, without waiting in between.
    Burst {
        agent: usize,
        count: u64,
        then: After,
    },
    Add,
    Rotate(usize),
    Revoke(usize),
    /// With a credential that has ended.
    Outdated(usize),
    Policy(u64),
    Clock(i64),
    Reopen,
    Kill,
    PowerCut,
}

/// What happens to a burst that nobody has waited for yet.
#[derive(Debug, Clone, Copy)]
enum After {
    Wait,
    Stop,
    Kill,
    PowerCut,
}

fn step() -> impl Strategy<Value = Step> {
    let agent = 0usize..4;
    let after = prop_oneof![
        2 => Just(After::Wait), 1 => Just(After::Stop), 1 => Just(After::Kill), 2 => Just(After::PowerCut)
    ];
    let clock = prop_oneof![1i64..5_000, Just(-1_000), Just(-3_000), Just(90_000_000)];
    prop_oneof![
        6 => (agent.clone(), prop::option::weighted(0.7, 0u64..6), 0u64..2)
            .prop_map(|(agent, id, text)| Step::Submit { agent, id, text }),
        1 => (0u64..6).prop_map(|id| Step::Both { id }),
        2 => (agent.clone(), 1u64..12, after).prop_map(|(agent, count, then)| Step::Burst { agent, count, then }),
        1 => Just(Step::Add),
        1 => agent.clone().prop_map(Step::Rotate),
        1 => agent.clone().prop_map(Step::Revoke),
        1 => agent.prop_map(Step::Outdated),
        1 => (0u64..3).prop_map(Step::Policy),
        3 => clock.prop_map(Step::Clock),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
    ]
}

struct Known {
    agent: Agent,
    outdated: Option<Agent>,
    revoked: bool,
}

struct Model {
    rig: Rig,
    ledger: Option<Ledger>,
    told: Acknowledged,
    agents: Vec<Known>,
    /// Bodies of the intents that are sealed, by id and agent.
    sealed: BTreeMap<(uuid::Uuid, u64), (u64, Vec<u8>)>,
    /// Bodies of intents that may have been sealed.
    doubtful: BTreeMap<(uuid::Uuid, u64), Vec<u8>>,
    size: u64,
    last_at: i64,
    count: u64,
}

impl Model {
    fn new() -> Self {
        let rig = Rig::bare(initialised());
        let ledger = Some(rig.open());
        let mut model = Self {
            rig,
            ledger,
            told: Acknowledged::default(),
            agents: Vec::new(),
            sealed: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            size: 1,
            last_at: START,
            count: 0,
        };
        model.add();
        model.add();
        model
    }

    fn ledger(&self) -> &Ledger {
        self.ledger.as_ref().unwrap()
    }

    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn behind(&self) -> bool {
        self.last_at - self.rig.clock.millis() > 2_000
    }

    /// A leaf was sealed: it must be the next.
    fn took(&mut self, leaf: &foreseal::ledger::SealedLeaf) {
        assert_eq!((leaf.index, leaf.size), (self.size, self.size + 1));
        self.size += 1;
        self.last_at = self.last_at.max(self.rig.clock.millis());
        let at = Entry::parse(&leaf.entry).unwrap().at().unwrap();
        assert_eq!(at.as_millis(), self.last_at);
        let ledger = self.ledger.as_ref().unwrap();
        self.told.leaf(ledger, leaf);
        assert_eq!(ledger.published().size, self.size);
    }

    fn refused(&self, error: &LedgerError) -> bool {
        assert_eq!(self.ledger().published().size, self.size, "a refusal sealed something: {error}");
        matches!(error, LedgerError::ClockBehind(_)) == self.behind()
    }

    fn change(&mut self, change: Change) -> Option<u64> {
        match administer(self.ledger(), change) {
            Ok(leaf) => {
                assert!(!self.behind());
                self.took(&leaf);
                Some(leaf.index)
            }
            Err(error) => {
                assert!(self.refused(&error), "{error}");
                None
            }
        }
    }

    fn add(&mut self) {
        let n = self.next();
        let name = format!("agent-{}", self.agents.len());
        let change = Change::RegisterAgent {
            name: name.clone(),
            roles: Vec::new(),
            credential: credential(n),
            key: None,
        };
        if let Some(index) = self.change(change) {
            let agent = Agent { name: name.clone(), index, credential: credential(n) };
            self.agents.push(Known { agent, outdated: None, revoked: false });
            let again =
                Change::RegisterAgent { name, roles: Vec::new(), credential: credential(0), key: None };
            let taken = administer(self.ledger(), again).unwrap_err();
            assert!(matches!(taken, LedgerError::NameTaken { .. }), "{taken}");
        }
    }

    fn rotate(&mut self, at: usize) {
        let n = self.next();
        let name = self.agents[at].agent.name.clone();
        let change = Change::RotateAgent { name, credential: credential(n), key: None };
        let done = self.change(change).is_some();
        let known = &mut self.agents[at];
        assert!(!(done && known.revoked), "a revoked agent was rotated");
        if done {
            known.outdated = Some(known.agent.clone());
            known.agent.credential = credential(n);
        }
    }

    fn revoke(&mut self, at: usize) {
        let name = self.agents[at].agent.name.clone();
        let done = self.change(Change::RevokeAgent { name }).is_some();
        let known = &mut self.agents[at];
        assert!(!(done && known.revoked), "revoked twice");
        known.revoked |= done;
    }

    fn submit(&mut self, agent: &Agent, active: bool, id: Option<uuid::Uuid>, text: u64) {
        let body = body(&agent.name, id, text);
        let before = id.and_then(|id| self.sealed.get(&(id, agent.index))).cloned();
        match submit(self.ledger(), agent, &body) {
            Ok(Accepted::Sealed { leaf, id: given, .. }) => {
                assert!(active && !self.behind() && before.is_none());
                assert!(id.is_none_or(|id| id == given));
                self.took(&leaf);
                self.sealed.insert((given, agent.index), (leaf.index, body));
            }
            // What is sealed already is answered whatever the clock says.
            Ok(Accepted::Known { index }) => {
                assert!(active);
                let (sealed, first) = before.unwrap();
                assert_eq!(index, sealed);
                let found = self.ledger().find(id.unwrap(), agent.index).unwrap().unwrap();
                assert_eq!(found.payload.declared, first);
                assert_eq!(found.payload.declared == body, first == body);
            }
            Err(error) => {
                assert_eq!(self.ledger().published().size, self.size, "a refusal sealed something: {error}");
                match error {
                    LedgerError::NotRegistered => assert!(!active),
                    LedgerError::ClockBehind(_) => assert!(active && self.behind() && before.is_none()),
                    other => panic!("{other}"),
                }
            }
        }
    }

    fn burst(&mut self, at: usize, count: u64, then: After) {
        let agent = self.agents[at].agent.clone();
        let expected = !self.agents[at].revoked && !self.behind();
        let mut waiting = Vec::new();
        for _ in 0..count {
            let id = id(1_000 + self.next());
            let body = body(&agent.name, Some(id), 0);
            waiting.push((id, body.clone(), submit_later(self.ledger(), &agent, &body)));
            self.doubtful.insert((id, agent.index), body);
        }
        match then {
            After::Wait => {}
            After::Stop => self.ledger().stop(),
            After::Kill => self.rig.restart(),
            After::PowerCut => {
                self.rig.disk.power_cut();
                self.rig.restart();
            }
        }
        let surely = matches!(then, After::Wait | After::Stop);
        for (id, body, answer) in waiting {
            match wait(&answer) {
                Ok(Accepted::Sealed { leaf, .. }) => {
                    assert!(expected);
                    self.told.noted(&leaf);
                    self.sealed.insert((id, agent.index), (leaf.index, body));
                }
                Ok(known) => panic!("{known:?}"),
                Err(error) if surely => assert!(!expected, "{error}"),
                Err(_) => {}
            }
        }
        match then {
            After::Wait => self.learn(),
            _ => self.reopen(),
        }
    }

    fn restart(&mut self, power_cut: bool) {
        if power_cut {
            self.rig.disk.power_cut();
        }
        self.rig.restart();
        self.reopen();
    }

    /// Ends what runs, opens what is there, and holds it against the model.
    fn reopen(&mut self) {
        drop(self.ledger.take());
        self.ledger = Some(self.rig.open());
        self.learn();
        let trust = self.rig.trust();
        let ledger = self.ledger.as_ref().unwrap();
        self.told.published(ledger);
        let leaves = journal_leaves(&self.rig.disk, &self.rig.layout, &trust);
        assert_eq!(leaves.len() as u64, self.size);
        self.told.holds(&leaves, &trust);
        assert!(head_agrees(&self.rig.disk, &self.rig.layout, &leaves, &trust) <= self.size);
        serves(ledger, &leaves, 60);
        for ((id, agent), (index, body)) in &self.sealed {
            let found = ledger.find(*id, *agent).unwrap().unwrap_or_else(|| panic!("leaf {index} is lost"));
            assert_eq!((found.index, &found.payload.declared), (*index, body));
        }
        for (id, agent) in self.doubtful.keys().filter(|key| !self.sealed.contains_key(*key)) {
            assert!(ledger.find(*id, *agent).unwrap().is_none());
        }
    }

    /// What was not acknowledged is there wholly or not at all.
    fn learn(&mut self) {
        let ledger = self.ledger.as_ref().unwrap();
        let size = ledger.published().size;
        assert!(size >= self.size, "{size} leaves, {} were acknowledged", self.size);
        for index in self.size..size {
            let bytes = ledger.entry(index).unwrap().unwrap();
            let Entry::Intent(entry) = Entry::parse(&bytes).unwrap() else { panic!("leaf {index}") };
            self.last_at = entry.at.as_millis();
            let key = (entry.id, entry.agent);
            let body = self.doubtful.get(&key).unwrap_or_else(|| panic!("nobody asked for leaf {index}"));
            self.sealed.insert(key, (index, body.clone()));
            self.told.leaves.insert(index, Arc::clone(&bytes));
        }
        self.size = size;
    }

    fn run(&mut self, step: &Step) {
        let agents = self.agents.len();
        match *step {
            Step::Submit { agent, id: number, text } => {
                let known = &self.agents[agent % agents];
                let (agent, active) = (known.agent.clone(), !known.revoked);
                self.submit(&agent, active, number.map(id), text);
            }
            Step::Both { id: number } => {
                for at in 0..2 {
                    let (agent, active) = (self.agents[at].agent.clone(), !self.agents[at].revoked);
                    self.submit(&agent, active, Some(id(number)), 0);
                }
            }
            Step::Burst { agent, count, then } => self.burst(agent % agents, count, then),
            Step::Add => self.add(),
            Step::Rotate(agent) => self.rotate(agent % agents),
            Step::Revoke(agent) => self.revoke(agent % agents),
            Step::Outdated(agent) => {
                if let Some(agent) = self.agents[agent % agents].outdated.clone() {
                    self.submit(&agent, false, None, 0);
                }
            }
            Step::Policy(n) => drop(self.change(permit_all(n))),
            Step::Clock(millis) => self.rig.clock.step(millis),
            Step::Reopen => {
                self.ledger().stop();
                self.reopen();
            }
            Step::Kill => self.restart(false),
            Step::PowerCut => self.restart(true),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_what_was_acknowledged_is_there(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new();
        for step in &steps {
            model.run(step);
        }
        model.restart(true);
    }
}
