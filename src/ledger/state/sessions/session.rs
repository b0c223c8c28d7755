//! One session.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rate::Rate;
use crate::policy::provenance::{FingerprintKey, Memory, Reading};
use crate::policy::{Plan, PlanState, PrincipalFacts, SessionFacts, Spent};
use crate::record::limits;
use crate::record::session::{DeclaredPlan, EndUser, SessionRecord};

/// Tool servers that a session is known to have heard from; one that heard from more heard from all.
const SERVERS_MAX: usize = 64;

/// A call by itself, under the key of the fold.
pub(in super::super) type CallPrint = [u8; 16];

/// What the log says of one session.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    /// Leaf index of its agent's registration.
    pub(super) agent: u64,
    /// Leaf index of its last entry.
    pub(super) last: u64,
    /// Under which number it stands among those that may be let go.
    pub(super) queued: u64,
    pub(super) rate: Rate,
    pub(super) calls: u64,
    pub(super) denials: u64,
    pub(super) labels: BTreeSet<String>,
    pub(super) memory: Option<Box<Memory>>,
    /// Fingerprints in it.
    pub(super) weight: u32,
    servers: BTreeSet<u64>,
    pub(super) opened: Option<Box<Opened>>,
}

/// What an application's opening adds to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Opened {
    /// Leaf index of the `session` entry.
    pub(super) leaf: u64,
    application: u64,
    principal: Option<(String, BTreeSet<String>)>,
    environment: Option<String>,
    delegation_depth: u32,
    pub(super) turns: u64,
    pub(super) plan: Option<AgreedPlan>,
    /// What its calls that may run spend, as declared.
    pub(super) spent: Spent,
    /// Calls that may run and whose outcome is not sealed, by leaf and number.
    awaited: BTreeMap<(u64, u32), Awaited>,
    /// More reads were awaited than are remembered: it stays incomplete.
    lost_reads: bool,
    /// The last calls, the newest last.
    pub(super) recent: VecDeque<CallPrint>,
}

/// A call that may run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Awaited {
    /// The step of the plan that it is.
    pub(super) step: Option<usize>,
    /// How it chose what it reads, by what was known when it was decided.
    pub(super) reading: Reading,
    /// Whether its output may matter to what comes after it.
    pub(super) reads: bool,
}

/// A plan, and how far the session got with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AgreedPlan {
    /// The document: a plan is read from it when it is needed.
    document: String,
    #[serde(skip)]
    parsed: OnceLock<Option<Plan>>,
    pub(super) state: PlanState,
}

impl PartialEq for AgreedPlan {
    fn eq(&self, other: &Self) -> bool {
        (&self.document, &self.state) == (&other.document, &other.state)
    }
}

impl AgreedPlan {
    fn of(plan: &DeclaredPlan) -> Self {
        let document = serde_json::to_string(plan).unwrap_or_default();
        Self { document, parsed: OnceLock::new(), state: PlanState::default() }
    }

    /// `None` where this software does not take it for one: then the session has no plan.
    pub(super) fn parsed(&self) -> Option<&Plan> {
        let parse = || Plan::parse(&serde_json::from_str::<Value>(&self.document).ok()?).ok();
        self.parsed.get_or_init(parse).as_ref()
    }
}

impl Session {
    pub(super) fn new(agent: u64, index: u64) -> Self {
        Self { agent, last: index, queued: index, ..Self::default() }
    }

    pub(super) fn application(&self) -> Option<u64> {
        self.opened.as_ref().map(|opened| opened.application)
    }

    pub(super) fn heard_from(&mut self, server: u64) {
        if self.servers.len() <= SERVERS_MAX {
            self.servers.insert(server);
        }
    }

    pub(super) fn has_heard_from(&self, server: u64) -> bool {
        self.servers.len() > SERVERS_MAX || self.servers.contains(&server)
    }

    pub(super) fn facts(&self) -> SessionFacts {
        let known = SessionFacts {
            labels: self.labels.clone(),
            calls: self.calls,
            denials: self.denials,
            ..SessionFacts::default()
        };
        let Some(opened) = &self.opened else { return known };
        let principal = opened.principal.clone();
        SessionFacts {
            opened: true,
            principal: principal.map(|(id, roles)| PrincipalFacts { id, roles }),
            environment: opened.environment.clone(),
            turns: opened.turns,
            incomplete: opened.lost_reads || opened.awaited.values().any(|awaited| awaited.reads),
            spent: opened.spent,
            delegation_depth: opened.delegation_depth,
            ..known
        }
    }
}

impl Opened {
    pub(super) fn of(leaf: u64, application: u64, record: &SessionRecord) -> Self {
        let principal = record.principal.clone();
        Self {
            leaf,
            application,
            principal: principal.map(|EndUser { id, roles }| (id, roles.into_iter().collect())),
            environment: record.environment.clone(),
            delegation_depth: record.delegation_depth.unwrap_or(0),
            turns: 1,
            plan: record.plan.as_ref().map(AgreedPlan::of),
            spent: Spent::default(),
            awaited: BTreeMap::new(),
            lost_reads: false,
            recent: VecDeque::new(),
        }
    }

    /// Takes a new plan; without one the plan before holds.
    pub(super) fn agree(&mut self, plan: Option<&DeclaredPlan>) {
        if let Some(plan) = plan {
            self.plan = Some(AgreedPlan::of(plan));
            // Steps of the plan before are none of this one.
            self.awaited.values_mut().for_each(|awaited| awaited.step = None);
        }
    }

    /// Notes a call that was decided.
    pub(super) fn note(&mut self, call: CallPrint) {
        if self.recent.len() >= limits::SESSION_CALLS_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(call);
    }

    pub(super) fn await_outcome(&mut self, call: (u64, u32), awaited: Awaited) {
        if self.awaited.len() >= limits::SESSION_CALLS_MAX
            && let Some((_, lost)) = self.awaited.pop_first()
        {
            self.lost_reads |= lost.reads;
        }
        self.awaited.insert(call, awaited);
    }

    /// An outcome came: of which call.
    pub(super) fn arrived(&mut self, call: (u64, u32)) -> Option<Awaited> {
        self.awaited.remove(&call)
    }

    /// What a step of the plan answered.
    pub(super) fn learn(&mut self, step: usize, key: &FingerprintKey, result: &Value) {
        if let Some(plan) = &mut self.plan
            && plan.parsed().is_some()
        {
            let AgreedPlan { parsed, state, .. } = plan;
            if let Some(Some(parsed)) = parsed.get() {
                state.output(parsed, step, key, result);
            }
        }
    }
}
