//! Every type of entry is written in one way and read from that alone; the links between entries break loudly.
#![cfg(test)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::merkle::Hash;
use crate::record::canonical::to_jcs;
use crate::record::chain::{Chain, LinkError};
use crate::record::decision::Outcome;

fn commitment(byte: u8) -> Commitment {
    Commitment { root: Hash([byte; 32]), log2: byte % 14 }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis).expect("in range")
}

fn operator(millis: i64) -> Entry {
    Entry::Operator(OperatorEntry {
        v: ENTRY_VERSION,
        kind: OperatorKind::It,
        id: Uuid::from_u128(1),
        at: at(millis),
        operation: Operation::Register,
        declared: commitment(1),
    })
}

fn agent(millis: i64, operation: Operation, agent: Option<u64>, key: Option<Hash>) -> Entry {
    Entry::Agent(AgentEntry {
        v: ENTRY_VERSION,
        kind: AgentKind::It,
        id: Uuid::from_u128(2),
        at: at(millis),
        operation,
        agent,
        by: 0,
        declared: (operation != Operation::Revoke).then(|| commitment(2)),
        key,
    })
}

fn policy(millis: i64, by: u64) -> Entry {
    Entry::Policy(PolicyEntry {
        v: ENTRY_VERSION,
        kind: PolicyKind::It,
        id: Uuid::from_u128(3),
        at: at(millis),
        by,
        mode: PolicyMode::Enforce,
        rules: 3,
        declared: commitment(3),
    })
}

