#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: whatever an agent declares, it is judged by the declared types or denied; nothing it sends can
//! become an entity or a function call; the same input gives the same bytes; what is sealed is enough to
//! derive the verdict again, and anything else is refused.
#![cfg(feature = "replay")]

use std::collections::BTreeMap;

use foreseal::policy::{
    AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine, Evaluated, RequestError, action_id,
};
use foreseal::record::decision::Outcome;
use proptest::prelude::*;
use serde_json::{Value, json};

const TOOLS: &str = r#"{"tools": [
  {"server": "bank", "name": "send_money", "groups": ["external", "payment"], "input": {"type": "object", "properties": {
     "amount": {"type": "number"}, "to": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
     "memo": {"type": "object", "properties": {"type": {"type": "string"}, "id": {"type": "string"}}},
     "__entity": {"type": "object", "properties": {"type": {"type": "string"}, "id": {"type": "string"}}},
     "__extn": {"type": "object", "properties": {"fn": {"type": "string"}, "arg": {"type": "string"}}}}}},
  {"server": "mail", "name": "read", "groups": ["read"]}]}"#;

const RULES: &str = r#"
@id("calls") permit (principal, action in Action::"call", resource);
@id("finance") @outcome("hold") @approver("finance_manager") @expires("15m") @reason("money moves")
forbid (principal, action == Action::"bank/send_money", resource)
unless { context.args has amount && context.args.amount.lessThan(decimal("100.0")) };
@id("stranger") @outcome("hold") @approver("clerk") @expires("1h")
forbid (principal, action in Action::"payment", resource)
unless { context.args has to && context.args.to == "landlord" };
@id("never") forbid (principal, action in Action::"payment", resource)
when { context.args has to && context.args.to == "sanctioned" };
"#;

fn load(rules: &str) -> Engine {
    let files = BTreeMap::from([
        ("rules.cedar".to_owned(), rules.as_bytes().to_vec()),
        ("tools.json".to_owned(), TOOLS.as_bytes().to_vec()),
    ]);
    Engine::new(Bundle::load(files).unwrap_or_else(|error| panic!("{error}"))).unwrap()
}

fn decide_all(engine: &Engine, calls: &[(&str, &str, &Value)]) -> Evaluated {
    let ids: Vec<String> = (0..calls.len()).map(|i| format!("c{i}")).collect();
    let calls: Vec<CallView<'_>> = calls
        .iter()
        .zip(&ids)
        .map(|((server, tool, args), id)| CallView::new(id, server, tool, args))
        .collect();
    let roles = ["teller".to_owned()];
    let agent = AgentFacts { name: "bot", roles: &roles, signed: false };
    let claimed =
        Claimed { goal_stated: true, reasoning_steps: 2, environment: Some("prod"), ..Claimed::default() };
    engine.decide(&DecideInput { claimed, ..DecideInput::new(agent, &calls, 1_790_000_000_000) })
}

fn decide(engine: &Engine, server: &str, tool: &str, args: &Value) -> Evaluated {
    decide_all(engine, &[(server, tool, args)])
}

fn outcome(engine: &Engine, args: impl std::borrow::Borrow<Value>) -> Outcome {
    decide(engine, "bank", "send_money", args.borrow()).decision.outcome
}

