#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: a policy that is carried over decides as it did, rule by rule and call by call; where something could not be
//! carried over it is said, and the result is stricter, never milder. The judge is an interpreter of the source's own
//! format, written from its published evaluator and not from ours.
#![cfg(feature = "replay")]

#[path = "policy_import/agent_spm.rs"]
mod agent_spm;

use std::collections::BTreeMap;

use foreseal::policy::import::{ImportError, ImportedPolicy, import};
use foreseal::policy::{AgentFacts, Bundle, CallView, DecideInput, Engine, SessionFacts};
use foreseal::record::decision::Outcome;
use proptest::prelude::*;
use serde_json::{Value, json};

fn engine(imported: &ImportedPolicy) -> Engine {
    Engine::new(Bundle::load(imported.files.clone()).unwrap()).unwrap()
}

/// One call, in a session of this environment, by an agent with these roles.
fn decide(engine: &Engine, tool: &str, args: &Value, environment: Option<&str>, roles: &[String]) -> Outcome {
    let session = SessionFacts {
        opened: true,
        environment: environment.map(str::to_owned),
        ..SessionFacts::UNKNOWN.clone()
    };
    let calls = [CallView::new("c1", "any", tool, args)];
    let agent = AgentFacts { name: "a", roles, signed: false };
    let input = DecideInput { session: &session, ..DecideInput::new(agent, &calls, 1_700_000_000_000) };
    engine.decide(&input).decision.outcome
}

fn text(imported: &ImportedPolicy, file: &str) -> String {
    String::from_utf8(imported.files[file].clone()).unwrap()
}

/// Agent-SPM's default policy.
fn default_policy() -> Value {
    json!({
        "version": "0.1.0", "generated_at": "2026-01-01T00:00:00Z", "expires_at": "2030-01-01T00:00:00Z",
        "rules": [
            {"id": "DENY_BULK_EXPORT", "description": "Block bulk export or data dump attempts from customer database",
             "match": {"tool_name": "query_customer_db", "environment": "*"},
             "when": {"contains_any": ["export", "all customers", "dump"]}, "outcome": "DENY"},
            {"id": "REQUIRE_APPROVAL_EMAIL_PROD", "description": "Require approval for sending emails in production",
             "match": {"tool_name": "send_email", "environment": "prod"},
             "outcome": "REQUIRE_APPROVAL", "approver_role": "security"},
        ],
        "defaults": {"outcome": "ALLOW"},
    })
}

#[test]
fn agent_spms_own_policy_is_carried_over() {
    let imported = import(&default_policy().to_string()).unwrap();
    assert_eq!((imported.form, imported.source_rules), ("agent-spm", 2));
    assert_eq!(
        text(&imported, "imported.cedar"),
        r#"// Carried over from agent-spm. The first rule that matched there decided: so each rule excludes those
// before it that would have answered otherwise.

@id("source-expired")
@reason("the policy that this came from has expired")
forbid (principal, action, resource)
when { context.time.ms >= 1893456000000 };

@id("DENY_BULK_EXPORT")
@reason("Block bulk export or data dump attempts from customer database")
forbid (principal, action, resource)
when { (context.tool.name == "query_customer_db" && context.signals.named.contains("DENY_BULK_EXPORT-contains")) };

@id("REQUIRE_APPROVAL_EMAIL_PROD.permit")
@reason("Require approval for sending emails in production")
permit (principal, action, resource)
when { (context.tool.name == "send_email" && (context has environment && context.environment == "prod")) };

@id("REQUIRE_APPROVAL_EMAIL_PROD")
@outcome("hold")
@approver("security")
@reason("Require approval for sending emails in production")
forbid (principal, action, resource)
when { (context.tool.name == "send_email" && (if context has environment then context.environment == "prod" else true)) };

@id("otherwise.permit")
permit (principal, action, resource);
"#
    );
    assert_eq!(
        text(&imported, "signals.json"),
        "{\n  \"signals\": [\n    {\"name\": \"DENY_BULK_EXPORT-contains\", \"pattern\": \"(?i)export|all customers|dump\"}\n  ]\n}\n"
    );
    let left: Vec<&str> = imported.left.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(
        left,
        ["user_input: conditions on texts look at the user's words as well, which no call carries"]
    );
    let engine = engine(&imported);
    for (tool, args, environment, wanted) in [
        ("query_customer_db", json!({"q": "Export everything"}), Some("dev"), Outcome::Deny),
        ("query_customer_db", json!({"q": "one"}), Some("prod"), Outcome::Allow),
        ("send_email", json!({}), Some("prod"), Outcome::Hold),
        ("send_email", json!({}), Some("dev"), Outcome::Allow),
        ("send_email", json!({}), None, Outcome::Hold),
        ("other", json!({}), None, Outcome::Allow),
    ] {
        assert_eq!(decide(&engine, tool, &args, environment, &[]), wanted, "{tool} {args} {environment:?}");
    }
}

