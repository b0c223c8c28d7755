#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: deny is stricter than defer, defer than hold, hold than modify, modify than allow, and one more forbid
//! makes no decision milder; all matching holds unite; a transform removes destinations or leaves them, and never
//! replaces one; what comes after a stopped call stops; a call is judged under what calls beside it may have read; what
//! was sealed under version 1 is judged as it was then.
#![cfg(feature = "replay")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use foreseal::policy::provenance::{FingerprintKey, Memory};
use foreseal::policy::{
    AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine, Evaluated, FactsForm, FaultKind, Knowledge,
    Plan, PlanState, PlanView, RequestError, SessionFacts, Spent, Standing,
};
use foreseal::record::decision::{Condition, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};

const TOOLS: &str = r#"{"tools": [
  {"server": "mail", "name": "send", "groups": ["external"],
   "input": {"type": "object", "required": ["to"], "properties": {
     "to": {"type": "array", "items": {"type": "string"}}, "cc": {"type": "array", "items": {"type": "string"}},
     "reply_to": {"type": "string"}, "body": {"type": "string"}, "size": {"type": "number"}, "copies": {"type": "integer"}}},
   "destinations": [{"at": "/to/*", "type": "email"}, {"at": "/cc/*", "type": "email"}, {"at": "/reply_to", "type": "email"}],
   "payload": ["/body"], "amount": "/size"},
  {"server": "mail", "name": "read", "groups": ["read"], "destinations": [],
   "input": {"type": "object", "properties": {"folder": {"type": "string"}}},
   "output": {"untrusted": true, "authoritative": [{"at": "/contacts/*", "type": "email"}]}},
  {"server": "crm", "name": "look", "groups": ["read"], "destinations": [], "output": {"sensitive": true}}
]}"#;

fn files(rules: &str) -> BTreeMap<String, Vec<u8>> {
    BTreeMap::from([
        ("rules.cedar".to_owned(), rules.as_bytes().to_vec()),
        ("tools.json".to_owned(), TOOLS.as_bytes().to_vec()),
    ])
}