fn intent() -> IntentEntry {
    IntentEntry {
        v: ENTRY_VERSION,
        kind: IntentKind::It,
        id: Uuid::from_u128(4),
        at: at(10),
        agent: 1,
        atomic: true,
        session: SessionTag([9; 16]),
        seq: 0,
        prev: None,
        declared: commitment(4),
        delta: None,
        evaluation: commitment(5),
        signer: None,
        outcome: Outcome::Allow,
        expires: None,
        calls: vec![SealedCall { outcome: Outcome::Allow, digest: Hash([6; 32]) }],
        policy: None,
        engine: 1,
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    use Outcome::{Allow, Defer, Deny, Hold, Modify};
    prop_oneof![Just(Deny), Just(Defer), Just(Hold), Just(Modify), Just(Allow)]
}

prop_compose! {
    fn any_intent()(
        id in any::<u128>(), millis in 0i64..1 << 40, numbers in prop::array::uniform3(0u64..1 << 53),
        session in any::<[u8; 16]>(), prev in prop::option::of(0u64..1 << 53), signer in prop::option::of(0u64..1 << 53),
        outcome in outcome(), expires in prop::option::of(0i64..1 << 40), policy in prop::option::of(0u64..1 << 53),
        calls in prop::collection::vec((outcome(), any::<[u8; 32]>()), 1..5), roots in any::<[u8; 2]>(),
        labelled: bool, atomic: bool,
    ) -> Entry {
        let calls = calls.into_iter().map(|(outcome, digest)| SealedCall { outcome, digest: Hash(digest) });
        Entry::Intent(IntentEntry {
            id: Uuid::from_u128(id), at: at(millis), agent: numbers[0], session: SessionTag(session), seq: numbers[1],
            atomic, prev, signer, outcome, expires: expires.map(at), policy, calls: calls.collect(),
            declared: commitment(roots[0]), evaluation: commitment(roots[1]),
            delta: labelled.then(|| Delta { labels: vec![Label::Untrusted] }),
            engine: u32::try_from(numbers[2] >> 21).expect("32 bits"), ..intent()
        })
    }
}

prop_compose! {
    fn any_refused()(millis in 0i64..1 << 40, counts in prop::array::uniform7(0u64..1 << 53)) -> Entry {
        let [malformed, unauthenticated, forbidden, conflict, too_large, too_many, unavailable] = counts;
        Entry::Refused(RefusedEntry {
            v: ENTRY_VERSION, kind: RefusedKind::It, id: Uuid::from_u128(5), at: at(millis), since: at(0),
            counts: RefusedCounts {
                malformed, unauthenticated, forbidden, conflict, too_large, too_many, unavailable
            },
        })
    }
}

fn application(millis: i64, operation: Operation, application: Option<u64>) -> Entry {
    Entry::Application(ApplicationEntry {
        v: ENTRY_VERSION,
        kind: ApplicationKind::It,
        id: Uuid::from_u128(6),
        at: at(millis),
        operation,
        application,
        by: 0,
        declared: (operation != Operation::Revoke).then(|| commitment(6)),
    })
}

fn tool(millis: i64, operation: Operation, tool: Option<u64>) -> Entry {
    Entry::Tool(ToolEntry {
        v: ENTRY_VERSION,
        kind: ToolKind::It,
        id: Uuid::from_u128(7),
        at: at(millis),
        operation,
        tool,
        by: 0,
        declared: (operation != Operation::Revoke).then(|| commitment(7)),
    })
}

prop_compose! {
    /// A session, a turn, an outcome.
    fn any_of_a_session()(
        which in 0u8..3, id in any::<u128>(), millis in 0i64..1 << 40, numbers in prop::array::uniform2(0u64..1 << 53),
        session in any::<[u8; 16]>(), call in 0u32..64, result in any::<[u8; 32]>(), failed: bool, root: u8,
    ) -> Entry {
        let (v, id, at) = (ENTRY_VERSION, Uuid::from_u128(id), at(millis));
        let (session, declared, [one, other]) = (SessionTag(session), commitment(root), numbers);
        match which {
            0 => Entry::Session(SessionEntry {
                v, kind: SessionKind::It, id, at, agent: one, application: other, session, declared,
            }),
            1 => Entry::Turn(TurnEntry {
                v, kind: TurnKind::It, id, at, application: one, opened: other, session, declared,
            }),
            _ => Entry::Outcome(OutcomeEntry {
                v, kind: OutcomeKind::It, id, at, tool: one, intent: other, call, session, declared,
                status: if failed { OutcomeStatus::Error } else { OutcomeStatus::Ok }, result: Hash(result),
            }),
        }
    }
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let operation = prop_oneof![Just(Operation::Register), Just(Operation::Rotate), Just(Operation::Revoke)];
    let change = || {
        let operation =
            prop_oneof![Just(Operation::Register), Just(Operation::Rotate), Just(Operation::Revoke)];
        (0i64..1 << 40, operation, prop::option::of(0u64..1 << 53))
    };
    let any_agent = (0i64..1 << 40, operation, prop::option::of(0u64..1 << 53), any::<Option<[u8; 32]>>());
    prop_oneof![
        3 => any_intent(),
        1 => (0i64..1 << 40).prop_map(operator),
        2 => any_agent.prop_map(|(millis, operation, of, key)| agent(millis, operation, of, key.map(Hash))),
        1 => (0i64..1 << 40, 0u64..1 << 53).prop_map(|(millis, by)| policy(millis, by)),
        1 => any_refused(),
        1 => change().prop_map(|(millis, operation, of)| application(millis, operation, of)),
        1 => change().prop_map(|(millis, operation, of)| tool(millis, operation, of)),
        3 => any_of_a_session(),
    ]
}

fn bytes_of(entry: &Entry) -> Vec<u8> {
    entry.encode().expect("within the limits").expect("a known type")
}

/// What parses is written again as the same bytes, or is carried.
fn same_again(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(entry) = Entry::parse(bytes)
        && let Some(written) = entry.encode().map_err(|e| TestCaseError::fail(e.to_string()))?
    {
        prop_assert_eq!(String::from_utf8_lossy(&written), String::from_utf8_lossy(bytes));
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_entry_is_read_back_from_its_bytes(entry in any_entry()) {
        let bytes = bytes_of(&entry);
        prop_assert!(is_canonical(&bytes));
        prop_assert_eq!(Entry::parse(&bytes).expect("own bytes"), entry);
    }

    #[test]
    fn intents_are_written_as_the_generic_writer_writes_them(entry in any_intent()) {
        let Entry::Intent(intent) = &entry else { return Err(TestCaseError::fail("not an intent")) };
        let generic = to_jcs(&serde_json::to_value(intent).expect("a value"));
        match (entry.encode(), generic) {
            (Ok(Some(own)), Ok(generic)) => prop_assert_eq!(own, generic),
            (Err(_), Err(_)) => {}
            (own, generic) => prop_assert!(false, "{own:?} but {generic:?}"),
        }
    }

    #[test]
    fn other_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Entry::parse(&bytes);
    }

    #[test]
    fn changed_entries_never_panic_and_are_never_read_in_two_ways(
        entry in any_entry(), cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..4),
    ) {
        let mut bytes = bytes_of(&entry);
        for (index, byte, how) in cuts {
            let at = index.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        // Ids in upper case are read as well, as yet.
        if !bytes.iter().any(u8::is_ascii_uppercase) {
            same_again(&bytes)?;
        }
        let _ = Entry::parse(&bytes);
    }
}

#[test]
fn what_is_not_canonical_is_refused() {
    let good = String::from_utf8(bytes_of(&Entry::Intent(intent()))).expect("text");
    let swapped = good.replacen("\"agent\":1,", "", 1).replacen(",\"v\":1}", ",\"v\":1,\"agent\":1}", 1);
    for bad in [
        good.replacen(':', ": ", 1),
        format!(" {good}"),
        format!("{good}\n"),
        swapped,
        good.replace("\"engine\":1,", "\"engine\":1.0,"),
        good.replace("\"engine\":1,", "\"engine\":1,\"engine\":1,"),
        good.replace("allow", "\\u0061llow"),
        String::new(),
    ] {
        assert_ne!(bad, good);
        assert!(Entry::parse(bad.as_bytes()).is_err(), "{bad}");
    }
}

/// Every way to write an entry's values otherwise is refused: leaves of two spellings would be two leaves.
#[test]
fn each_entry_has_one_spelling() {
    let text = String::from_utf8(bytes_of(&Entry::Intent(intent()))).expect("text");
    let id = Uuid::from_u128(0xabcd);
    let with_id = text.replace(&Uuid::from_u128(4).to_string(), &id.to_string());
    for other in [
        with_id.replace(&id.to_string(), &id.to_string().to_uppercase()),
        with_id.replace(&id.to_string(), &id.simple().to_string()),
        text.replace(",\"seq\":", ",\"prev\":null,\"seq\":"),
        text.replace(",\"id\":", ",\"expires\":null,\"id\":"),
    ] {
        assert!(is_canonical(other.as_bytes()), "{other}");
        assert!(matches!(Entry::parse(other.as_bytes()), Err(EntryError::NotCanonical)), "{other}");
    }
}

#[test]
fn another_shape_is_refused_and_says_of_what_type() {
    let document = serde_json::to_value(intent()).expect("JSON");
    let changed = |change: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut document = document.clone();
        change(document.as_object_mut().expect("an object"));
        Entry::parse(&to_jcs(&document).expect("canonical"))
    };
    let set = |key: &str, value: Value| changed(&|object| drop(object.insert(key.to_owned(), value.clone())));
    let refused = [
        set("colour", json!("red")),
        set("outcome", json!("perhaps")),
        set("session", json!("AAAA")),
        set("at", json!("2027-01-15T08:00:00Z")),
        set("id", json!("x")),
        set("seq", json!(-1)),
        set("calls", json!([{ "outcome": "allow" }])),
        set("declared", json!({ "root": "AAAA", "log2": 1 })),
        changed(&|object| drop(object.remove("agent"))),
    ];
    for refusal in refused {
        match refusal {
            Err(EntryError::Shape { kind, .. }) => assert_eq!(kind, "intent"),
            other => panic!("{other:?}"),
        }
    }
    for headless in ["{}", "[]", "1", r#"{"type":"intent"}"#, r#"{"v":1}"#, r#"{"type":1,"v":1}"#] {
        assert!(matches!(Entry::parse(headless.as_bytes()), Err(EntryError::Shape { .. })), "{headless}");
    }
}

