//! Sessions: what the log says of each, as far as decisions rest on it.
//!
//! A fold over entries and the documents behind them, deterministic in the log alone. It holds counts, labels and keyed
//! fingerprints, never text but the names that an application gave. Which sessions are open the chain says; a session that
//! lapsed, or whose application was revoked, is as good as a new one.

mod held;
mod rate;
mod session;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::held::Held;
use self::rate::Rate;
use self::session::{Awaited, Opened, Session};
use super::Sealed;
use super::fold_key::FoldKey;
use super::tools::ToolsOf;
use crate::policy::provenance::{Memory, OutputLabels, Reading};
use crate::policy::{Knowledge, PlanView, RateFacts, SessionFacts, Standing};
use crate::record::chain::Chain;
use crate::record::decision::Outcome;
use crate::record::entry::{
    Entry, IntentEntry, Label, Operation, OutcomeEntry, OutcomeStatus, SessionEntry, SessionTag, TurnEntry,
};
use crate::record::intent::{Call, Intent};
use crate::record::limits;
use crate::record::session::{EndUser, OutcomeRecord, SessionRecord, TurnRecord};
use crate::record::time::Timestamp;

/// Sessions, at most [`limits::SESSIONS_MAX`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sessions {
    held: Held,
    /// Those that no application opened, in the order in which they are let go: when each came in, or was seen busy.
    idle: VecDeque<(u64, SessionTag)>,
    agents: BTreeMap<u64, Rate>,
    /// Fingerprints in all memories: of sessions that nobody opened, and of open ones.
    fingerprints: [u64; 2],
}

/// What the fold is given beside the entry.
pub(super) struct Context<'a> {
    /// The links, this entry included.
    pub(super) chain: &'a Chain,
    pub(super) sealed: &'a Sealed<'a>,
    pub(super) tools: &'a ToolsOf<'a>,
    pub(super) key: &'a FoldKey,
    /// The entry's index.
    pub(super) index: u64,
}

/// What a decision is told of a session.
pub struct SessionView<'a> {
    /// Counts, labels, and what the application said.
    pub facts: SessionFacts,
    /// How much was asked lately, the present intent included.
    pub rate: RateFacts,
    session: Option<&'a Session>,
}

impl SessionView<'_> {
    /// What it has heard and read.
    #[must_use]
    pub fn knowledge<'a>(&'a self, key: &'a FoldKey) -> Option<Knowledge<'a>> {
        let memory = self.session?.memory.as_deref()?;
        Some(Knowledge { memory, key: key.fingerprints() })
    }

    /// The plan that it follows.
    #[must_use]
    pub fn plan(&self) -> Option<PlanView<'_>> {
        let plan = self.session?.opened.as_ref()?.plan.as_ref()?;
        let (standing, state) = (Standing::Application, &plan.state);
        Some(PlanView { standing, plan: plan.parsed()?, state })
    }

    /// How often each call was decided in this session before; 0 where no application opened it.
    #[must_use]
    pub fn repeats(&self, calls: &[Call], key: &FoldKey) -> Vec<u32> {
        let Some(opened) = self.session.and_then(|session| session.opened.as_ref()) else {
            return vec![0; calls.len()];
        };
        let prints: Vec<_> = calls.iter().map(|call| key.call(call)).collect();
        let earlier = |i: usize| prints.iter().take(i);
        let count = |(i, print)| {
            let before = opened.recent.iter().chain(earlier(i)).filter(|known| *known == print).count();
            u32::try_from(before).unwrap_or(u32::MAX)
        };
        prints.iter().enumerate().map(count).collect()
    }
}

impl Sessions {
    /// The session, unless it lapsed or was closed meanwhile.
    fn current(&self, tag: &SessionTag, chain: &Chain, at: Timestamp) -> Option<&Session> {
        let session = self.held.get(tag)?;
        match &session.opened {
            None => Some(session),
            Some(opened) => chain.session(tag, at).filter(|open| open.opened == opened.leaf).map(|_| session),
        }
    }

    /// Whether the fold reads the document of an intent: that of one in an open session, or with observations.
    pub(super) fn reads(chain: &Chain, intent: &IntentEntry) -> bool {
        intent.delta.is_some() || chain.session(&intent.session, intent.at).is_some()
    }

