//! What only the fold by itself reaches: as many sessions as are held, and more.
#![cfg(test)]

use super::super::{FoldKey, Sealed, State};
use super::*;
use crate::merkle::Hash;
use crate::record::entry::{
    AgentEntry, AgentKind, ApplicationEntry, ApplicationKind, ENTRY_VERSION, IntentKind, OperatorEntry,
    OperatorKind, SealedCall, SessionKind,
};
use crate::record::field_tree::Commitment;
use uuid::Uuid;

const DECLARED: Commitment = Commitment { root: Hash([1; 32]), log2: 1 };

/// A log with one agent (leaf 1) and one application (leaf 2), folded as it grows.
struct Log {
    state: State,
    key: FoldKey,
    now: Timestamp,
    intents: u64,
    last: Option<u64>,
}

fn tag(number: u64) -> SessionTag {
    let mut tag = [0; 16];
    let (spread, rest) = tag.split_at_mut(8);
    spread.copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes());
    rest.copy_from_slice(&number.to_be_bytes());
    SessionTag(tag)
}

impl Log {
    fn new() -> Self {
        let now = Timestamp::from_millis(1_800_000_000_000).unwrap();
        let mut log =
            Self { state: State::default(), key: FoldKey::new(&[3; 32]), now, intents: 0, last: None };
        let (v, id, operation) = (ENTRY_VERSION, Uuid::nil(), Operation::Register);
        let credential = "00".repeat(32);
        let operator =
            OperatorEntry { v, kind: OperatorKind::It, id, at: now, operation, declared: DECLARED };
        log.apply(&Entry::Operator(operator), &format!(r#"{{"operator":"o","credential":"{credential}"}}"#));
        let agent = AgentEntry {
            v,
            kind: AgentKind::It,
            id,
            at: now,
            operation,
            agent: None,
            by: 0,
            declared: Some(DECLARED),
            key: None,
        };
        let record = format!(r#"{{"agent":"a","roles":[],"credential":"{}"}}"#, "11".repeat(32));
        log.apply(&Entry::Agent(agent), &record);
        let application = ApplicationEntry {
            v,
            kind: ApplicationKind::It,
            id,
            at: now,
            operation,
            application: None,
            by: 0,
            declared: Some(DECLARED),
        };
        let record = format!(r#"{{"application":"p","credential":"{}"}}"#, "22".repeat(32));
        log.apply(&Entry::Application(application), &record);
        log
    }

    fn apply(&mut self, entry: &Entry, record: &str) {
        self.state.apply(entry, &Sealed::Declared(record.as_bytes()), &self.key).unwrap();
    }

    fn pass(&mut self, milliseconds: i64) {
        self.now = self.now.checked_add_millis(milliseconds).unwrap();
    }

    fn ask(&mut self, session: u64) {
        let index = self.state.chain.size();
        let calls = vec![SealedCall { outcome: Outcome::Deny, digest: Hash([2; 32]) }];
        let intent = IntentEntry {
            v: ENTRY_VERSION,
            kind: IntentKind::It,
            id: Uuid::nil(),
            at: self.now,
            agent: 1,
            atomic: true,
            session: tag(session),
            seq: self.intents,
            prev: self.last,
            declared: DECLARED,
            delta: None,
            evaluation: DECLARED,
            signer: None,
            outcome: Outcome::Deny,
            expires: None,
            calls,
            policy: None,
            engine: 1,
        };
        self.state.apply(&Entry::Intent(intent), &Sealed::Nothing, &self.key).unwrap();
        (self.intents, self.last) = (self.intents + 1, Some(index));
    }

    fn open(&mut self, session: u64) -> Result<(), super::super::StateError> {
        let (v, id, at, declared) = (ENTRY_VERSION, Uuid::nil(), self.now, DECLARED);
        let (agent, application, session) = (1, 2, tag(session));
        let entry = SessionEntry { v, kind: SessionKind::It, id, at, agent, application, session, declared };
        let record = br#"{"agent":"a","session":"s","words":["to bob@example.com"]}"#;
        self.state.apply(&Entry::Session(entry), &Sealed::Declared(record), &self.key)
    }

    fn calls(&self, session: u64) -> (bool, u64) {
        let view = self.state.sessions.view(&tag(session), 1, &self.state.chain, self.now, 1);
        (view.facts.opened, view.facts.calls)
    }

    fn held(&self) -> usize {
        self.state.sessions.len()
    }
}

#[test]
fn the_longest_idle_of_those_that_nobody_opened_is_let_go_and_is_as_good_as_new() {
    let max = limits::SESSIONS_MAX as u64;
    let mut log = Log::new();
    log.open(0).unwrap();
    for session in 0..max {
        log.ask(session);
    }
    log.ask(1);
    assert_eq!((log.held(), log.calls(0), log.calls(1)), (limits::SESSIONS_MAX, (true, 1), (false, 2)));
    // The first was opened, the second was busy since: the third goes, and so on.
    for session in max..max + 10 {
        log.ask(session);
    }
    assert_eq!(log.held(), limits::SESSIONS_MAX);
    assert_eq!((log.calls(0), log.calls(1)), ((true, 1), (false, 2)));
    for session in 2..12 {
        assert_eq!(log.calls(session), (false, 0), "{session}");
    }
    assert_eq!((log.calls(12), log.calls(max)), ((false, 1), (false, 1)));
    log.ask(5);
    assert_eq!(log.calls(5), (false, 1), "it begins anew");
    // What is written to a snapshot and read from it is the same, and goes on alike.
    let bytes = postcard::to_stdvec(&log.state).unwrap();
    let mut again = Log { state: postcard::from_bytes(&bytes).unwrap(), key: log.key.clone(), ..log };
    let mut stayed = Log { state: again.state.clone(), key: again.key.clone(), ..again };
    for session in max + 10..max + 20 {
        again.ask(session);
        stayed.ask(session);
    }
    assert!(again.state == stayed.state);
    assert_eq!(postcard::to_stdvec(&again.state).unwrap(), postcard::to_stdvec(&stayed.state).unwrap());
}

#[test]
fn where_all_are_open_and_young_another_is_refused_and_an_intent_leaves_nothing_behind() {
    let max = limits::SESSIONS_MAX as u64;
    let mut log = Log::new();
    for session in 0..max {
        log.open(session).unwrap();
    }
    assert!(log.open(max).is_err());
    log.ask(max);
    assert_eq!((log.held(), log.calls(max)), (limits::SESSIONS_MAX, (false, 0)));
    log.pass(limits::SESSION_IDLE_MAX_MS);
    log.ask(7);
    log.pass(1);
    // All but one have lapsed.
    assert_eq!((log.calls(6), log.calls(7)), ((false, 0), (true, 1)));
    log.open(max).unwrap();
    assert_eq!((log.held(), log.calls(max), log.calls(7)), (2, (true, 0), (true, 1)));
}

#[test]
fn memories_of_all_sessions_together_are_bounded_and_what_is_let_go_gives_room() {
    let mut log = Log::new();
    log.open(1).unwrap();
    let weight = |log: &Log| log.state.sessions.fingerprints;
    let [idle, open] = weight(&log);
    assert!(idle == 0 && open > 0);
    log.state.sessions.fingerprints = [0, FINGERPRINTS_OPEN_MAX];
    log.open(2).unwrap();
    let memory = |session| log.state.sessions.held.get(&tag(session)).unwrap().memory.clone().unwrap();
    assert!(memory(2).is_full() && memory(2).fingerprints() == 0, "it learns nothing");
    assert!(!memory(1).is_full());
    log.state.sessions.fingerprints = [0, open];
    log.pass(limits::SESSION_IDLE_MAX_MS + 1);
    log.ask(1);
    assert_eq!(weight(&log), [0, 0], "it lapsed, and what it weighed with it");
}
