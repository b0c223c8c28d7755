#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: the starter bundle loads; under it each example run meets an allow, a hold and a deny where the
//! run's own text says so, and no call that carries out an injected goal is allowed; every Cedar snippet of
//! docs/policy.md is valid.
#![cfg(feature = "replay")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use foreseal::policy::{AgentFacts, Bundle, CallView, Claimed, DecideInput, Engine};
use foreseal::record::decision::Outcome;
use serde_json::{Value, json};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn starter() -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(here("policies/starter"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

fn outcomes(engine: &Engine, calls: &[Value]) -> Vec<Outcome> {
    let ids: Vec<String> = (0..calls.len()).map(|i| format!("c{i}")).collect();
    let calls: Vec<CallView<'_>> = calls
        .iter()
        .zip(&ids)
        .map(|(call, id)| {
            let server = call.get("server").map_or("", |server| server.as_str().unwrap());
            CallView::new(id, server, call["name"].as_str().unwrap(), &call["args"])
        })
        .collect();
    let agent = AgentFacts { name: "example", roles: &[], signed: false };
    let claimed = Claimed { goal_stated: true, reasoning_steps: 1, ..Claimed::default() };
    let input = DecideInput { claimed, ..DecideInput::new(agent, &calls, 1_790_000_000_000) };
    engine.decide(&input).decision.calls.into_iter().map(|call| call.outcome).collect()
}

/// One letter per call, steps apart: what the run meets.
fn course(engine: &Engine, run: &Value) -> String {
    let mut course = Vec::new();
    for step in run["steps"].as_array().unwrap() {
        let Some(calls) = step.get("tool_calls").and_then(Value::as_array) else { continue };
        let outcomes = outcomes(engine, calls);
        for (call, outcome) in calls.iter().zip(&outcomes) {
            let mal = call["mal"].as_bool().unwrap();
            assert!(!mal || *outcome != Outcome::Allow, "an injected call is allowed: {call}");
        }
        let letters: String = outcomes.iter().map(|outcome| &outcome.as_str()[..1]).collect();
        if !letters.is_empty() {
            course.push(letters);
        }
    }
    course.join(" ")
}

#[test]
fn the_starter_bundle_loads_and_warns_only_of_the_patterns_it_explains() {
    let bundle = Bundle::load(starter()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(bundle.tools().len(), 17);
    let mut warned: Vec<&str> = bundle.warnings().iter().map(|warning| warning.rule.as_str()).collect();
    warned.dedup();
    assert_eq!(warned, ["secrets-stay-unread", "mail-leaves-the-house"], "{:?}", bundle.warnings());
}

#[test]
fn each_example_run_meets_allow_hold_and_deny_in_its_places() {
    let engine = Engine::new(Bundle::load(starter()).unwrap()).unwrap();
    for (name, expected) in
        [("banking", "a a a d h a"), ("coding", "aa a a dd a d h a"), ("support", "a a a h dh a h")]
    {
        let text = std::fs::read_to_string(here(&format!("examples/traces/{name}.json"))).unwrap();
        let run: Value = serde_json::from_str(&text).unwrap();
        assert!((5..=8).contains(&run["steps"].as_array().unwrap().len()), "{name}");
        assert_eq!(course(&engine, &run), expected, "{name}");
    }
}

#[test]
fn starter_rules_hold_at_their_edges() {
    let engine = Engine::new(Bundle::load(starter()).unwrap()).unwrap();
    let one = |server: &str, name: &str, args: Value| {
        outcomes(&engine, &[json!({"server": server, "name": name, "args": args})])[0]
    };
    let known = "DE44500105175407324931";
    let pay = |amount: Value| one("bank", "send_payment", json!({"destination": known, "amount": amount}));
    assert_eq!(pay(json!(99.99)), Outcome::Allow);
    assert_eq!(pay(json!(100)), Outcome::Hold);
    for no_amount in
        [json!(0), json!(-5), json!("50"), json!(99.99999), json!(null), json!([50]), json!(1e300)]
    {
        assert_eq!(pay(no_amount.clone()), Outcome::Deny, "{no_amount}");
    }
    assert_eq!(
        one("bank", "send_payment", json!({"amount": 5})),
        Outcome::Hold,
        "no destination is no known one"
    );
    let hidden = json!({"destination": known, "amount": 5, "amount_2": 5000});
    assert_eq!(one("bank", "send_payment", hidden), Outcome::Deny, "an undeclared argument");
    assert_eq!(
        one("", "send_payment", json!({"destination": known, "amount": 5})),
        Outcome::Deny,
        "another server"
    );
    let push = |branch: &str, force: bool| one("repo", "git_push", json!({"branch": branch, "force": force}));
    assert_eq!(push("agent/x", true), Outcome::Allow);
    assert_eq!(push("main", true), Outcome::Deny);
    assert_eq!(push("refs/heads/main", true), Outcome::Deny);
    assert_eq!(one("repo", "git_push", json!({"force": true})), Outcome::Deny, "no branch might be main");
    for other in ["main", "+main", "agent/x:main", "HEAD:main", "Agent/x"] {
        assert_eq!(push(other, false), Outcome::Hold, "{other}");
    }
    let mail = |to: &str| one("mail", "send_email", json!({"to": to, "body": "x"}));
    assert_eq!(mail("a@shop.example"), Outcome::Allow);
    for other in [
        "a@shop.example.evil",
        "a@evil.example,b@shop.example",
        "a@evil.example b@shop.example",
        "x@evil@shop.example",
        "",
    ] {
        assert_eq!(mail(other), Outcome::Hold, "{other}");
    }
    let run = |program: &str| one("repo", "run_program", json!({"program": program}));
    assert_eq!((run("cargo"), run("bash"), run("make")), (Outcome::Allow, Outcome::Deny, Outcome::Hold));
    assert_eq!(one("repo", "delete_branch", json!({"branch": "x"})), Outcome::Hold);
    assert_eq!(one("crm", "issue_refund", json!({"order": "1", "amount": 1000})), Outcome::Deny);
}

/// Every fenced block that says `cedar` is a bundle's rules, together with the page's `tools.json`; a block
/// that says `cedar,refused` must not load.
#[test]
fn every_snippet_of_the_policy_page_is_what_it_says() {
    let page = std::fs::read_to_string(here("docs/policy.md")).unwrap();
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    let tools = blocks
        .iter()
        .find(|(info, _)| info == "json tools")
        .map(|(_, text)| text.as_bytes().to_vec())
        .unwrap();
    let (mut valid, mut refused) = (0, 0);
    for (info, text) in &blocks {
        let files = BTreeMap::from([
            ("snippet.cedar".to_owned(), text.as_bytes().to_vec()),
            ("tools.json".to_owned(), tools.clone()),
        ]);
        match info.as_str() {
            "cedar" => {
                Bundle::load(files).unwrap_or_else(|error| panic!("{error}\nin:\n{text}"));
                valid += 1;
            }
            "cedar,refused" => {
                assert!(Bundle::load(files).is_err(), "loads:\n{text}");
                refused += 1;
            }
            _ => {}
        }
    }
    assert!(valid >= 9 && refused >= 4, "{valid} valid, {refused} refused");
    // The page's tests hold under the page's own rules about strangers.
    let tests =
        blocks.iter().find(|(info, _)| info == "json tests").map(|(_, text)| text.clone().into_bytes());
    let strangers = blocks.iter().find(|(_, text)| text.contains("@id(\"strangers\")")).unwrap();
    let rules =
        format!("@id(\"all\") permit (principal, action in Action::\"call\", resource);\n{}", strangers.1);
    let files = BTreeMap::from([
        ("page.cedar".to_owned(), rules.into_bytes()),
        ("tests/page.json".to_owned(), tests.unwrap()),
        ("tools.json".to_owned(), tools),
    ]);
    assert_eq!(Engine::new(Bundle::load(files).unwrap()).unwrap().run_tests(), (2, vec![]));
}