    /// What a decision at that time, about so many calls of an agent, is told of the session.
    #[must_use]
    pub fn view<'a>(
        &'a self,
        tag: &SessionTag,
        agent: u64,
        chain: &Chain,
        at: Timestamp,
        calls: usize,
    ) -> SessionView<'a> {
        let session = self.current(tag, chain, at);
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let lately = |rate: Option<&Rate>| rate.map_or(0, |rate| rate.lately(at)).saturating_add(calls);
        let rate = RateFacts {
            agent_minute: lately(self.agents.get(&agent)),
            session_minute: lately(session.map(|session| &session.rate)),
        };
        let facts = session.map_or_else(SessionFacts::default, Session::facts);
        SessionView { facts, rate, session }
    }

    /// Folds an entry that the chain has taken.
    pub(super) fn fold(&mut self, entry: &Entry, context: &Context<'_>) {
        match entry {
            Entry::Intent(intent) => self.intent(intent, context),
            Entry::Session(session) => self.open(session, context),
            Entry::Turn(turn) => self.turn(turn, context),
            Entry::Outcome(outcome) => self.outcome(outcome, context),
            Entry::Application(change) if change.operation == Operation::Revoke => {
                self.close(|session| session.application() == change.application);
            }
            Entry::Agent(change) if change.operation == Operation::Revoke => {
                self.close(|session| Some(session.agent) == change.agent);
                change.agent.map(|agent| self.agents.remove(&agent));
            }
            Entry::Tool(change) if change.operation == Operation::Revoke => {
                if let Some(server) = change.tool {
                    self.distrust(server);
                }
            }
            _ => {}
        }
    }

    fn intent(&mut self, intent: &IntentEntry, context: &Context<'_>) {
        let (at, calls) = (intent.at, u32::try_from(intent.calls.len()).unwrap_or(u32::MAX));
        self.agents.entry(intent.agent).or_default().add(at, calls);
        let Some(session) = self.enter(&intent.session, intent.agent, at, context) else { return };
        session.rate.add(at, calls);
        session.calls += u64::from(calls);
        session.denials += intent.calls.iter().filter(|call| call.outcome == Outcome::Deny).count() as u64;
        for Label::Untrusted in intent.delta.iter().flat_map(|delta| &delta.labels) {
            session.labels.insert(UNTRUSTED.to_owned());
        }
        if !Self::reads(context.chain, intent) {
            return;
        }
        let Some(decided) = context.sealed.decided() else { return };
        let observations = decided.intent.observations.iter().flatten();
        let contents: Vec<_> = observations.map(|observation| &observation.content).collect();
        self.remember(&intent.session, |memory| {
            contents.iter().for_each(|content| memory.claimed(context.key.fingerprints(), content));
        });
        self.asked(intent, &decided.intent, &decided.steps, context);
    }

    /// What was asked in an open session: for repetitions, awaited outcomes, and the plan.
    fn asked(
        &mut self,
        entry: &IntentEntry,
        intent: &Intent,
        steps: &[Option<usize>],
        context: &Context<'_>,
    ) {
        let Some(session) = self.held.get_mut(&entry.session) else { return };
        let Some(opened) = &mut session.opened else { return };
        for (number, call) in intent.calls.iter().enumerate() {
            opened.note(context.key.call(call));
            if !entry.may_run(number) {
                continue;
            }
            opened.spent = opened.spent.and(context.tools.spends(call));
            let step = steps.get(number).copied().flatten();
            if let (Some(step), Some(plan)) = (step, &mut opened.plan) {
                plan.state.ran(step);
            }
            let reading = context.tools.reading(session.memory.as_deref(), context.key.fingerprints(), call);
            let reads = context.tools.reads(&call.server, &call.tool);
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            opened.await_outcome((context.index, number), Awaited { step, reading, reads });
        }
    }

    fn open(&mut self, entry: &SessionEntry, context: &Context<'_>) {
        let Some(record) = context.sealed.record::<SessionRecord>() else { return };
        if self.enter(&entry.session, entry.agent, entry.at, context).is_none() {
            return;
        }
        // What an agent did in it before is not forgotten: it can only make decisions stricter.
        if let Some(session) = self.held.get_mut(&entry.session) {
            let weight = u64::from(session.weight);
            session.opened = Some(Box::new(Opened::of(context.index, entry.application, &record)));
            let [idle, open] = &mut self.fingerprints;
            *idle = idle.saturating_sub(weight);
            *open = open.saturating_add(weight);
        }
        if let Some(EndUser { id, .. }) = &record.principal {
            self.remember(&entry.session, |memory| memory.principal(context.key.fingerprints(), id));
        }
        self.said(&entry.session, &record.words, context);
    }

    fn turn(&mut self, entry: &TurnEntry, context: &Context<'_>) {
        let Some(record) = context.sealed.record::<TurnRecord>() else { return };
        let Some(session) = self.held.get_mut(&entry.session) else { return };
        session.last = context.index;
        let Some(opened) = &mut session.opened else { return };
        opened.turns += 1;
        opened.agree(record.plan.as_ref());
        self.said(&entry.session, &record.words, context);
    }

    fn said(&mut self, tag: &SessionTag, words: &[String], context: &Context<'_>) {
        self.remember(tag, |memory| {
            words.iter().for_each(|text| memory.user_words(context.key.fingerprints(), text));
        });
    }

    fn outcome(&mut self, entry: &OutcomeEntry, context: &Context<'_>) {
        let Some(record) = context.sealed.record::<OutcomeRecord>() else { return };
        let open = context.chain.session(&entry.session, entry.at);
        // Of a session that is not known any more nobody asks what it heard.
        let Some(agent) = open
            .map(|open| open.agent)
            .or_else(|| self.current(&entry.session, context.chain, entry.at).map(|session| session.agent))
        else {
            return;
        };
        let Some(server) = context.tools.server(entry.tool) else { return };
        let mut labels = context.tools.output(&server, &record.tool);
        if entry.status == OutcomeStatus::Error {
            // What a failure says is no record of anything.
            labels = OutputLabels { authoritative: Vec::new(), author: None, place: None, ..labels };
        }
        let Some(session) = self.enter(&entry.session, agent, entry.at, context) else { return };
        session.heard_from(entry.tool);
        if labels.untrusted {
            session.labels.insert(UNTRUSTED.to_owned());
        }
        if labels.sensitive {
            session.labels.insert(SENSITIVE.to_owned());
        }
        session.labels.extend(crate::policy::signals::of_call(&record.result, &[]).classes);
        let mut reading = Reading::default();
        if let Some(opened) = &mut session.opened
            && let Some(awaited) = opened.arrived((entry.intent, entry.call))
        {
            reading = awaited.reading;
            if let Some(step) = awaited.step.filter(|_| entry.status == OutcomeStatus::Ok) {
                opened.learn(step, context.key.fingerprints(), &record.result);
            }
        }
        self.remember(&entry.session, |memory| {
            memory.output(context.key.fingerprints(), &labels, reading, &record.result);
        });
    }

    /// Lets a session's memory take something, within what all of them may hold.
    fn remember(&mut self, tag: &SessionTag, take: impl FnOnce(&mut Memory)) {
        let Some(session) = self.held.get_mut(tag) else { return };
        let [idle, open] = &mut self.fingerprints;
        let (held, max) = match session.opened {
            Some(_) => (open, FINGERPRINTS_OPEN_MAX),
            None => (idle, FINGERPRINTS_IDLE_MAX),
        };
        let memory = session.memory.get_or_insert_default();
        if *held < max {
            take(memory);
        } else {
            memory.overflow();
        }
        let weight = u32::try_from(memory.fingerprints()).unwrap_or(u32::MAX);
        *held = held.saturating_sub(u64::from(session.weight)).saturating_add(u64::from(weight));
        session.weight = weight;
    }

    /// The session of an entry, made if it is not known or not current; `None` where there is no room for it.
    fn enter(
        &mut self,
        tag: &SessionTag,
        agent: u64,
        at: Timestamp,
        context: &Context<'_>,
    ) -> Option<&mut Session> {
        if self.current(tag, context.chain, at).is_none() {
            self.forget(tag);
            if !self.make_room(context.chain, at) {
                return None;
            }
            self.idle.push_back((context.index, *tag));
            self.held.insert(*tag, Session::new(agent, context.index));
        }
        let session = self.held.get_mut(tag)?;
        session.last = context.index;
        Some(session)
    }

    fn forget(&mut self, tag: &SessionTag) {
        if let Some(session) = self.held.remove(tag) {
            let held = match session.opened {
                Some(_) => &mut self.fingerprints[1],
                None => &mut self.fingerprints[0],
            };
            *held = held.saturating_sub(u64::from(session.weight));
        }
    }

    /// Makes room for one more: lets go of the longest idle that nobody opened, then of those that lapsed.
    fn make_room(&mut self, chain: &Chain, at: Timestamp) -> bool {
        if self.held.len() < limits::SESSIONS_MAX {
            return true;
        }
        while let Some((queued, tag)) = self.idle.pop_front() {
            let Some(session) = self.held.get(&tag) else { continue };
            if session.opened.is_some() || session.queued != queued {
                continue;
            }
            let last = session.last;
            if last == queued {
                self.forget(&tag);
                return true;
            }
            // It was busy since: it comes again behind the others.
            if let Some(session) = self.held.get_mut(&tag) {
                session.queued = last;
            }
            self.idle.push_back((last, tag));
        }
        let lapsed: Vec<SessionTag> = self
            .held
            .iter()
            .filter(|(tag, _)| self.current(tag, chain, at).is_none())
            .map(|(tag, _)| *tag)
            .collect();
        lapsed.iter().for_each(|tag| self.forget(tag));
        self.held.len() < limits::SESSIONS_MAX
    }

    fn close(&mut self, which: impl Fn(&Session) -> bool) {
        let closed: Vec<SessionTag> =
            self.held.iter().filter(|(_, session)| which(session)).map(|(tag, _)| *tag).collect();
        closed.iter().for_each(|tag| self.forget(tag));
    }

    /// A tool server's word ends: what sessions heard from it may have been false, so they ground nothing more.
    fn distrust(&mut self, server: u64) {
        let heard: Vec<SessionTag> = self
            .held
            .iter()
            .filter(|(_, session)| session.has_heard_from(server))
            .map(|(tag, _)| *tag)
            .collect();
        for tag in heard {
            self.remember(&tag, Memory::distrust_records);
        }
    }

    /// Whether so many sessions of which not all is known could change what others are told: by being let go or not, or
    /// by what all memories may hold together.
    pub(in crate::ledger) fn may_be_crowded_by(&self, unknown: usize) -> bool {
        let unknown_fingerprints = MEMORY_MOST.saturating_mul(unknown as u64);
        let crowded = |held: u64, max: u64| held.saturating_add(unknown_fingerprints) >= max;
        let [idle, open] = self.fingerprints;
        self.held.len().saturating_add(unknown) >= limits::SESSIONS_MAX
            || crowded(idle, FINGERPRINTS_IDLE_MAX)
            || crowded(open, FINGERPRINTS_OPEN_MAX)
    }

    /// Sessions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.len() == 0
    }
}

