//! Every type of entry is written in one way and read from that alone; the links between entries break loudly.
#![cfg(test)]

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::merkle::Hash;
use crate::record::canonical::to_jcs;
use crate::record::chain::{Chain, LinkError, Outcomes};
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
        rules: Some(3),
        declared: Some(commitment(3)),
        restores: None,
        ends: None,
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

#[path = "entry_tests/links.rs"]
mod links;
