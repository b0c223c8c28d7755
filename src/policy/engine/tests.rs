//! What the engine promises even for rules that validation would refuse, and that slicing changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::{Decision as CedarDecision, Effect, Entities};
use proptest::prelude::*;
use serde_json::json;

use super::entities::{agent_entity, tool_entity};
use super::*;
use crate::policy::{AgentFacts, CallView, Claimed, SessionFacts};
use crate::record::decision::Outcome;

const TOOLS: &str = r#"{"tools": [
    {"server": "bank", "name": "pay", "groups": ["external", "payment"], "input": {"type": "object",
        "properties": {"amount": {"type": "number"}, "count": {"type": "integer"}, "to": {"type": "string"},
        "extra": {"type": "object", "properties": {"n": {"type": "integer"}}}}}},
    {"server": "bank", "name": "look", "groups": ["read"], "input": {"type": "object",
        "properties": {"count": {"type": "integer"}}}},
    {"server": "", "name": "note", "groups": ["own-group"]}
]}"#;

fn engine(rules: &str) -> Engine {
    let files = BTreeMap::from([
        ("rules.cedar".to_owned(), rules.as_bytes().to_vec()),
        ("tools.json".to_owned(), TOOLS.as_bytes().to_vec()),
    ]);
    Engine::new(Bundle::unvalidated(&files)).unwrap()
}

fn decide(engine: &Engine, server: &str, tool: &str, args: &Value) -> Decision {
    let calls = [CallView::new("c1", server, tool, args)];
    let agent = AgentFacts { name: "bot", roles: &["teller".to_owned()], signed: true };
    let claimed = Claimed { goal_stated: true, reasoning_steps: 2, observations: 1, ..Claimed::default() };
    let input = DecideInput { claimed, ..DecideInput::new(agent, &calls, 1_760_000_000_000) };
    let evaluated = engine.decide(&input);
    // Every decision of these tests also replays.
    let field = |path: &str| evaluated.value(path).unwrap();
    assert_eq!(engine.decide_request(&field("/requests/0")).unwrap().to_json(), field("/verdicts/0"));
    evaluated.decision
}

/// What Cedar itself answers: to show that its answer alone would let the call through.
fn cedar_alone(engine: &Engine, server: &str, tool: &str, args: &Value) -> CedarDecision {
    let calls = [CallView::new("c1", server, tool, args)];
    let agent = AgentFacts { name: "bot", roles: &[], signed: true };
    let input = DecideInput::new(agent, &calls, 1);
    let (request, entities) = whole(engine, &input);
    let all = PolicySet::from_policies(engine.bundle.rules.values().map(|rule| rule.policy.clone())).unwrap();
    Authorizer::new().is_authorized(&request, &all, &entities).decision()
}

fn request(engine: &Engine, input: &DecideInput<'_>) -> Request {
    let call = &input.calls[0];
    let tool = engine.tool(call.server, call.tool);
    let order = Order::of(input.calls);
    let facts = Deciding::of(input, &order).facts(&engine.bundle, 0, call, tool);
    Request::build(FactsForm::NOW, input, &Agent::of(input.agent), call, tool, &facts).unwrap()
}

/// The request and the entities with nothing left out.
fn whole(engine: &Engine, input: &DecideInput<'_>) -> (CedarRequest, Entities) {
    let call = &input.calls[0];
    let tool = engine.tool(call.server, call.tool);
    let request = request(engine, input);
    let (principal, resource) = engine.uids(&request);
    let action =
        uid(&engine.names.action, if tool.is_some() { resource.id().unescaped() } else { UNREGISTERED });
    let entities = engine
        .bundle
        .schema
        .action_entities()
        .unwrap()
        .add_entities(
            [
                agent_entity(&principal, &request.agent).unwrap(),
                tool_entity(&resource, &request.resource).unwrap(),
            ],
            Some(&engine.bundle.schema),
        )
        .unwrap();
    let context = Context::from_pairs(restricted_pairs(&request.context, &Mention::Whole).unwrap()).unwrap();
    // With the schema: what the engine builds by hand conforms to it.
    let request =
        CedarRequest::new(principal, action, resource, context, Some(&engine.bundle.schema)).unwrap();
    (request, entities)
}