fn load(rules: &str) -> Engine {
    Engine::new(Bundle::load(files(rules)).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

fn with_permit(rules: &str) -> Engine {
    load(&format!("@id(\"yes\") permit (principal, action in Action::\"call\", resource);\n{rules}"))
}

struct Asked<'a> {
    calls: Vec<(&'a str, &'a str, &'a str, Value, Vec<String>)>,
    atomic: bool,
    words: &'a str,
    session: SessionFacts,
}

impl<'a> Asked<'a> {
    fn one(server: &'a str, tool: &'a str, args: Value) -> Self {
        Self {
            calls: vec![("c1", server, tool, args, vec![])],
            atomic: true,
            words: "",
            session: SessionFacts::default(),
        }
    }

    fn send(args: Value) -> Self {
        Self::one("mail", "send", args)
    }

    fn by(&self, engine: &Engine) -> Evaluated {
        let key = FingerprintKey::new(&[7; 32]);
        let mut memory = Memory::default();
        memory.user_words(&key, self.words);
        let calls: Vec<CallView<'_>> = self
            .calls
            .iter()
            .map(|(id, server, tool, args, after)| CallView {
                after,
                ..CallView::new(id, server, tool, args)
            })
            .collect();
        let agent = AgentFacts { name: "bot", roles: &[], signed: false };
        let evaluated = engine.decide(&DecideInput {
            atomic: self.atomic,
            session: &self.session,
            knowledge: Some(Knowledge { memory: &memory, key: &key }),
            ..DecideInput::new(agent, &calls, 1_790_000_000_000)
        });
        replays(engine, &evaluated);
        evaluated
    }
}

/// Every verdict follows again from its sealed request alone.
fn replays(engine: &Engine, evaluated: &Evaluated) {
    for (i, call) in evaluated.decision.calls.iter().enumerate() {
        let request = evaluated.value(&format!("/requests/{i}")).unwrap();
        let verdict = engine.decide_request(&request).unwrap_or_else(|error| panic!("{error}: {request}"));
        assert_eq!(verdict.to_json(), evaluated.value(&format!("/verdicts/{i}")).unwrap());
        assert_eq!(&verdict.call, call);
    }
}

fn rules_of(evaluated: &Evaluated) -> Vec<&str> {
    evaluated.decision.reasons.iter().map(|reason| reason.rule.as_str()).collect()
}

/// What the schema demands and is not there, or does not know and is there, may go anywhere.
#[test]
fn what_the_schema_does_not_explain_is_ungrounded() {
    let engine = with_permit("");
    for (args, destinations, ungrounded) in [
        (json!({ "to": ["bob@shop.example"] }), "grounded", json!([])),
        (json!({ "to": ["bob@shop.example"], "cc": [], "reply_to": null }), "grounded", json!([])),
        (json!({ "cc": ["bob@shop.example"] }), "ungrounded", json!(["/to/*"])),
        (json!({ "to": [], "cc": ["bob@shop.example"] }), "ungrounded", json!(["/to/*"])),
        (json!({ "to": [""] }), "ungrounded", json!(["/to/*"])),
        (json!({ "to": ["bob@shop.example"], "bcc": ["bob@shop.example"] }), "ungrounded", json!([""])),
        (json!({ "to": ["bob@shop.example"], "TO": [] }), "ungrounded", json!([""])),
        (json!({ "to": ["eve@shop.example"], "reply_to": 7 }), "ungrounded", json!(["/reply_to", "/to/*"])),
    ] {
        let asked = Asked { words: "mail bob@shop.example", ..Asked::send(args.clone()) };
        let context = asked.by(&engine).value("/requests/0").unwrap()["context"].take();
        let grounding = &context["grounding"]["record"];
        assert_eq!(grounding["destinations"], destinations, "{args}");
        assert_eq!(grounding["ungrounded"], ungrounded, "{args}");
        assert_eq!(grounding["user_only"], destinations == "grounded", "{args}");
    }
    // A tool of which no schema is known has no arguments that it does not know; one that nobody labelled is ungrounded.
    let of = |server, tool, args: Value| {
        let context =
            Asked::one(server, tool, args).by(&engine).value("/requests/0").unwrap()["context"].take();
        context["grounding"]["record"]["destinations"].clone()
    };
    assert_eq!(of("crm", "look", json!({ "at": "x" })), "none");
    assert_eq!(of("mail", "read", json!({ "folder": "in" })), "none");
    assert_eq!(of("mail", "read", json!({ "path": "in" })), "ungrounded");
    assert_eq!(of("web", "get", json!({})), "ungrounded");
}

const FORBIDS: [(&str, Outcome); 4] = [
    ("@id(\"d\") forbid (principal, action == Action::\"mail/send\", resource);", Outcome::Deny),
    (
        "@id(\"f\") @outcome(\"defer\") @expires(\"5m\") forbid (principal, action == Action::\"mail/send\", resource);",
        Outcome::Defer,
    ),
    (
        "@id(\"h\") @outcome(\"hold\") forbid (principal, action == Action::\"mail/send\", resource);",
        Outcome::Hold,
    ),
    (
        "@id(\"m\") @outcome(\"modify\") @transform(\"drop:/cc\") forbid (principal, action == Action::\"mail/send\", resource);",
        Outcome::Modify,
    ),
];

#[test]
fn the_strictest_rule_that_matches_decides_in_every_combination() {
    let asked = Asked::send(json!({"to": ["a@x.example"], "cc": ["b@x.example"]}));
    for chosen in 0_u32..16 {
        let of = FORBIDS.iter().enumerate().filter(|(i, _)| chosen & (1 << i) != 0).map(|(_, rule)| rule);
        let rules: String = of.clone().map(|(text, _)| format!("{text}\n")).collect();
        let expected = of.map(|(_, outcome)| *outcome).min().unwrap_or(Outcome::Allow);
        let evaluated = asked.by(&with_permit(&rules));
        assert_eq!(evaluated.decision.outcome, expected, "{rules}");
        let matched: Vec<Value> =
            evaluated.value("/verdicts/0").unwrap()["matched"]["forbids"].as_array().unwrap().clone();
        assert_eq!(matched.len(), chosen.count_ones() as usize, "all that matched are listed: {rules}");
        let call = &evaluated.decision.calls[0];
        assert_eq!(call.args.is_some(), expected == Outcome::Modify, "{rules}");
        assert_eq!(call.transforms.is_empty(), expected != Outcome::Modify, "{rules}");
    }
    let deferred = asked.by(&with_permit(FORBIDS[1].0)).decision;
    assert_eq!(deferred.expires, Some(300_000), "an expired defer is a deny too");
}

#[test]
fn all_holds_unite_with_every_condition_and_the_earliest_expiry() {
    let engine = with_permit(
        "@id(\"a\") @outcome(\"hold\") @approver(\"finance\") @quorum(\"2\") @expires(\"1h\")
         forbid (principal, action == Action::\"mail/send\", resource);
         @id(\"b\") @outcome(\"hold\") @human(\"carol\") @ticket(\"change\") @step_up(\"webauthn\") @expires(\"15m\")
         forbid (principal, action in Action::\"external\", resource);
         @id(\"c\") @outcome(\"hold\") forbid (principal, action, resource) when { context.calls_in_intent > 1 };",
    );
    let evaluated = Asked::send(json!({"to": ["a@x.example"]})).by(&engine);
    let of = |rule: &str| Condition { rule: rule.to_owned(), ..Condition::default() };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(
        evaluated.decision.conditions,
        [
            Condition { approver: text("finance"), quorum: Some(2), expires_s: Some(3_600), ..of("a") },
            Condition {
                human: text("carol"),
                ticket: text("change"),
                step_up: text("webauthn"),
                expires_s: Some(900),
                ..of("b")
            },
        ]
    );
    assert_eq!(evaluated.decision.expires, Some(900_000));
    assert_eq!(
        evaluated.value("/verdicts/0").unwrap()["conditions"],
        json!([{"approver": "finance", "expires_s": 3600, "quorum": 2, "rule": "a"},
               {"expires_s": 900, "human": "carol", "rule": "b", "step_up": "webauthn", "ticket": "change"}])
    );
}

#[test]
fn transforms_change_what_they_say_and_the_changed_call_is_judged_again() {
    let send = "forbid (principal, action == Action::\"mail/send\", resource)";
    let known = "mail a@x.example and c@x.example";
    for (transform, before, after) in [
        ("drop:/cc", json!({"to": ["a@x.example"], "cc": ["b@x.example"]}), json!({"to": ["a@x.example"]})),
        ("drop:/to/*", json!({"to": ["a@x.example", "b@x.example"]}), json!({"to": []})),
        (
            "drop-ungrounded:/to/*",
            json!({"to": ["e@x.example", "a@x.example", "b@x.example", "c@x.example"]}),
            json!({"to": ["a@x.example", "c@x.example"]}),
        ),
        (
            "drop-ungrounded:/cc",
            json!({"to": ["z@x.example"], "cc": ["b@x.example"]}),
            json!({"to": ["z@x.example"], "cc": []}),
        ),
        ("drop-ungrounded:/reply_to", json!({"to": [], "reply_to": "b@x.example"}), json!({"to": []})),
        ("cap:/size:100", json!({"to": [], "size": 100.5}), json!({"to": [], "size": 100})),
        ("cap:/size:99.95", json!({"to": [], "size": 1e300}), json!({"to": [], "size": 99.95})),
        ("cap:/size:100", json!({"to": [], "size": 100.000_000_1}), json!({"to": [], "size": 100})),
        ("drop:/cc", json!({"to": [], "cc": [], "size": -0.0}), json!({"to": [], "size": 0})),
        ("drop:/cc", json!({"to": [], "cc": [], "size": 1e3}), json!({"to": [], "size": 1000})),
        ("cap:/copies:-1", json!({"to": [], "copies": 3}), json!({"to": [], "copies": -1})),
        (
            "redact:pii-email:/body; drop:/cc",
            json!({"to": [], "body": "ask bob@x.example  or eve@y.example\nsoon", "cc": []}),
            json!({"to": [], "body": "ask [redacted]  or [redacted]\nsoon"}),
        ),
        (
            "redact:pci-card-number:/body",
            json!({"to": [], "body": "card 4111 1111 1111 1111, thanks to bob@x.example"}),
            json!({"to": [], "body": "card [redacted] thanks to bob@x.example"}),
        ),
        (
            // More than is looked for one by one.
            "redact:pii-email:/body",
            json!({"to": [], "body": "bob@x.example ".repeat(50)}),
            json!({"to": [], "body": "[redacted]"}),
        ),
    ] {
        let engine =
            with_permit(&format!("@id(\"m\") @outcome(\"modify\") @transform(\"{transform}\") {send};"));
        let asked = Asked { words: known, ..Asked::send(before.clone()) };
        let evaluated = asked.by(&engine);
        let call = &evaluated.decision.calls[0];
        assert_eq!(
            (call.outcome, call.args.as_ref()),
            (Outcome::Modify, Some(&after)),
            "{transform} on {before}"
        );
        let request = evaluated.value("/requests/0").unwrap();
        assert_eq!(request["changed"]["args"], after, "the changed call is sealed beside the original");
        assert_eq!(call.transforms.len(), transform.split(';').count());
        assert_eq!(evaluated.value("/verdicts/0").unwrap()["again"]["permits"], json!(["yes"]));
    }
    // Nothing to change: the call may run as it is.
    for (transform, args) in [
        ("drop:/cc", json!({"to": []})),
        ("cap:/size:100", json!({"to": [], "size": 100})),
        ("cap:/size:100", json!({"to": [], "size": null})),
        ("drop-ungrounded:/to", json!({"to": ["a@x.example"]})),
        ("redact:pii-email:/body", json!({"to": [], "body": "nobody @ nowhere"})),
    ] {
        let engine =
            with_permit(&format!("@id(\"m\") @outcome(\"modify\") @transform(\"{transform}\") {send};"));
        let evaluated = Asked { words: known, ..Asked::send(args.clone()) }.by(&engine);
        assert_eq!(evaluated.decision.outcome, Outcome::Allow, "{transform} on {args}");
        assert_eq!(evaluated.decision.calls[0].args, None);
        assert_eq!(evaluated.value("/requests/0").unwrap()["changed"], json!({"same": true}));
    }
    // What cannot be changed does not run.
    for (transform, args) in [
        ("cap:/size:100", json!({"to": [], "size": "100"})),
        ("cap:/size:100", json!({"to": [], "size": [500]})),
        // What is left says a number that, as it would be sealed, no reader takes.
        ("drop:/cc", json!({"to": [], "cc": [], "size": 1e20})),
        ("redact:pii-email:/body", json!({"to": [], "body": 7})),
        ("redact:pii-email:/body", json!({"to": [], "body": ["bob@x.example"]})),
    ] {
        let engine =
            with_permit(&format!("@id(\"m\") @outcome(\"modify\") @transform(\"{transform}\") {send};"));
        let evaluated = Asked::send(args.clone()).by(&engine);
        assert_eq!(
            (evaluated.decision.outcome, rules_of(&evaluated)),
            (Outcome::Deny, vec!["transform_failed"]),
            "{args}"
        );
    }
}

#[test]
fn a_changed_call_meets_all_rules_and_what_matched_before_still_counts() {
    let modify = "@id(\"m\") @outcome(\"modify\") @transform(\"drop:/cc\") forbid (principal, action == Action::\"mail/send\", resource);";
    let args = json!({"to": ["a@x.example"], "cc": ["b@x.example"]});
    for (more, outcome, rule) in [
        // Denied only as it is after the change.
        (
            "@id(\"x\") forbid (principal, action == Action::\"mail/send\", resource) unless { context.args has cc };",
            Outcome::Deny,
            "x",
        ),
        // Held only as it was before the change: a modify makes nothing milder.
        (
            "@id(\"x\") @outcome(\"hold\") forbid (principal, action == Action::\"mail/send\", resource) when { context.args has cc };",
            Outcome::Hold,
            "x",
        ),
        (
            "@id(\"x\") @outcome(\"hold\") forbid (principal, action == Action::\"mail/send\", resource) unless { context.args has cc };",
            Outcome::Hold,
            "x",
        ),
        // Another change after the change is one too many.
        (
            "@id(\"x\") @outcome(\"modify\") @transform(\"drop:/body\") forbid (principal, action == Action::\"mail/send\", resource) unless { context.args has cc };",
            Outcome::Deny,
            "transform_failed",
        ),
        // An error on the changed call denies like any other.
        (
            "@id(\"x\") forbid (principal, action == Action::\"mail/send\", resource) unless { context.args has cc || context.time.ms * 9223372036854775807 > 0 };",
            Outcome::Deny,
            "policy_error",
        ),
    ] {
        let evaluated = Asked::send(args.clone()).by(&with_permit(&format!("{modify}\n{more}")));
        assert_eq!((evaluated.decision.outcome, rules_of(&evaluated)), (outcome, vec![rule]), "{more}");
        assert_eq!(evaluated.decision.calls[0].args, None);
    }
    // A permit that only the original has.
    let engine = load(&format!(
        "@id(\"yes\") permit (principal, action == Action::\"mail/send\", resource) when {{ context.args has cc }};\n{modify}"
    ));
    assert_eq!(rules_of(&Asked::send(args).by(&engine)), ["no_permit"]);
    let unregistered = "@id(\"yes\") permit (principal, action, resource);
        @id(\"m\") @outcome(\"modify\") @transform(\"drop:/cc\") forbid (principal, action in Action::\"external\", resource);";
    let evaluated = Asked::one("x", "y", json!({"cc": []})).by(&load(unregistered));
    assert_eq!(rules_of(&evaluated), ["transform_failed"]);
}

#[test]
fn transforms_that_would_replace_a_destination_or_do_nothing_do_not_load() {
    for (transform, scope, part) in [
        ("redact:pii-email:/reply_to", "action == Action::\"mail/send\"", "would replace a destination"),
        ("redact:pii-email:/to/*", "action == Action::\"mail/send\"", "would replace a destination"),
        ("cap:/to/*:5", "action in Action::\"call\"", "would replace a destination"),
        ("drop:/to", "action == Action::\"mail/send\"", "requires the argument"),
        ("drop:/bcc", "action == Action::\"mail/send\"", "has this argument"),
        ("drop:/cc", "action == Action::\"mail/read\"", "has this argument"),
        ("drop-ungrounded:/body", "action == Action::\"mail/send\"", "has this destination"),
    ] {
        let rule = format!(
            "@id(\"yes\") permit (principal, action, resource);\n@id(\"m\") @outcome(\"modify\") @transform(\"{transform}\") forbid (principal, {scope}, resource);"
        );
        let error = Bundle::load(files(&rule)).expect_err(transform);
        let fault = &error.faults()[0];
        assert_eq!((fault.kind, fault.rule.as_deref()), (FaultKind::Annotation, Some("m")), "{error}");
        assert!(fault.message.contains(part), "{transform}: {error}");
        assert_eq!(fault.place.as_ref().unwrap().line, 2);
    }
}

#[test]
fn calls_that_stand_alone_run_alone_and_stop_what_comes_after_them() {
    let engine = with_permit(
        "@id(\"no\") forbid (principal, action == Action::\"mail/send\", resource) when { context.args has body };
         @id(\"ask\") @outcome(\"hold\") @expires(\"1m\") forbid (principal, action == Action::\"mail/send\", resource) when { context.args has size };",
    );
    let call = |id, args: Value, after: &[&str]| {
        (id, "mail", "send", args, after.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
    };
    let calls = vec![
        call("third", json!({"to": []}), &["second"]),
        call("fine", json!({"to": []}), &[]),
        call("first", json!({"to": [], "body": "x"}), &[]),
        call("second", json!({"to": []}), &["first"]),
        call("asked", json!({"to": [], "size": 1}), &[]),
        call("waits", json!({"to": []}), &["asked", "fine"]),
        call("both", json!({"to": [], "body": "x"}), &["asked"]),
    ];
    let asked = Asked { calls, atomic: false, words: "", session: SessionFacts::default() };
    let evaluated = asked.by(&engine);
    let said: BTreeMap<&str, (Outcome, Vec<&str>)> = evaluated
        .decision
        .calls
        .iter()
        .map(|call| {
            (call.id.as_str(), (call.outcome, call.reasons.iter().map(|r| r.rule.as_str()).collect()))
        })
        .collect();
    assert_eq!(said["fine"], (Outcome::Allow, vec!["yes"]));
    assert_eq!(said["first"], (Outcome::Deny, vec!["no"]));
    assert_eq!(said["second"], (Outcome::Deny, vec!["after_stopped"]));
    assert_eq!(said["third"], (Outcome::Deny, vec!["after_stopped"]));
    assert_eq!(said["asked"], (Outcome::Hold, vec!["ask"]));
    assert_eq!(said["waits"], (Outcome::Defer, vec!["after_stopped"]));
    assert_eq!(said["both"], (Outcome::Deny, vec!["no"]));
    assert_eq!(evaluated.decision.outcome, Outcome::Deny, "the whole is as strict as its strictest call");
    assert_eq!(evaluated.decision.expires, Some(60_000), "and the hold of one still ends");
    let order: Vec<&str> = evaluated.decision.calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(order, ["third", "fine", "first", "second", "asked", "waits", "both"], "in declared order");
    // Together, each call keeps its own verdict: the intent as a whole does not run.
    let together = Asked { atomic: true, ..asked }.by(&engine);
    assert_eq!(together.decision.calls[3].outcome, Outcome::Allow);
    // A caller that checked nothing: circles and names of nothing are denied.
    for after in [["a", "b"], ["b", "nowhere"]] {
        let calls = vec![call("a", json!({"to": []}), &after[1..]), call("b", json!({"to": []}), &["a"])];
        let asked = Asked { calls, atomic: false, words: "", session: SessionFacts::default() };
        assert_eq!(rules_of(&asked.by(&engine)), ["request_invalid"]);
    }
}

/// A budget holds over the whole intent and the session before it; what cannot be counted is over it.
#[test]
fn a_budget_counts_every_call_and_is_over_where_it_cannot_count() {
    let engine = with_permit(
        r#"@id("budget") @outcome("hold") forbid (principal, action, resource)
           unless { !context.spend.unknown && context.spend.total.lessThanOrEqual(decimal("10.0")) };"#,
    );
    let send = |id, size: Value| (id, "mail", "send", json!({"to": [], "size": size}), Vec::new());
    let read = || ("r", "mail", "read", json!({}), Vec::new());
    let spent = |total, unknown| SessionFacts {
        opened: true,
        spent: Spent { total, unknown },
        ..SessionFacts::default()
    };
    let opened = spent(0, false);
    for (calls, session, outcome) in [
        (vec![send("a", json!(10))], &opened, Outcome::Allow),
        (vec![send("a", json!(10.0001))], &opened, Outcome::Hold),
        (vec![send("a", json!(6)), send("b", json!(4))], &opened, Outcome::Allow),
        (vec![send("a", json!(6)), send("b", json!(4.5))], &opened, Outcome::Hold),
        (vec![read(), send("b", json!(0))], &opened, Outcome::Allow),
        (vec![send("a", json!(1))], &spent(90_000, false), Outcome::Allow),
        (vec![send("a", json!(1))], &spent(90_001, false), Outcome::Hold),
        (vec![send("a", json!(1))], &spent(0, true), Outcome::Hold),
        (vec![send("a", json!(1))], &SessionFacts::default(), Outcome::Hold),
        (vec![send("a", json!("1"))], &opened, Outcome::Hold),
        (vec![send("a", json!(-1))], &opened, Outcome::Hold),
        (vec![send("a", json!(0.00001))], &opened, Outcome::Hold),
        (vec![send("a", json!(922_337_203_685_477_u64)), send("b", json!(1))], &opened, Outcome::Hold),
        (vec![("x", "mail", "unheard-of", json!({}), Vec::new())], &opened, Outcome::Deny),
    ] {
        let asked = Asked { calls, atomic: true, words: "", session: session.clone() };
        assert_eq!(asked.by(&engine).decision.outcome, outcome, "{:?} {session:?}", asked.calls);
    }
}

#[test]
fn a_call_is_judged_under_what_the_calls_beside_it_may_have_read() {
    let engine = with_permit(
        "@id(\"x\") forbid (principal, action == Action::\"mail/send\", resource) when { context.session.labels.contains(\"untrusted\") };",
    );
    let outcome = |send_after: &[&str], read_after: &[&str], labels: &[&str]| {
        let names = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let calls = vec![
            ("send", "mail", "send", json!({"to": []}), names(send_after)),
            ("read", "mail", "read", json!({}), names(read_after)),
            ("look", "crm", "look", json!({}), vec![]),
        ];
        let session = SessionFacts {
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            ..SessionFacts::default()
        };
        let evaluated = Asked { calls, atomic: true, words: "", session }.by(&engine);
        let labels =
            evaluated.value("/requests/0").unwrap()["context"]["session"]["record"]["labels"].clone();
        (evaluated.decision.calls[0].outcome, labels)
    };
    assert_eq!(outcome(&["read"], &[], &[]), (Outcome::Deny, json!(["sensitive", "untrusted"])));
    assert_eq!(
        outcome(&[], &[], &[]),
        (Outcome::Deny, json!(["sensitive", "untrusted"])),
        "either may come first"
    );
    assert_eq!(outcome(&[], &["send"], &[]), (Outcome::Allow, json!(["sensitive"])), "it reads afterwards");
    assert_eq!(outcome(&[], &["send"], &["untrusted"]).0, Outcome::Deny);
}

#[test]
fn plans_say_which_calls_were_meant() {
    let engine = with_permit(
        "@id(\"off-plan\") forbid (principal, action, resource)
         unless { context has plan && context.plan.standing == \"application\" && context.plan.conforms };",
    );
    let plan = Plan::parse(&json!({"steps": [
        {"id": "read", "server": "mail", "tool": "read", "free": ["folder"]},
        {"id": "send", "server": "mail", "tool": "send", "args": {"to": ["a@x.example"], "size": 5},
         "from": {"/body": "read/summary", "/cc/*": "read/people/*"}, "count": 2, "after": ["read"]}]}))
    .unwrap();
    let key = FingerprintKey::new(&[7; 32]);
    let memory = Memory::default();
    let decide = |state: &PlanState, standing, calls: &[(&str, Value, Vec<String>)]| {
        let ids: Vec<String> = (0..calls.len()).map(|i| format!("c{i}")).collect();
        let views: Vec<CallView<'_>> = calls
            .iter()
            .zip(&ids)
            .map(|((tool, args, after), id)| CallView { after, ..CallView::new(id, "mail", tool, args) })
            .collect();
        let evaluated = engine.decide(&DecideInput {
            plan: Some(PlanView { standing, plan: &plan, state }),
            knowledge: Some(Knowledge { memory: &memory, key: &key }),
            ..DecideInput::new(AgentFacts { name: "bot", roles: &[], signed: false }, &views, 1)
        });
        replays(&engine, &evaluated);
        evaluated
    };
    let one = |state: &PlanState, tool: &str, args: Value| {
        decide(state, Standing::Application, &[(tool, args, vec![])]).steps[0]
    };
    let mut state = PlanState::default();
    let sent = json!({"to": ["a@x.example"], "size": 5.0, "body": "hi", "cc": ["b@x.example"]});
    assert_eq!(one(&state, "read", json!({"folder": "x"})), Some(0));
    assert_eq!(one(&state, "read", json!({"folder": null, "more": 1})), None, "an argument nobody mentions");
    assert_eq!(one(&state, "send", sent.clone()), None, "not before it was read");
    state.ran(0);
    assert_eq!(one(&state, "read", json!({})), None, "once");
    state.output(
        &plan,
        0,
        &key,
        &json!({"summary": "hi", "people": ["b@x.example", "c@x.example"], "other": "e@x.example"}),
    );
    assert_eq!(one(&state, "send", sent.clone()), Some(1));
    for (path, value) in [
        ("/to", json!(["e@x.example"])),
        ("/to", json!(["a@x.example", "e@x.example"])),
        ("/body", json!("hi!")),
        ("/size", json!(6)),
        ("/cc", json!(["b@x.example", "e@x.example"])),
        ("/cc", json!([])),
        ("/cc", json!("b@x.example")),
    ] {
        let mut other = sent.clone();
        *other.pointer_mut(path).unwrap() = value;
        assert_eq!(one(&state, "send", other.clone()), None, "{other}");
    }
    let mut more = sent.clone();
    more["reply_to"] = json!("e@x.example");
    assert_eq!(one(&state, "send", more), None);
    // Calls of one intent count together, and early and late plans do not relax.
    let three = vec![("send", sent.clone(), vec![]); 3];
    assert_eq!(decide(&state, Standing::Application, &three).steps, [Some(1), Some(1), None]);
    assert_eq!(decide(&state, Standing::Late, &three[..1]).decision.outcome, Outcome::Deny);
    assert_eq!(decide(&state, Standing::Application, &three[..1]).decision.outcome, Outcome::Allow);
    let fresh = PlanState::default();
    let both = [
        ("read", json!({}), vec![]),
        ("send", json!({"to": ["a@x.example"], "size": 5}), vec!["c0".to_owned()]),
    ];
    assert_eq!(
        decide(&fresh, Standing::Application, &both).steps,
        [Some(0), None],
        "bound values are not there yet"
    );
}

#[test]
fn what_is_no_plan_is_refused_with_its_place() {
    for (plan, place) in [
        (json!({}), "/"),
        (json!({"steps": []}), "/steps"),
        (json!({"steps": [{"tool": ""}]}), "/steps/0/tool"),
        (json!({"steps": [{"tool": "a", "count": 0}]}), "/steps/0/count"),
        (json!({"steps": [{"tool": "a", "after": ["x"]}]}), "/steps/0/after"),
        (json!({"steps": [{"id": "a", "tool": "a", "after": ["a"]}]}), "/steps/0/after"),
        (
            json!({"steps": [{"id": "a", "tool": "a", "after": ["b"]}, {"id": "b", "tool": "b", "after": ["a"]}]}),
            "/steps/0/after",
        ),
        (json!({"steps": [{"id": "a", "tool": "a"}, {"id": "a", "tool": "b"}]}), "/steps/1/id"),
        (json!({"steps": [{"tool": "a", "from": {"/x": "b/y"}}]}), "/steps/0/from"),
        (json!({"steps": [{"tool": "a", "free": 7}]}), "/steps/0/free"),
        (json!({"steps": [{"tool": "a", "other": 7}]}), "/"),
        (json!({"steps": vec![json!({"tool": "a"}); 65]}), "/steps"),
    ] {
        assert_eq!(Plan::parse(&plan).expect_err("no plan").pointer, place, "{plan}");
    }
}

/// Of the evaluation of a log that this software wrote before sessions, transforms and plans were facts.
#[test]
fn what_was_sealed_under_version_1_is_judged_as_it_was_then() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/policy/v1.json");
    let vector: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let files: BTreeMap<String, Vec<u8>> = vector["files"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, text)| (name.clone(), text.as_str().unwrap().as_bytes().to_vec()))
        .collect();
    // Its rules read context.principal as a text, which it no longer is.
    assert!(Bundle::load(files.clone()).is_err());
    let mut outcomes = BTreeSet::new();
    for evaluation in vector["evaluations"].as_array().unwrap() {
        let form = FactsForm::of_sealed(&evaluation["/engine"]).unwrap();
        assert_eq!(form, FactsForm::V1);
        let engine = Engine::new(Bundle::load_for(files.clone(), form).unwrap()).unwrap();
        assert_eq!(evaluation["/engine"]["bundle"], hex::encode(engine.bundle().digest()));
        for i in 0..6 {
            let verdict = engine.decide_request(&evaluation[&format!("/requests/{i}")]).unwrap();
            assert_eq!(verdict.to_json(), evaluation[&format!("/verdicts/{i}")], "call {i}");
            outcomes.insert(verdict.call.outcome);
        }
        let mut newer = evaluation["/requests/0"].clone();
        newer["resource"]["attrs"]["irreversible"] = json!(false);
        assert!(matches!(engine.decide_request(&newer), Err(RequestError::OtherBundle { .. })));
        // The same facts, put to the engine again, give the same bytes as then.
        let facts = &evaluation["/facts"];
        let claimed = Claimed {
            goal_stated: true,
            reasoning_steps: 2,
            observations: 1,
            environment: facts["environment"].as_str(),
            principal: facts["principal"].as_str(),
        };
        let args = json!({"amount": 5, "to": "landlord", "tags": ["b", "a"], "memo": {"id": "7", "more": 1}});
        let calls = vec![CallView::new("c0", "bank", "send_money", &args); 6];
        let roles = ["teller".to_owned()];
        let agent =
            AgentFacts { name: "bot", roles: &roles, signed: facts["agent"]["signed"].as_bool().unwrap() };
        let again = engine.decide(&DecideInput {
            claimed,
            ..DecideInput::new(agent, &calls, facts["at"].as_i64().unwrap())
        });
        for path in ["/facts", "/requests/0", "/verdicts/0"] {
            assert_eq!(again.value(path).unwrap(), evaluation[path], "{path}");
        }
    }
    assert_eq!(outcomes, BTreeSet::from([Outcome::Deny, Outcome::Hold, Outcome::Allow]));
    assert_eq!(FactsForm::of_sealed(&json!({"facts": 3, "version": 2})), None);
}

fn any_args() -> impl Strategy<Value = Value> {
    let address =
        prop::sample::select(vec!["a@x.example", "b@x.example", "c@y.example", "not an address", ""]);
    let list = prop::collection::vec(address.clone().prop_map(Value::from), 0..4).prop_map(Value::from);
    let text = prop_oneof![
        address.prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("mail a@x.example now"))
    ];
    let any = prop_oneof![
        list.clone(),
        text.clone(),
        any::<f64>().prop_map(|number| json!(number)),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!({"x": ["b@x.example"]})),
    ];
    let name = prop::sample::select(vec!["to", "cc", "reply_to", "body", "size", "copies", "extra"]);
    prop::collection::btree_map(name, prop_oneof![list, text, any], 0..7).prop_map(|map| json!(map))
}

const TRANSFORMS: [&str; 9] = [
    "drop:/cc",
    "drop:/to/*",
    "drop:/cc/*",
    "drop:/reply_to",
    "drop-ungrounded:/to/*",
    "drop-ungrounded:/cc",
    "cap:/size:10",
    "cap:/copies:3",
    "redact:pii-email:/body",
];

/// The scalars at the destinations, each as often as it is there.
fn destinations(args: &Value) -> BTreeMap<(String, String), usize> {
    fn leaves(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| leaves(item, found)),
            Value::Object(object) => object.values().for_each(|value| leaves(value, found)),
            Value::Null => {}
            // `0.0` is sealed as `0`.
            Value::Number(number) => found.push(number.as_f64().unwrap().to_string()),
            other => found.push(other.to_string()),
        }
    }
    let mut all = BTreeMap::new();
    for name in ["to", "cc", "reply_to"] {
        let mut found = Vec::new();
        leaves(&args[name], &mut found);
        for leaf in found {
            *all.entry((name.to_owned(), leaf)).or_default() += 1;
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Whatever rules change, no destination is there that was not there before; and the same rules are content with
    /// what they made.
    #[test]
    fn modify_never_replaces_a_destination(
        args in any_args(),
        chosen in prop::collection::btree_set(0..TRANSFORMS.len(), 1..4),
    ) {
        let rules: String = chosen.iter().map(|i| format!(
            "@id(\"m{i}\") @outcome(\"modify\") @transform(\"{}\") forbid (principal, action == Action::\"mail/send\", resource);\n",
            TRANSFORMS[*i]
        )).collect();
        let engine = with_permit(&rules);
        let evaluated = Asked { words: "mail a@x.example", ..Asked::send(args.clone()) }.by(&engine);
        let call = &evaluated.decision.calls[0];
        match (call.outcome, &call.args) {
            (Outcome::Modify, Some(after)) => {
                let before = destinations(&args);
                for (destination, count) in destinations(after) {
                    prop_assert!(before.get(&destination).is_some_and(|known| *known >= count), "{:?}", destination);
                }
                let again = Asked { words: "mail a@x.example", ..Asked::send(after.clone()) }.by(&engine);
                prop_assert_eq!(again.decision.outcome, Outcome::Allow, "done again it changes nothing");
            }
            (Outcome::Allow, None) => {}
            (Outcome::Deny, None) => prop_assert_eq!(&call.reasons[0].rule, "transform_failed"),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// One more forbid makes no decision milder.
    #[test]
    fn outcomes_are_monotone_in_forbids(
        args in any_args(),
        rules in prop::collection::vec((0..4_usize, 0..6_usize, 0..TRANSFORMS.len()), 1..6),
        labels in prop::collection::btree_set(prop::sample::select(vec!["untrusted".to_owned(), "sensitive".to_owned()]), 0..3),
    ) {
        const CONDITIONS: [&str; 6] = [
            "",
            "when { context.args has cc }",
            "unless { context.args has cc }",
            "unless { context.grounding.destinations == \"grounded\" }",
            "when { context.session.labels.contains(\"untrusted\") }",
            "when { context.args has size && context.args.size.greaterThan(decimal(\"10.0\")) }",
        ];
        let text = |(i, (kind, condition, transform)): (usize, &(usize, usize, usize))| {
            let annotations = match kind {
                0 => String::new(),
                1 => "@outcome(\"defer\")".to_owned(),
                2 => "@outcome(\"hold\") @expires(\"1m\")".to_owned(),
                _ => format!("@outcome(\"modify\") @transform(\"{}\")", TRANSFORMS[*transform]),
            };
            format!("@id(\"r{i}\") {annotations} forbid (principal, action == Action::\"mail/send\", resource) {};\n", CONDITIONS[*condition])
        };
        let texts: Vec<String> = rules.iter().enumerate().map(text).collect();
        let asked = Asked {
            words: "mail a@x.example",
            session: SessionFacts { labels, ..SessionFacts::default() },
            ..Asked::send(args)
        };
        let mut before = Outcome::Allow;
        for n in 0..=texts.len() {
            let now = asked.by(&with_permit(&texts[..n].concat())).decision.outcome;
            prop_assert!(now <= before, "{:?} after {:?} with {}", now, before, texts[..n].concat());
            before = now;
        }
    }
}