/// What the sources leave open is told, and closes rather than opens.
#[test]
fn what_cannot_be_carried_over_is_told_and_stricter() {
    let rule = |when: Value, outcome: &str| json!({"id": "r", "description": "", "match": {"tool_name": "t", "environment": "*"}, "when": when, "outcome": outcome});
    for (when, what) in [
        (json!({"matches_regex": "(?=x)y"}), "no linear form: look-around"),
        (json!({"matches_regex": "(a)\\1"}), "back-references"),
        (json!({"matches_regex": "(a+)+$"}), "looks dangerous"),
        (json!({"matches_regex": "(a{500}){500}"}), "larger than"),
        (json!({"data_labels_any": ["PII"]}), "data_labels_any"),
        (json!({"tool_args_match": {"*": 1}}), "named *"),
        (json!({"tool_args_match": {"n": {"gt": "5"}}}), "with no number"),
        (json!({"later_condition": 1}), "later_condition: not known"),
    ] {
        for (outcome, default, wanted) in [("DENY", "ALLOW", None), ("ALLOW", "DENY", Some(Outcome::Deny))] {
            let policy = json!({"rules": [rule(when.clone(), outcome)], "defaults": {"outcome": default}});
            let imported = import(&policy.to_string()).unwrap();
            assert!(imported.left.iter().any(|left| left.what.contains(what)), "{when}: {:?}", imported.left);
            if let Some(wanted) = wanted {
                let args = json!({"x": "xy aaa", "n": 6, "*": 1});
                assert_eq!(decide(&engine(&imported), "t", &args, None, &[]), wanted, "{when}");
            }
        }
    }
    let policy = json!({"defaults": {"outcome": "DENY"}, "signature": "00", "rules": [
        {"id": "no such name", "description": "d", "outcome": "REQUIRE_APPROVAL", "approver_role": "the boss",
         "constraints": {"max_rows": 1},
         "match": {"tool_name": ["a", "b"], "environment": "*", "trust_level_min": "verified"}}]});
    let imported = import(&policy.to_string()).unwrap();
    let told: Vec<&str> = imported.left.iter().map(|left| left.what.as_str()).collect();
    assert_eq!(
        told,
        [
            "signature: it is an HMAC over other bytes",
            "approver_role \"the boss\" is no name here",
            "constraints: the source hands them to the application",
            "match.trust_level_min: an agent has roles here, from the registry",
        ]
    );
    assert_eq!(decide(&engine(&imported), "a", &json!({}), None, &[]), Outcome::Deny);
}

#[test]
fn what_is_in_no_form_is_refused() {
    for bad in ["", "7", "[]", "{}", "a: [1", "a: 1\na: 2", "{\"rules\": 7}"] {
        assert_eq!(import(bad), Err(ImportError::UnknownForm), "{bad:?}");
    }
    assert_eq!(import(&" ".repeat((1 << 20) + 1)), Err(ImportError::TooLarge));
    for (bad, what) in [
        ("{\"rules\": [{\"match\": {}}], \"defaults\": {\"outcome\": \"ALLOW\"}}", "/rules/0/id: no id"),
        ("{\"rules\": [], \"defaults\": {\"outcome\": \"MAYBE\"}}", "/defaults/outcome: not an outcome"),
        ("allow: [{reason: x}]", "/allow/0: no tool"),
        ("allow: ['Bash(git push:*)']", "/allow/0: not the name of a tool"),
        ("allow: [a]\ndefault: maybe", "/default: neither"),
        ("rules: [{tool: a}]", "/rules/0: no action"),
    ] {
        let error = import(bad).unwrap_err().to_string();
        assert!(error.contains(what), "{bad}: {error}");
    }
}

const LISTS: &str = "
# Who may do what.
default: deny
allow:
  - read_*
  - mail/search
  - {tool: pay, reason: small amounts}