fn field(evaluated: &Evaluated, path: &str) -> Value {
    evaluated.value(path).unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn outcomes_reasons_and_conditions_follow_the_rules_that_matched() {
    let engine = load(RULES);
    assert_eq!(outcome(&engine, json!({"amount": 5, "to": "landlord"})), Outcome::Allow);
    let held = decide(&engine, "bank", "send_money", &json!({"amount": 500})).decision;
    assert_eq!((held.outcome, held.expires), (Outcome::Hold, Some(900_000)), "the earliest expiry wins");
    let rules: Vec<_> =
        held.conditions.iter().map(|c| (c.rule.as_str(), c.approver.as_deref(), c.expires_s)).collect();
    assert_eq!(
        rules,
        [("finance", Some("finance_manager"), Some(900)), ("stranger", Some("clerk"), Some(3600))]
    );
    assert_eq!(held.reasons.iter().map(|r| r.rule.as_str()).collect::<Vec<_>>(), ["finance", "stranger"]);
    assert_eq!(held.reasons[0].message, "money moves");
    let denied = decide(&engine, "bank", "send_money", &json!({"amount": 500, "to": "sanctioned"}));
    assert_eq!(denied.decision.outcome, Outcome::Deny);
    assert_eq!(denied.decision.reasons.iter().map(|r| r.rule.as_str()).collect::<Vec<_>>(), ["never"]);
    assert!(denied.decision.conditions.is_empty() && denied.decision.expires.is_none());
    assert_eq!(
        field(&denied, "/verdicts/0")["matched"],
        json!({"errors": [], "forbids": ["finance", "never", "stranger"], "permits": ["calls"]}),
        "all that matched, not only what decided"
    );
}

#[test]
fn an_intent_is_as_strict_as_its_strictest_call() {
    let engine = load(RULES);
    let (fine, held, none) =
        (json!({"amount": 5, "to": "landlord"}), json!({"amount": 500, "to": "landlord"}), json!({}));
    let decision =
        decide_all(&engine, &[("bank", "send_money", &fine), ("bank", "send_money", &held)]).decision;
    assert_eq!(decision.outcome, Outcome::Hold);
    assert_eq!(decision.calls.iter().map(|c| c.outcome).collect::<Vec<_>>(), [Outcome::Allow, Outcome::Hold]);
    let decision =
        decide_all(&engine, &[("bank", "send_money", &held), ("evil", "x", &none), ("mail", "read", &none)])
            .decision;
    assert_eq!(decision.outcome, Outcome::Deny);
    assert_eq!(decision.reasons.iter().map(|r| r.rule.as_str()).collect::<Vec<_>>(), ["no_permit"]);
    assert_eq!(decide_all(&engine, &[]).decision.outcome, Outcome::Deny, "no calls, nothing permitted");
}

#[test]
fn no_rule_denies_everything_and_says_what_to_do() {
    for files in [BTreeMap::new(), BTreeMap::from([("tools.json".to_owned(), TOOLS.as_bytes().to_vec())])] {
        let engine = Engine::new(Bundle::load(files).unwrap()).unwrap();
        let evaluated = decide(&engine, "mail", "read", &json!({}));
        assert_eq!(evaluated.decision.outcome, Outcome::Deny);
        assert_eq!(evaluated.decision.reasons[0].rule, "no_policy");
        assert!(evaluated.decision.reasons[0].message.contains("serve --policies DIR"));
        let replayed = engine.decide_request(&field(&evaluated, "/requests/0")).unwrap();
        assert_eq!(replayed.to_json(), field(&evaluated, "/verdicts/0"));
    }
}

/// Both ways to write a refusal, over every way in which an argument may fail to be what its schema says: whatever is not
/// known to be fine is denied, and the denial names the rule.
#[test]
fn unless_and_when_deny_what_is_missing_mistyped_or_too_large() {
    let permit = "@id(\"yes\") permit (principal, action in Action::\"call\", resource);";
    let unless = "@id(\"small-sums\") forbid (principal, action == Action::\"bank/send_money\", resource)
        unless { context.args has amount && context.args.amount.lessThan(decimal(\"100.0\")) };";
    let when = "@id(\"small-sums\") forbid (principal, action == Action::\"bank/send_money\", resource)
        when { if context.args has amount then context.args.amount.greaterThanOrEqual(decimal(\"100.0\")) else true };";
    let exact = "@id(\"small-sums\") forbid (principal, action == Action::\"bank/send_money\", resource)
        unless { context.unrepresented.isEmpty() };";
    for (form, of_absence) in [(unless, true), (when, true), (exact, false)] {
        let engine = load(&format!("{permit}\n{form}"));
        assert_eq!(outcome(&engine, json!({"amount": 99.9999})), Outcome::Allow, "{form}");
        for (what, args, absent) in [
            ("missing", json!({}), true),
            ("null is missing", json!({"amount": null}), true),
            ("a text", json!({"amount": "5"}), false),
            ("a list", json!({"amount": [5]}), false),
            ("an object", json!({"amount": {"__extn": {"fn": "decimal", "arg": "5.0"}}}), false),
            ("a flag", json!({"amount": true}), false),
            ("more than four places", json!({"amount": 0.000_01}), false),
            ("beyond a decimal", json!({"amount": 1e18}), false),
            ("near the largest double", json!({"amount": 1.7e308}), false),
            ("the largest integer", json!({"amount": u64::MAX}), false),
        ] {
            let evaluated = decide(&engine, "bank", "send_money", &args);
            let denied = evaluated.decision.outcome == Outcome::Deny;
            assert_eq!(denied, of_absence || !absent, "{what}: {form}");
            if denied {
                assert_eq!(evaluated.decision.reasons[0].rule, "small-sums", "{what}: {form}");
            }
            let replayed = engine.decide_request(&field(&evaluated, "/requests/0")).unwrap();
            assert_eq!(replayed.to_json(), field(&evaluated, "/verdicts/0"), "{what}");
        }
    }
}

/// Validation lets one kind of error through, overflow: the end-to-end form of the promise that the unit
/// tests hold for every kind.
#[test]
fn a_valid_rule_that_overflows_denies() {
    let engine = load(
        "@id(\"yes\") permit (principal, action, resource);
         @id(\"sum\") forbid (principal, action, resource) when { context.time.ms * 9223372036854775807 == 1 };",
    );
    let decision = decide(&engine, "mail", "read", &json!({})).decision;
    assert_eq!(decision.outcome, Outcome::Deny);
    assert_eq!(decision.reasons[0].rule, "policy_error");
    assert!(
        decision.reasons[0].message.contains("\"sum\"") && decision.reasons[0].message.contains("overflow")
    );
}

#[test]
fn cedars_json_escapes_are_ordinary_keys() {
    let engine = load(RULES);
    let base = outcome(&engine, json!({"amount": 5, "to": "landlord"}));
    assert_eq!(base, Outcome::Allow);
    // In Cedar's own JSON each of these would be a decimal of 5, or an entity.
    for escape in [
        json!({"__extn": {"fn": "decimal", "arg": "5.0"}}),
        json!({"__entity": {"type": "Agent", "id": "admin"}}),
        json!({"fn": "decimal", "arg": "5.0"}),
        json!({"decimal": "5.0000"}),
        json!({"record": {"amount": 5}}),
    ] {
        let evaluated = decide(&engine, "bank", "send_money", &json!({"amount": escape, "to": "landlord"}));
        assert_eq!(evaluated.decision.outcome, Outcome::Hold, "{escape}");
        assert_eq!(field(&evaluated, "/requests/0")["context"]["unrepresented"], json!(["/amount"]));
        let evaluated = decide(&engine, "bank", "send_money", &json!({"amount": 5, "to": escape}));
        assert_eq!(evaluated.decision.outcome, Outcome::Hold, "{escape}");
    }
    // Where a tool declares such names, they are records with these attributes, readable as such.
    let args = json!({"__entity": {"type": "Agent", "id": "admin"}, "__extn": {"fn": "ip", "arg": "::1"},
        "memo": {"type": "Agent", "id": "admin"}, "amount": 5, "to": "landlord"});
    let evaluated = decide(&engine, "bank", "send_money", &args);
    let request = field(&evaluated, "/requests/0");
    let sealed = &request["context"]["args"]["record"];
    assert_eq!(sealed["__entity"], json!({"record": {"id": "admin", "type": "Agent"}}));
    assert_eq!(sealed["__extn"], json!({"record": {"arg": "::1", "fn": "ip"}}));
    assert_eq!(evaluated.decision.outcome, Outcome::Allow);
    let reading = load(
        "@id(\"yes\") permit (principal, action in Action::\"call\", resource);
         @id(\"sees\") forbid (principal, action == Action::\"bank/send_money\", resource)
         when { context.args has __entity && context.args.__entity has id && context.args.__entity.id == \"admin\" };",
    );
    assert_eq!(outcome(&reading, args), Outcome::Deny);
    assert_eq!(outcome(&reading, json!({"__entity": {"id": "other"}})), Outcome::Allow);
}

#[test]
fn arguments_that_are_no_object_deny_and_replay() {
    let engine = load(RULES);
    for args in [json!(null), json!([]), json!("x"), json!(5), json!(true)] {
        let evaluated = decide(&engine, "mail", "read", &args);
        assert_eq!(evaluated.decision.outcome, Outcome::Deny);
        assert_eq!(evaluated.decision.reasons[0].rule, "request_invalid");
        let replayed = engine.decide_request(&field(&evaluated, "/requests/0")).unwrap();
        assert_eq!(replayed.to_json(), field(&evaluated, "/verdicts/0"));
    }
}

#[test]
fn huge_arguments_are_judged_like_small_ones() {
    let engine = load(RULES);
    let long = "x".repeat(100_000);
    assert_eq!(
        outcome(&engine, json!({"amount": 5, "to": "landlord", "memo": {"type": long, "id": long}})),
        Outcome::Allow
    );
    assert_eq!(outcome(&engine, json!({"amount": 5, "to": long})), Outcome::Hold);
    let many: Vec<String> = (0..10_000).map(|i| i.to_string()).collect();
    assert_eq!(outcome(&engine, json!({"amount": 5, "to": "landlord", "tags": many})), Outcome::Allow);
    let undeclared: BTreeMap<String, u32> = (0..4_000).map(|i| (format!("k{i}"), i)).collect();
    let evaluated = decide(&engine, "bank", "send_money", &json!(undeclared));
    assert_eq!(field(&evaluated, "/requests/0")["context"]["unrepresented"].as_array().unwrap().len(), 4_000);
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!({"id": deep});
    }
    assert_eq!(outcome(&engine, json!({"memo": deep, "amount": 5, "to": "landlord"})), Outcome::Allow);
}

#[test]
fn unregistered_tools_have_any_name_and_no_arguments() {
    let engine = load(
        "@id(\"yes\") permit (principal, action in Action::\"call\", resource);
         @id(\"loose\") permit (principal, action in Action::\"external\", resource) when { context.tool.server == \"open\" };
         @id(\"all\") @outcome(\"hold\") forbid (principal, action in Action::\"destructive\", resource);
         @id(\"read\") forbid (principal, action, resource) unless { resource.registered || !(context has args) };",
    );
    let pattern = "Action::\"bank/send_money\" /%2F\\\"\n\r\0\u{1b}[0m\u{202e}é𝒳'*?";
    let long: String = pattern.chars().cycle().take(700).collect();
    let long = &long[..(0..=1_024).rev().find(|at| long.is_char_boundary(*at)).unwrap()];
    for name in [
        long,
        "",
        "/",
        "call",
        "unregistered",
        "external",
        "bank/send_money",
        "send_money",
        "__entity",
        "\0",
        "\"",
        "%2F",
        "Bank",
    ] {
        for server in ["", "open", "bank ", long] {
            let args = json!({"amount": 5});
            let evaluated = decide(&engine, server, name, &args);
            let expected = if server == "open" { Outcome::Hold } else { Outcome::Deny };
            assert_eq!(evaluated.decision.outcome, expected, "{server:?} {name:?}");
            let request = field(&evaluated, "/requests/0");
            assert_eq!(request["action"], "unregistered");
            assert_eq!(request["context"]["tool"], json!({"record": {"name": name, "server": server}}));
            assert_eq!(request["context"]["unrepresented"], json!([""]));
            assert_eq!(request["resource"]["id"], action_id(server, name));
            assert!(request["context"].get("args").is_none());
            let bytes = serde_json::to_vec(&request).unwrap();
            let replayed = engine.decide_request(&serde_json::from_slice(&bytes).unwrap()).unwrap();
            assert_eq!(replayed.to_json(), field(&evaluated, "/verdicts/0"));
        }
    }
}

#[test]
fn the_evaluation_has_its_groups_in_byte_order_and_no_floats() {
    fn no_floats(value: &Value) -> bool {
        match value {
            Value::Number(number) => !number.is_f64(),
            Value::Array(items) => items.iter().all(no_floats),
            Value::Object(object) => object.values().all(no_floats),
            _ => true,
        }
    }
    let engine = load(RULES);
    let args = json!({"amount": 1.25, "to": "x", "other": 0.5});
    let calls = vec![("bank", "send_money", &args); 12];
    let evaluated = decide_all(&engine, &calls);
    let paths: Vec<&str> = evaluated.evaluation.iter().map(|field| field.path.as_str()).collect();
    assert!(paths.windows(2).all(|pair| pair[0] < pair[1]), "{paths:?}");
    assert_eq!(&paths[..5], ["/engine", "/facts", "/requests/0", "/requests/1", "/requests/10"]);
    assert_eq!(paths.len(), 2 + 2 * 12);
    assert!(paths.iter().all(|path| no_floats(&field(&evaluated, path))));
    let about = field(&evaluated, "/engine");
    assert_eq!(about["bundle"].as_str().unwrap().len(), 64);
    assert_eq!(about["cedar"], cedar_policy::get_sdk_version().to_string());
}

/// The same members in the reverse order, at every depth.
fn reversed(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            Value::Object(object.iter().rev().map(|(k, v)| (k.clone(), reversed(v))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(reversed).collect()),
        other => other.clone(),
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-4_000_i32..4_000).prop_map(|n| json!(f64::from(n) / 16.0)),
        ".{0,6}".prop_map(Value::from),
        Just(json!("landlord")),
        Just(json!("sanctioned")),
    ];
    let key = "amount|to|tags|memo|type|id|fn|arg|__entity|__extn|decimal|record|.{0,3}";
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Any arguments: judged without a panic, to the same bytes whatever the order of members and whichever
    /// engine of the same bundle, and the verdict is derived again from the sealed bytes.
    #[test]
    fn decisions_are_deterministic_and_replay(
        args in any_json(),
        (server, tool) in prop::sample::select(vec![("bank", "send_money"), ("mail", "read"), ("x", "y")]),
    ) {
        thread_local!(static ENGINES: (Engine, Engine) = (load(RULES), load(RULES)));
        ENGINES.with(|(one, two)| {
            let evaluated = decide(one, server, tool, &args);
            let bytes = |evaluated: &Evaluated| evaluated.evaluation.clone();
            prop_assert_eq!(bytes(&evaluated), bytes(&decide(two, server, tool, &reversed(&args))));
            let sealed = serde_json_canonicalizer::to_vec(&field(&evaluated, "/requests/0")).unwrap();
            // Written as it is sealed, and nothing else writes it that way.
            for field in &evaluated.evaluation {
                let value: Value = serde_json::from_slice(&field.jcs).unwrap();
                prop_assert_eq!(&serde_json_canonicalizer::to_vec(&value).unwrap(), &field.jcs);
            }
            let replayed = two.decide_request(&serde_json::from_slice(&sealed).unwrap()).unwrap();
            prop_assert_eq!(replayed.to_json(), field(&evaluated, "/verdicts/0"));
            prop_assert_eq!(&replayed.call, &evaluated.decision.calls[0]);
            Ok(())
        })?;
    }
}

#[test]
fn a_sealed_request_that_was_changed_is_refused_or_judged_anew() {
    let engine = load(RULES);
    let args = json!({"amount": 5, "to": "landlord", "tags": ["a", "b"]});
    let evaluated = decide(&engine, "bank", "send_money", &args);
    let sealed = field(&evaluated, "/requests/0");
    let changed = |at: &str, to: Value| {
        let mut request = sealed.clone();
        *request.pointer_mut(at).unwrap() = to;
        engine.decide_request(&request)
    };
    assert_eq!(
        changed("/context/args/record/amount", json!({"decimal": "500.0000"})).unwrap().call.outcome,
        Outcome::Hold
    );
    for (at, to) in [
        ("/action", json!("mail/read")),
        ("/call", json!(7)),
        ("/context", json!([])),
        ("/context/args/record/amount", json!({"decimal": "5.0"})),
        ("/context/args/record/amount", json!({"decimal": "5.00000"})),
        ("/context/args/record/amount", json!({"__extn": {"fn": "decimal", "arg": "5.0"}})),
        ("/context/args/record/amount", json!(5.5)),
        ("/context/args/record/tags", json!(["b", "a"])),
        ("/context/args/record/tags", json!(["a", "a", "b"])),
        ("/principal/id", json!("other")),
        ("/principal/type", json!("User")),
        ("/principal/attrs/roles", json!("teller")),
        ("/resource/id", json!("mail/read")),
    ] {
        let refused = changed(at, to.clone());
        assert!(matches!(refused, Err(RequestError::Malformed { .. })), "{at} {to}: {refused:?}");
    }
    for (at, to) in [
        ("/context/args/record/amount", json!("5")),
        ("/context/args/record/to", json!(["x"])),
        ("/context/args", json!({"record": {"nowhere": 1}})),
        ("/context/time", json!({"record": {}})),
    ] {
        let refused = changed(at, to.clone());
        assert!(matches!(refused, Err(RequestError::OtherBundle { .. })), "{at} {to}: {refused:?}");
    }
    let mut unregistered = sealed.clone();
    unregistered["action"] = json!("unregistered");
    unregistered["resource"]["attrs"]["registered"] = json!(false);
    assert!(matches!(engine.decide_request(&unregistered), Err(RequestError::OtherBundle { .. })));
    for nothing in [json!(null), json!({}), json!({"call": "c", "invalid": 1}), json!({"invalid": "x"})] {
        assert!(engine.decide_request(&nothing).is_err(), "{nothing}");
    }
    let mut more = sealed.clone();
    more["extra"] = json!(1);
    assert!(engine.decide_request(&more).is_err());
}

#[test]
fn times_out_of_range_deny() {
    let engine = load(RULES);
    let args = json!({});
    let calls = [CallView::new("c", "mail", "read", &args)];
    let agent = AgentFacts { name: "bot", roles: &[], signed: false };
    for (at, expected) in [
        (0, Outcome::Allow),
        (-1, Outcome::Allow),
        (9_007_199_254_740_991, Outcome::Allow),
        (9_007_199_254_740_992, Outcome::Deny),
        (i64::MIN, Outcome::Deny),
        (i64::MAX, Outcome::Deny),
    ] {
        let input = DecideInput::new(agent, &calls, at);
        assert_eq!(engine.decide(&input).decision.outcome, expected, "{at}");
    }
}
