//! Promised: a call that rules changed runs as changed or not at all, and everybody who holds the evidence can tell;
//! a bundle that fails its own tests does not become active.

use serde_json::{Value, json};

use super::agents::{leaf_of, new_id};
use super::process::{Home, Server, foreseal, independent, run};

const TOOLS: &str = r#"{"tools": [{"server": "mail", "name": "send", "groups": ["external"],
  "input": {"type": "object", "properties": {"to": {"type": "array", "items": {"type": "string"}},
    "cc": {"type": "array", "items": {"type": "string"}}, "size": {"type": "number"}, "body": {"type": "string"}}},
  "destinations": [{"at": "/to/*", "type": "email"}, {"at": "/cc/*", "type": "email"}]}]}"#;

const RULES: &str = r#"@id("tools") permit (principal, action in Action::"call", resource);
@id("no-copies") @outcome("modify") @transform("drop:/cc; cap:/size:0.5") @reason("nobody gets copies")
forbid (principal, action == Action::"mail/send", resource);
@id("no-orders") forbid (principal, action in Action::"call", resource)
when { context.args has body && context.args.body == "now" };
"#;

fn activate(server: &Server, files: &Value, code: u16) -> Value {
    let reply = server.operator().post("/v1/policies", json!({ "files": files }).to_string());
    assert_eq!(reply.status, code, "{}", reply.text());
    reply.json()
}

fn intent(calls: &Value, atomic: bool) -> Value {
    json!({"id": new_id(), "agent": "bot", "session": "s", "goal": "g", "reasoning": [], "atomic": atomic, "calls": calls})
}

#[test]
fn a_changed_call_is_told_sealed_verified_and_given_again() {
    let home = Home::with_ledger();
    let mut server = home.serve();
    let bot = server.agent("bot");
    activate(&server, &json!({"rules.cedar": RULES, "tools.json": TOOLS}), 201);
    let args = json!({"to": ["a@x.example"], "cc": ["e@x.example"], "size": 1e3});
    let calls = json!([{"id": "c1", "server": "mail", "tool": "send", "args": args}]);
    let body = intent(&calls, true).to_string();
    let first = bot.post("/v1/intents", body.clone());
    assert_eq!(first.status, 201, "{}", first.text());
    let answer = first.json();
    let call = &answer["decision"]["calls"][0];
    assert_eq!(
        (&call["outcome"], &call["args"]),
        (&json!("modify"), &json!({"to": ["a@x.example"], "size": 0.5}))
    );
    assert_eq!(
        call["transforms"],
        json!([{"rule": "no-copies", "transform": "drop:/cc"},
        {"rule": "no-copies", "transform": "cap:/size:0.5"}])
    );
    // The same answer again, put together from what is sealed, also after a restart.
    assert_eq!(bot.post("/v1/intents", body.clone()).text(), first.text());
    assert_eq!(server.stop().code, Some(0));
    server = home.serve();
    let bot = server.client(&bot.token.unwrap());
    assert_eq!(bot.post("/v1/intents", body.clone()).text(), first.text());
    // A verifier with the declared document accepts the changed arguments that are sealed, and no others.
    let verify = |answer: &Value, code: i32| {
        let mut command = foreseal();
        command.args(["verify", "receipt"]).arg(home.file("answer", answer.to_string()));
        command.arg("--trust").arg(home.trust()).arg("--intent").arg(home.file("intent", &body));
        run(&mut command).expect(code)
    };
    verify(&answer, 0);
    for (what, args) in
        [("as declared", Some(args)), ("another", Some(json!({"to": ["e@x.example"]}))), ("none", None)]
    {
        let mut other = answer.clone();
        match args {
            Some(args) => other["decision"]["calls"][0]["args"] = args,
            None => drop(other["decision"]["calls"][0].as_object_mut().unwrap().remove("args")),
        }
        let ended = verify(&other, 1);
        assert!(ended.stdout.contains("digest"), "{what}: {}", ended.stdout);
    }
    // A bundle shows both, and verifies.
    let size = bot.size();
    let out = home.path("shown.bundle");
    let mut export = foreseal();
    export
        .args([
            "export",
            "--from",
            "0",
            "--to",
            &size.to_string(),
            "--reveal",
            "all",
            "--reveal-evaluation",
            "--out",
        ])
        .arg(&out);
    export.arg("--trust").arg(home.trust());
    export.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", home.admin_token());
    run(&mut export).expect(0);
    let mut command = foreseal();
    run(command.args(["verify", "bundle"]).arg(&out).arg("--trust").arg(home.trust())).expect(0);
    if let Some(mut command) = independent("a bundle with a changed call") {
        run(command.arg("bundle").arg(&out).arg("--trust").arg(home.trust())).expect(0);
    }
    assert_eq!(server.stop().code, Some(0));
    run(foreseal().arg("fsck").arg("--data").arg(home.data()).arg("--keys").arg(home.keys())).expect(0);
}

#[test]
fn calls_that_stand_alone_are_sealed_as_such() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    activate(&server, &json!({"rules.cedar": RULES, "tools.json": TOOLS}), 201);
    let calls = json!([
        {"id": "c1", "server": "mail", "tool": "send", "args": {"to": []}},
        {"id": "c2", "server": "mail", "tool": "send", "args": {"to": [], "body": "now"}},
        {"id": "c3", "server": "mail", "tool": "send", "args": {"to": []}, "after": ["c2"]}]);
    for (atomic, outcomes) in [(true, ["allow", "deny", "allow"]), (false, ["allow", "deny", "deny"])] {
        let answer = bot.seal(&intent(&calls, atomic));
        let leaf = leaf_of(&answer);
        assert_eq!(leaf["outcome"], "deny");
        assert_eq!(leaf.get("atomic"), (!atomic).then_some(&json!(false)));
        let sealed: Vec<&str> =
            leaf["calls"].as_array().unwrap().iter().map(|call| call["outcome"].as_str().unwrap()).collect();
        assert_eq!(sealed, outcomes);
    }
}

#[test]
fn a_bundle_that_fails_its_own_tests_or_is_a_shadow_does_not_become_active() {
    let home = Home::with_ledger();
    let server = home.serve();
    let active = activate(&server, &json!({"rules.cedar": RULES, "tools.json": TOOLS}), 201);
    let test = json!({"tests": [{"name": "held", "intent": {"agent": "a", "session": "s",
        "calls": [{"id": "c", "server": "mail", "tool": "send", "args": {}}]}, "expect": {"outcome": "hold"}}]});
    let with = |name: &str, text: Value, code: u16| {
        let mut files = json!({"rules.cedar": RULES, "tools.json": TOOLS});
        files[name] = json!(text.to_string());
        activate(&server, &files, code)
    };
    let refused = with("tests/outcomes.json", test, 400);
    assert!(refused["detail"].as_str().unwrap().contains("expected hold, decided allow"), "{refused}");
    let watches = with("manifest.json", json!({"name": "a", "version": "1", "mode": "shadow"}), 201);
    assert_eq!(watches["mode"], "shadow");
    let now = server.operator().get("/v1/policies").json();
    assert_eq!(now["digest"], active["digest"], "{now}");
}