#[test]
fn an_erring_forbid_denies_where_cedar_alone_allows() {
    for (condition, kind) in [
        ("when { context.args.nowhere == 1 }", "absent"),
        ("unless { context.args.nowhere == 1 }", "absent"),
        ("when { context.nowhere.deeper }", "absent"),
        ("when { principal.nowhere == 1 }", "absent"),
        ("when { context.args.to < 5 }", "another type"),
        ("unless { context.args.to < 5 }", "another type"),
        ("when { context.args.to }", "another type"),
        ("when { context.args.amount < 5 }", "another type"),
        ("when { context.args.count * 9223372036854775807 > 0 }", "overflow"),
        ("unless { context.args.count + 9223372036854775807 > 0 }", "overflow"),
        ("when { decimal(context.args.to).lessThan(decimal(\"1.0\")) }", "refused its argument"),
        ("when { Agent::\"nobody\".signed }", "does not exist"),
    ] {
        for outcome in ["", "@outcome(\"hold\")"] {
            let engine = engine(&format!(
                "@id(\"yes\") permit (principal, action, resource);
                 @id(\"broken-rule\") {outcome} forbid (principal, action, resource) {condition};"
            ));
            let args = json!({"amount": 5, "count": 2, "to": "x"});
            assert_eq!(cedar_alone(&engine, "bank", "pay", &args), CedarDecision::Allow, "{condition}");
            let decision = decide(&engine, "bank", "pay", &args);
            assert_eq!(decision.outcome, Outcome::Deny, "{condition}");
            let [reason] = decision.reasons.as_slice() else { panic!("{condition}: {:?}", decision.reasons) };
            assert_eq!(reason.rule, "policy_error");
            assert!(
                reason.message.contains("\"broken-rule\"") && reason.message.contains(kind),
                "{}",
                reason.message
            );
            assert!(decision.conditions.is_empty());
        }
    }
}

#[test]
fn an_erring_permit_denies_beside_one_that_matches() {
    let engine = engine(
        "@id(\"yes\") permit (principal, action, resource);
         @id(\"broken\") permit (principal, action, resource) when { context.nowhere };",
    );
    let decision = decide(&engine, "bank", "look", &json!({}));
    assert_eq!(decision.outcome, Outcome::Deny);
    assert!(decision.reasons.iter().all(|reason| reason.rule == "policy_error"));
}

#[test]
fn a_rule_that_errs_for_other_tools_only_does_not_touch_this_one() {
    let engine = engine(
        "@id(\"yes\") permit (principal, action, resource);
         @id(\"broken\") forbid (principal, action == Action::\"bank/pay\", resource) when { context.nowhere };",
    );
    assert_eq!(decide(&engine, "bank", "look", &json!({})).outcome, Outcome::Allow);
    assert_eq!(decide(&engine, "bank", "pay", &json!({})).outcome, Outcome::Deny);
}

const PRINCIPALS: [&str; 3] = ["principal", "principal == Agent::\"bot\"", "principal is Agent"];
const ACTIONS: [&str; 10] = [
    "action",
    "action == Action::\"bank/pay\"",
    "action == Action::\"/note\"",
    "action in Action::\"external\"",
    "action in Action::\"call\"",
    "action in [Action::\"read\", Action::\"own-group\"]",
    "action in Action::\"bank/look\"",
    "action == Action::\"unregistered\"",
    "action == Action::\"external\"",
    "action in [Action::\"destructive\", Action::\"bank/look\"]",
];
const RESOURCES: [&str; 7] = [
    "resource",
    "resource == Tool::\"bank/pay\"",
    "resource is Tool",
    "resource in Tool::\"/note\"",
    "resource is Tool in Tool::\"bank/look\"",
    "resource is Agent",
    "resource == Agent::\"bank/pay\"",
];
const CONDITIONS: [&str; 16] = [
    "",
    "when { context has args && context.args has amount && context.args.amount.lessThan(decimal(\"10.0\")) }",
    "unless { context has args.extra.n }",
    "when { context.args.count > 3 }",
    "when { context.args.extra.n == 1 }",
    "unless { context.args.extra == {n: 1} }",
    "when { context == {a: 1} }",
    "when { context.nowhere == 1 }",
    "when { principal.signed && principal.roles.contains(\"teller\") }",
    "when { resource.registered }",
    "unless { context has environment && context.environment == \"prod\" }",
    "when { context.unrepresented.isEmpty() }",
    "when { context.tool.name like \"n*\" }",
    "when { (if context has args then context else {args: {count: 9}}).args has count }",
    "when { context has args && context.args has to } unless { [context.args.to].contains(\"x\") }",
    "when { context.time.ms * context.calls_in_intent > 9223372036854775806 }",
];

fn any_rules() -> impl Strategy<Value = String> {
    let rule =
        (0..2, 0..PRINCIPALS.len(), 0..ACTIONS.len(), 0..RESOURCES.len(), 0..CONDITIONS.len(), any::<bool>());
    prop::collection::vec(rule, 1..14).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(i, (permit, p, a, r, c, hold))| {
                let effect = match (permit, hold) {
                    (0, _) => "permit",
                    (_, true) => "@outcome(\"hold\") @expires(\"1m\") forbid",
                    (_, false) => "forbid",
                };
                format!(
                    "@id(\"r{i}\") {effect} ({}, {}, {}) {};\n",
                    PRINCIPALS[p], ACTIONS[a], RESOURCES[r], CONDITIONS[c]
                )
            })
            .collect()
    })
}