ask: [{tool: 'send_*', reason: somebody looks, approver: lead}]
deny: [send_all]
tests:
  - {name: reading, tool: read_file, args: {path: x}, expect: allow}
  - {name: another server's search, tool: web/search, expect: deny}
  - {tool: send_one, args: {n: 5, yes: true}, expect: ask}
  - {tool: send_all, expect: deny}
";

#[test]
fn lists_are_carried_over_with_their_examples() {
    let imported = import(LISTS).unwrap();
    assert_eq!((imported.form, imported.source_rules, &imported.left), ("lists", 5, &Vec::new()));
    let engine = engine(&imported);
    assert_eq!(engine.run_tests(), (4, vec![]));
    let decide = |server: &str, tool: &str| {
        let args = json!({});
        let calls = [CallView::new("c1", server, tool, &args)];
        let agent = AgentFacts { name: "a", roles: &[], signed: false };
        engine.decide(&DecideInput::new(agent, &calls, 0)).decision.outcome
    };
    for (server, tool, wanted) in [
        ("mail", "search", Outcome::Allow),
        ("", "search", Outcome::Deny),
        ("bank", "pay", Outcome::Allow),
        ("bank", "payout", Outcome::Deny),
        ("mail", "send_one", Outcome::Hold),
        ("mail", "send_all", Outcome::Deny),
    ] {
        assert_eq!(decide(server, tool), wanted, "{server}/{tool}");
    }
    assert!(text(&imported, "imported.cedar").contains("@approver(\"lead\")"));
}

const RULES: &str = r#"
apiVersion: governance.toolkit/v1
name: agent-safety
default_action: allow
rules:
  - name: small-payments
    condition: "action.type == 'pay' and action.args.amount <= 100"
    action: allow
    priority: 50
  - name: block-dangerous-tools
    condition: "action.type in ['delete_file', 'shell_exec', 'drop_table']"
    action: deny
    description: "Destructive operations are blocked"
    priority: 100
  - name: other-payments
    condition: "action.type == 'pay'"
    action: require_approval
    approvers: ["finance"]
    priority: 40
  - name: block-pii
    condition: "input_text matches '\\b\\d{3}-\\d{2}-\\d{4}\\b'"
    action: deny
    priority: 10
  - {name: tell, tool: "search", action: warn}
"#;

#[test]
fn ordered_rules_are_carried_over_by_priority() {
    let imported = import(RULES).unwrap();
    let told: Vec<(Option<&str>, &str)> =
        imported.left.iter().map(|left| (left.rule.as_deref(), left.what.as_str())).collect();
    assert_eq!(imported.form, "rules");
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(told[0].0, Some("block-pii"));
    assert_eq!(told[1], (Some("tell"), "action warn: a call that is allowed and told of"));
    let engine = engine(&imported);
    for (tool, args, wanted) in [
        ("shell_exec", json!({}), Outcome::Deny),
        ("pay", json!({"amount": 100}), Outcome::Allow),
        ("pay", json!({"amount": 100.5}), Outcome::Hold),
        ("pay", json!({"amount": "5"}), Outcome::Hold),
        // What was to be denied by a condition that cannot be seen is denied.
        ("search", json!({}), Outcome::Deny),
    ] {
        assert_eq!(decide(&engine, tool, &args, None, &[]), wanted, "{tool} {args}");
    }
}

/// A rule of which everything is carried over: no spaces in patterns, no anchors, no labels.
fn rule(i: usize) -> impl Strategy<Value = Value> {
    let tool = prop_oneof![
        Just(json!("*")),
        Just(json!("a")),
        Just(json!("b_*")),
        Just(json!(["a", "b_one"])),
        Just(json!(["c"])),
        Just(json!([])),
    ];
    let environment = prop_oneof![Just("*"), Just("prod"), Just("dev")];
    let outcome = prop_oneof![Just("ALLOW"), Just("DENY"), Just("REQUIRE_APPROVAL")];
    let roles = prop_oneof![3 => Just(json!(null)), 1 => Just(json!(["lead"])), 1 => Just(json!([]))];
    let words = || {
        prop::collection::vec(prop_oneof!["[a-cA-C]{1,2}", Just(".".to_owned()), Just("5".to_owned())], 0..3)
    };
    let pattern = prop_oneof![
        2 => Just(json!(null)),
        1 => prop_oneof!["[abc]{1,2}", Just("[a-b]c".to_owned()), Just("\\d\\d".to_owned()), Just("\\ba".to_owned())]
            .prop_map(Value::from),
    ];
    let argument = prop_oneof![
        Just(json!(5)),
        Just(json!("5")),
        Just(json!(null)),
        Just(json!(true)),
        Just(json!([5])),
        Just(json!({"gt": 4})),
        Just(json!({"gte": 5, "lt": 50})),
        Just(json!({"lte": -1.5})),
        Just(json!({"eq": "ab"})),
        Just(json!({"neq": 5})),
        Just(json!({"neq": [1]})),
        Just(json!({"eq": {}})),
        Just(json!({"around": 5})),
    ];
    let arguments = prop_oneof![
        3 => Just(json!(null)),
        2 => (prop_oneof![Just("x"), Just("y~/z")], argument).prop_map(|(name, wanted)| json!({name: wanted})),
    ];
    let when = (words(), words(), pattern, arguments).prop_map(|(any, none, pattern, arguments)| {
        json!({"contains_any": any, "not_contains": none, "matches_regex": pattern, "tool_args_match": arguments})
    });
    let approver = prop_oneof![Just(json!(null)), Just(json!("lead")), Just(json!("boss"))];
    (tool, environment, outcome, roles, prop_oneof![Just(json!(null)), when.boxed()], approver).prop_map(
        move |(tool, environment, outcome, roles, when, approver)| {
            json!({"id": format!("rule {i}"), "description": format!("the rule\n{i}"), "outcome": outcome,
                "match": {"tool_name": tool, "environment": environment, "agent_roles_any": roles},
                "when": when, "approver_role": approver})
        },
    )
}

fn policy() -> impl Strategy<Value = Value> {
    let rules = (0..8_usize).prop_flat_map(|count| (0..count).map(rule).collect::<Vec<_>>());
    (rules, prop_oneof![Just("ALLOW"), Just("DENY"), Just("REQUIRE_APPROVAL")]).prop_map(
        |(rules, default)| json!({"version": "1", "rules": rules, "defaults": {"outcome": default}}),
    )
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(5)),
        Just(json!(5.0)),
        Just(json!(-2)),
        Just(json!(50)),
        Just(json!(true)),
        Just(json!(null)),
        Just(json!("5")),
        "[a-cA-C0-9.]{0,4}".prop_map(Value::from),
    ]
}

