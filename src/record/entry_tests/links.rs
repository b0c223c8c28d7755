//! The links between entries break loudly, each of them.
#![cfg(test)]

use super::*;

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
    outcomes_are_of_calls_that_may_run_and_one_of_each(&outcome);
    chain.apply(&Entry::Outcome(outcome.clone())).expect("it follows");
    chain.apply(&tool(21, Operation::Rotate, Some(4))).expect("it follows");
    chain.apply(&tool(21, Operation::Revoke, Some(4))).expect("it follows");
    broken(&chain, &Entry::Outcome(OutcomeEntry { at: at(22), ..outcome }), "tool server 4 was revoked");
    broken(&chain, &tool(22, Operation::Rotate, Some(4)), "tool server 4 was revoked");
    broken(&chain, &tool(22, Operation::Rotate, None), "it names no tool server");
}

/// Over every verdict on an intent and on each of its calls, atomic or not.
fn outcomes_are_of_calls_that_may_run_and_one_of_each(outcome: &OutcomeEntry) {
    use Outcome::{Allow, Deny, Hold, Modify};
    for (whole, atomic) in
        [Allow, Modify, Hold, Deny].into_iter().flat_map(|whole| [(whole, true), (whole, false)])
    {
        let verdicts = [Allow, Deny, Modify, Hold, Allow];
        let calls = verdicts.map(|outcome| SealedCall { outcome, digest: Hash([0; 32]) }).to_vec();
        let mut outcomes = Outcomes::default();
        outcomes.apply(&policy(0, 0)).expect("no outcome");
        outcomes
            .apply(&Entry::Intent(IntentEntry { outcome: whole, atomic, calls, ..next() }))
            .expect("no outcome");
        for (call, verdict) in (0u32..).zip(verdicts) {
            let of = |intent, call| Entry::Outcome(OutcomeEntry { intent, call, ..outcome.clone() });
            let may_run = matches!(verdict, Allow | Modify) && (!atomic || matches!(whole, Allow | Modify));
            assert_eq!(outcomes.clone().apply(&of(1, call)).is_ok(), may_run, "{whole} {atomic} {call}");
            assert!(
                outcomes.clone().apply(&of(0, call)).is_err()
                    && outcomes.clone().apply(&of(9, call)).is_err()
            );
            if may_run {
                outcomes.apply(&of(1, call)).expect("it is the first");
                assert!(outcomes.apply(&of(1, call)).is_err(), "{whole} {atomic} {call} twice");
            }
        }
        assert!(
            outcomes.apply(&Entry::Outcome(OutcomeEntry { intent: 1, call: 64, ..outcome.clone() })).is_err()
        );
    }
}