fn any_args() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<i32>().prop_map(Value::from),
        (-20_i32..20).prop_map(|n| json!(f64::from(n) / 4.0)),
        Just(json!("x")),
        Just(json!({"n": 1})),
        Just(json!({"n": 1, "m": 2})),
        Just(json!([1, "a"])),
    ];
    prop::collection::btree_map(
        prop::sample::select(vec!["amount", "count", "to", "extra", "other"]),
        scalar,
        0..5,
    )
    .prop_map(|map| json!(map))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Sliced equals unsliced, errors included: each rule asked alone, with the whole context and all
    /// entities, says what the engine says, and the decision follows from that by the documented order.
    #[test]
    fn slicing_changes_nothing(
        rules in any_rules(),
        (server, tool) in prop::sample::select(vec![("bank", "pay"), ("bank", "look"), ("", "note"), ("evil", "pay")]),
        args in any_args(),
        prod in any::<bool>(),
        at in prop::sample::select(vec![0_i64, 1_760_000_000_000]),
    ) {
        let engine = engine(&rules);
        let calls = [CallView::new("c1", server, tool, &args)];
        let roles = ["teller".to_owned()];
        let agent = AgentFacts { name: "bot", roles: &roles, signed: true };
        let session = SessionFacts { environment: prod.then(|| "prod".to_owned()), ..SessionFacts::default() };
        let input = DecideInput { session: &session, ..DecideInput::new(agent, &calls, at) };
        let (request, entities) = whole(&engine, &input);
        let (mut permits, mut forbids, mut errors) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut denies = false;
        for (id, rule) in &engine.bundle.rules {
            let alone = PolicySet::from_policies([rule.policy.clone()]).unwrap();
            let answer = Authorizer::new().is_authorized(&request, &alone, &entities);
            if answer.diagnostics().errors().next().is_some() {
                errors.insert(id.clone());
            } else if answer.diagnostics().reason().next().is_some() {
                denies |= rule.policy.effect() == Effect::Forbid && rule.policy.annotation("outcome").is_none();
                if rule.policy.effect() == Effect::Permit { permits.insert(id.clone()) } else { forbids.insert(id.clone()) };
            }
        }
        let expected = match () {
            () if !errors.is_empty() || permits.is_empty() || denies => Outcome::Deny,
            () if !forbids.is_empty() => Outcome::Hold,
            () => Outcome::Allow,
        };
        let evaluated = engine.decide(&input);
        prop_assert_eq!(evaluated.decision.outcome, expected);
        let verdict = evaluated.value("/verdicts/0").unwrap();
        prop_assert_eq!(&verdict["matched"], &json!({"errors": errors, "forbids": forbids, "permits": permits}));
        let sealed = evaluated.value("/requests/0").unwrap();
        prop_assert_eq!(engine.decide_request(&sealed).unwrap().to_json(), verdict);
    }
}

/// A defect in the engine is one call's denial, sealed like any other, and not the end of whoever asked.
#[test]
fn a_panic_while_asking_the_rules_denies_the_call() {
    let engine = engine("@id(\"all\") permit (principal, action, resource);");
    let args = json!({"count": 1});
    let calls = [CallView::new("c1", "bank", "look", &args)];
    let input = DecideInput::new(AgentFacts { name: "bot", roles: &[], signed: true }, &calls, 1);
    let mut request = request(&engine, &input);
    let verdict = caught("c1", || std::panic::resume_unwind(Box::new("a defect"))).unwrap_err();
    assert_eq!(verdict.call.outcome, Outcome::Deny);
    assert_eq!(verdict.call.reasons[0].rule, "policy_error");
    let next = engine.judge(&mut request, |_| Changed::Same);
    assert_eq!(next.call.outcome, Outcome::Allow, "the next one is judged");
}