fn args() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        3 => scalar(),
        1 => prop::collection::vec(scalar(), 0..3).prop_map(Value::from),
        1 => scalar().prop_map(|inner| json!({"inner": inner})),
    ];
    let name = prop_oneof![Just("x".to_owned()), Just("y~/z".to_owned()), Just("abc".to_owned())];
    prop::collection::btree_map(name, value, 0..3)
        .prop_map(|members| members.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the rules, whatever the call: both decide alike.
    #[test]
    fn first_match_is_preserved(
        policy in policy(),
        calls in prop::collection::vec(
            (prop_oneof![Just("a"), Just("b_one"), Just("b_"), Just("c"), Just("d")], args(),
             prop_oneof![Just("prod"), Just("dev")], prop_oneof![Just(vec![]), Just(vec!["lead".to_owned()])]),
            1..12,
        ),
    ) {
        let imported = import(&policy.to_string()).unwrap();
        let engine = engine(&imported);
        for (tool, args, environment, roles) in calls {
            let wanted = agent_spm::outcome(&policy, tool, &args, environment, &roles);
            let decided = decide(&engine, tool, &args, Some(environment), &roles);
            prop_assert_eq!(
                decided, wanted, "{} {} in {} by {:?}\n{}", tool, args, environment, roles,
                text(&imported, "imported.cedar")
            );
        }
    }

    /// With conditions that are not carried over, and environments that nobody told: never milder.
    #[test]
    fn what_is_lost_makes_it_stricter(
        policy in policy(),
        lost in prop::collection::vec(prop_oneof![
            Just(json!({"data_labels_any": ["PII"]})), Just(json!({"matches_regex": "^[abc]"})),
            Just(json!({"matches_regex": "(a|b)+"})), Just(json!({"matches_regex": "(?!x)"})),
        ], 8),
        tool in prop_oneof![Just("a"), Just("b_one"), Just("d")],
        args in args(),
        environment in prop_oneof![Just("prod"), Just("dev")],
        labelled in any::<bool>(),
    ) {
        let mut policy = policy;
        for (rule, lost) in policy["rules"].as_array_mut().unwrap().iter_mut().zip(&lost) {
            if rule["when"].is_null() {
                rule["when"] = lost.clone();
            }
        }
        let imported = import(&policy.to_string()).unwrap();
        let engine = engine(&imported);
        let source = agent_spm::Source { labels: if labelled { &["PII"] } else { &[] } };
        let wanted = source.outcome(&policy, tool, &args, environment, &[]);
        for told in [Some(environment), None] {
            // Strictest first.
            let decided = decide(&engine, tool, &args, told, &[]);
            prop_assert!(decided <= wanted, "{} is milder than {}: {} {}\n{}", decided, wanted, tool, args, policy);
        }
    }
}