const UNTRUSTED: &str = "untrusted";
const SENSITIVE: &str = "sensitive";
/// Fingerprints in the memories of all open sessions; beyond it they learn nothing more.
const FINGERPRINTS_OPEN_MAX: u64 = 2_000_000;
/// The same of sessions that nobody opened.
const FINGERPRINTS_IDLE_MAX: u64 = 500_000;
/// More than one memory can hold, by its own limits.
const MEMORY_MOST: u64 = 1 << 17;

/// In a snapshot the sessions are one string of bytes: a build that cannot decide passes over it.
pub(super) mod as_bytes {
    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Sessions;
    use crate::policy::{FACTS_VERSION, signals};

    /// What is remembered is what these versions saw. Others would have seen something else, and an auditor folds the
    /// whole log by one version: so does a service that was changed.
    const FORM: [u32; 2] = [FACTS_VERSION, signals::VERSION];

    pub(in super::super) fn serialize<S: Serializer>(
        sessions: &Sessions,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        postcard::to_stdvec(&(FORM, sessions)).map_err(S::Error::custom)?.serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Sessions, D::Error> {
        let bytes = Vec::<u8>::deserialize(deserializer)?;
        let (form, rest) = postcard::take_from_bytes::<[u32; 2]>(&bytes).map_err(D::Error::custom)?;
        if FORM != form {
            return Err(D::Error::custom("other detectors saw what is in it"));
        }
        postcard::from_bytes(rest).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