#[test]
fn unknown_types_and_versions_are_carried_but_never_made() {
    for (text, kind, version) in [
        (r#"{"type":"teleport","v":1}"#, "teleport", 1),
        (r#"{"anything":[1,2],"type":"intent","v":2}"#, "intent", 2),
        (r#"{"type":"policy","v":0}"#, "policy", 0),
    ] {
        let entry = Entry::parse(text.as_bytes()).expect("carried");
        assert_eq!(entry, Entry::Unknown { kind: kind.to_owned(), version });
        assert_eq!((entry.kind(), entry.at()), (kind, None));
        assert!(entry.encode().expect("no error").is_none());
        let mut chain = Chain::default();
        chain.apply(&entry).expect("carried");
        assert_eq!((chain.size(), chain.not_understood()), (1, 1));
    }
    assert!(matches!(Entry::parse(br#"{"type":"teleport", "v":1}"#), Err(EntryError::NotCanonical)));
}

#[test]
fn what_no_bundle_can_hold_is_refused_both_ways() {
    let call = SealedCall { outcome: Outcome::Allow, digest: Hash([6; 32]) };
    let huge = Entry::Intent(IntentEntry { calls: vec![call; 1_000], ..intent() });
    assert!(matches!(huge.encode(), Err(EntryError::TooLarge(_))));
    assert!(matches!(Entry::parse(&vec![b' '; 65_536]), Err(EntryError::TooLarge(65_536))));
}

// The links.

/// An operator, an agent without and one with a key, and one policy; the next leaf is 4.
fn chain() -> Chain {
    let mut chain = Chain::default();
    for entry in [
        operator(0),
        agent(1, Operation::Register, None, None),
        agent(2, Operation::Register, None, Some(Hash([7; 32]))),
        policy(3, 0),
    ] {
        chain.apply(&entry).expect("it follows");
    }
    chain
}

fn next() -> IntentEntry {
    IntentEntry { policy: Some(3), ..intent() }
}

/// Refused, and the chain is as it was.
fn broken(chain: &Chain, entry: &Entry, problem: &str) {
    let mut after = chain.clone();
    let LinkError { index, problem: said } = after.apply(entry).expect_err(problem);
    assert!(said.contains(problem), "{said}, not {problem}");
    assert_eq!((index, &after), (chain.size(), chain));
}

#[test]
fn each_broken_link_of_an_intent_is_refused() {
    let mut chain = chain();
    let second = IntentEntry { seq: 1, prev: Some(4), ..next() };
    for (entry, problem) in [
        (IntentEntry { seq: 1, ..next() }, "continues at seq 0"),
        (IntentEntry { prev: Some(1), ..next() }, "continues at seq 0"),
        (IntentEntry { agent: 0, ..next() }, "leaf 0 registers no agent"),
        (IntentEntry { agent: 9, ..next() }, "leaf 9 registers no agent"),
        (IntentEntry { policy: None, ..next() }, "it was decided under None"),
        (IntentEntry { policy: Some(2), ..next() }, "it was decided under Some(2)"),
        (IntentEntry { signer: Some(1), ..next() }, "its signer is not agent 1's"),
        (IntentEntry { agent: 2, signer: Some(1), ..next() }, "its signer is not agent 2's"),
        (IntentEntry { at: at(2), ..next() }, "is before the previous leaf's"),
        (IntentEntry { calls: Vec::new(), ..next() }, "it has 0 calls"),
    ] {
        broken(&chain, &Entry::Intent(entry), problem);
    }
    chain.apply(&Entry::Intent(next())).expect("it follows");
    for (entry, problem) in [
        (IntentEntry { seq: 2, ..second.clone() }, "continues at seq 1 after Some(4)"),
        (IntentEntry { seq: 0, ..second.clone() }, "continues at seq 1 after Some(4)"),
        (IntentEntry { prev: None, ..second.clone() }, "continues at seq 1 after Some(4)"),
        (IntentEntry { prev: Some(3), ..second.clone() }, "continues at seq 1 after Some(4)"),
    ] {
        broken(&chain, &Entry::Intent(entry), problem);
    }
    chain.apply(&Entry::Intent(second)).expect("it follows");
    // The other agent counts by itself, and signs with its own key.
    let signed = IntentEntry { agent: 2, signer: Some(2), ..next() };
    chain.apply(&Entry::Intent(signed)).expect("it follows");
}

#[test]
fn no_outcome_is_milder_than_that_of_a_call() {
    use Outcome::{Allow, Defer, Deny, Hold, Modify};
    let all = [Deny, Defer, Hold, Modify, Allow];
    for whole in all {
        for (first, second) in all.iter().flat_map(|first| all.iter().map(move |second| (*first, *second))) {
            let call = |outcome| SealedCall { outcome, digest: Hash([0; 32]) };
            let calls = vec![call(first), call(second)];
            let entry = Entry::Intent(IntentEntry { outcome: whole, calls, ..next() });
            let follows = whole <= first && whole <= second;
            assert_eq!(chain().apply(&entry).is_ok(), follows, "{whole} over {first}, {second}");
        }
    }
}

#[test]
fn each_broken_link_of_a_registration_is_refused() {
    let mut chain = chain();
    let unrecorded = |entry: Entry| match entry {
        Entry::Agent(entry) => Entry::Agent(AgentEntry { declared: None, ..entry }),
        other => other,
    };
    let by = |by, entry: Entry| match entry {
        Entry::Agent(entry) => Entry::Agent(AgentEntry { by, ..entry }),
        other => other,
    };
    let Entry::Operator(first) = operator(5) else { return };
    for (entry, problem) in [
        (by(1, agent(5, Operation::Register, None, None)), "leaf 1 registers no operator"),
        (agent(5, Operation::Register, Some(1), None), "names no agent"),
        (unrecorded(agent(5, Operation::Register, None, None)), "carries its record"),
        (agent(5, Operation::Rotate, None, None), "it names no agent"),
        (agent(5, Operation::Revoke, None, None), "it names no agent"),
        (agent(5, Operation::Rotate, Some(0), None), "leaf 0 registers no agent"),
        (agent(1, Operation::Rotate, Some(1), None), "is before the previous leaf's"),
        (policy(5, 2), "leaf 2 registers no operator"),
        (
            Entry::Operator(OperatorEntry { operation: Operation::Revoke, ..first }),
            "an operator can only be registered",
        ),
    ] {
        broken(&chain, &entry, problem);
    }
    let key = Some(Hash([8; 32]));
    chain.apply(&agent(5, Operation::Rotate, Some(2), key)).expect("it follows");
    let stale = Entry::Intent(IntentEntry { agent: 2, signer: Some(2), ..next() });
    broken(&chain, &stale, "its signer is not agent 2's");
    chain.apply(&agent(6, Operation::Revoke, Some(1), None)).expect("it follows");
    broken(&chain, &Entry::Intent(next()), "agent 1 was revoked before");
    broken(&chain, &agent(7, Operation::Revoke, Some(1), None), "agent 1 was revoked before");
    broken(&chain, &agent(7, Operation::Rotate, Some(1), None), "agent 1 was revoked before");
}

fn session(millis: i64, application: u64) -> SessionEntry {
    SessionEntry {
        v: ENTRY_VERSION,
        kind: SessionKind::It,
        id: Uuid::from_u128(8),
        at: at(millis),
        agent: 1,
        application,
        session: SessionTag([9; 16]),
        declared: commitment(8),
    }
}

fn turn(millis: i64, application: u64, opened: u64) -> Entry {
    let SessionEntry { v, id, at, session, declared, .. } = session(millis, application);
    Entry::Turn(TurnEntry { v, kind: TurnKind::It, id, at, application, opened, session, declared })
}

#[test]
fn each_broken_link_of_a_session_is_refused() {
    let mut chain = chain();
    let open = |millis, application| Entry::Session(session(millis, application));
    for entry in [application(4, Operation::Register, None), application(4, Operation::Register, None)] {
        chain.apply(&entry).expect("it follows");
    }
    broken(&chain, &open(5, 2), "leaf 2 registers no application");
    broken(&chain, &Entry::Session(SessionEntry { agent: 4, ..session(5, 4) }), "leaf 4 registers no agent");
    broken(&chain, &turn(5, 4, 6), "its session is not open");
    chain.apply(&open(5, 4)).expect("it follows");
    broken(&chain, &open(6, 4), "its session is open since leaf 6");
    broken(&chain, &open(6, 5), "its session is open since leaf 6");
    broken(&chain, &turn(6, 5, 6), "its session is application 4's");
    broken(&chain, &turn(6, 4, 5), "its session was opened by leaf 6");
    chain.apply(&turn(6, 4, 6)).expect("it follows");
    let other = IntentEntry { agent: 2, signer: Some(2), ..next() };
    broken(&chain, &Entry::Intent(other), "its session is agent 1's");
    // A day after its last entry it is as good as never opened; so is one whose application or agent has ended.
    let day = limits::SESSION_IDLE_MAX_MS;
    let mut later = chain.clone();
    chain.apply(&turn(6 + day, 4, 6)).expect("it lives");
    broken(&later, &turn(7 + day, 4, 6), "its session is not open");
    later.apply(&open(7 + day, 5)).expect("it lapsed");
    let mut ended = chain.clone();
    ended.apply(&agent(7 + day, Operation::Revoke, Some(1), None)).expect("it follows");
    broken(&ended, &turn(8 + day, 4, 6), "its session is not open");
    chain.apply(&application(7 + day, Operation::Revoke, Some(4))).expect("it follows");
    broken(&chain, &turn(8 + day, 4, 6), "its session is not open");
    broken(&chain, &open(8 + day, 4), "application 4 was revoked before");
    chain.apply(&open(8 + day, 5)).expect("another may open it again");
}

#[test]
fn each_broken_link_of_an_outcome_is_refused() {
    let mut chain = chain();
    chain.apply(&tool(4, Operation::Register, None)).expect("it follows");
    let outcome = OutcomeEntry {
        v: ENTRY_VERSION,
        kind: OutcomeKind::It,
        id: Uuid::from_u128(9),
        at: at(20),
        tool: 4,
        intent: 5,
        call: 0,
        session: SessionTag([9; 16]),
        status: OutcomeStatus::Ok,
        result: Hash([1; 32]),
        declared: commitment(9),
    };
    broken(&chain, &Entry::Outcome(outcome.clone()), "its intent, leaf 5, is not before it");
    chain.apply(&Entry::Intent(next())).expect("it follows");
    broken(&chain, &Entry::Outcome(OutcomeEntry { tool: 1, ..outcome.clone() }), "leaf 1 registers no tool");
    broken(&chain, &Entry::Outcome(OutcomeEntry { call: 64, ..outcome.clone() }), "no intent has a call 64");
    chain.apply(&Entry::Outcome(outcome.clone())).expect("it follows");
    chain.apply(&tool(21, Operation::Rotate, Some(4))).expect("it follows");
    chain.apply(&tool(21, Operation::Revoke, Some(4))).expect("it follows");
    broken(&chain, &Entry::Outcome(OutcomeEntry { at: at(22), ..outcome }), "tool server 4 was revoked");
    broken(&chain, &tool(22, Operation::Rotate, Some(4)), "tool server 4 was revoked");
    broken(&chain, &tool(22, Operation::Rotate, None), "it names no tool server");
}
