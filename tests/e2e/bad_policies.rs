//! Promised: whatever is wrong with a bundle is said with file, line and rule, and the active bundle stays; whatever is
//! wrong with an intent is refused or sealed as a denial; nothing is lost either way.

use foreseal::service::ErrorCode as E;
use serde_json::{Value, json};

use super::agents::{allowed, intent, leaves, new_id};
use super::errors::assert_problem;
use super::process::{Home, foreseal, run};

const PERMIT: &str = "@id(\"all\") permit (principal, action in Action::\"call\", resource);\n";
const TOOLS: &str = r#"{"tools": [{"server": "bank", "name": "pay", "destinations": [], "groups": ["payment"],
  "input": {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "number"}}}}]}"#;

/// One rule more than the first, from line 2 on.
fn rule(text: &str) -> Value {
    json!({ "rules.cedar": format!("{PERMIT}{text}"), "tools.json": TOOLS })
}

/// What is wrong, the files, and what is said of it: file and line where there is one, the rule where there is one.
fn bad_bundles() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let deep = format!(
        "@id(\"deep\") forbid (principal, action, resource) when {{ {}true{} }};",
        "(".repeat(100),
        ")".repeat(100)
    );
    let long = format!(
        "@id(\"long\") forbid (principal, action, resource) when {{ {} }};",
        vec!["true"; 2_000].join(" && ")
    );
    let many: String =
        (0..1_001).map(|i| format!("@id(\"r{i}\") forbid (principal, action, resource);\n")).collect();
    let stars = format!(
        "@id(\"stars\") forbid (principal, action == Action::\"bank/pay\", resource) when {{ context.args has to && context.args.to like \"{}x\" && context.args.amount like \"a\" }};",
        "*a".repeat(50)
    );
    vec![
        ("malformed", rule("@id(\"m\") forbid (principal, action, resource) when {"), vec!["rules.cedar:2"]),
        ("no rule at all", rule("hello"), vec!["rules.cedar:2"]),
        (
            "an unknown attribute",
            rule(
                "@id(\"u\")\nforbid (principal, action, resource)\nwhen { context.grounding.destinatoins == \"x\" };",
            ),
            vec!["rules.cedar:4", "\"u\"", "destinatoins"],
        ),
        (
            "a type error",
            rule("@id(\"t\")\nforbid (principal, action, resource)\nwhen { context.loop.repeats > \"3\" };"),
            vec!["rules.cedar:4", "\"t\""],
        ),
        (
            "an attribute that may be absent",
            rule(
                "@id(\"a\") forbid (principal, action == Action::\"bank/pay\", resource)\nwhen { context.args.to == \"x\" };",
            ),
            vec!["rules.cedar:3", "\"a\"", "to"],
        ),
        (
            "an unknown tool",
            rule("@id(\"k\") forbid (principal, action == Action::\"bank/pey\", resource);"),
            vec!["rules.cedar:2", "bank/pey"],
        ),
        (
            "an unknown annotation",
            rule("@id(\"n\") @outcom(\"hold\") forbid (principal, action, resource);"),
            vec!["rules.cedar:2", "\"n\"", "outcom"],
        ),
        (
            "a permit with an outcome",
            rule("@id(\"p\") @outcome(\"hold\") permit (principal, action, resource);"),
            vec!["rules.cedar:2", "\"p\""],
        ),
        (
            "an id twice",
            rule("@id(\"all\") forbid (principal, action, resource);"),
            vec!["rules.cedar:2", "\"all\"", "rules.cedar:1"],
        ),
        (
            "an id twice, over files",
            json!({ "a.cedar": PERMIT, "b.cedar": format!("\n\n{PERMIT}"), "tools.json": TOOLS }),
            vec!["b.cedar:3", "\"all\"", "a.cedar:1"],
        ),
        ("no id", rule("forbid (principal, action, resource);"), vec!["rules.cedar:2", "@id"]),
        (
            "a template",
            rule("@id(\"s\") forbid (principal == ?principal, action, resource);"),
            vec!["rules.cedar:2"],
        ),
        ("brackets without end", rule(&deep), vec!["rules.cedar"]),
        ("a rule without end", rule(&long), vec!["rules.cedar"]),
        ("too many rules", json!({ "rules.cedar": many }), vec!["1001 rules"]),
        (
            "too many bytes",
            json!({ "rules.cedar": format!("//{}\n{PERMIT}", "x".repeat(1 << 20)) }),
            vec!["bytes"],
        ),
        ("a pattern on what is no text", rule(&stars), vec!["rules.cedar:2", "\"stars\""]),
        ("another file", json!({ "rules.cedar": PERMIT, "run.sh": "true" }), vec!["run.sh"]),
        ("a path that leads out", json!({ "../rules.cedar": PERMIT }), vec!["../rules.cedar"]),
        (
            "tools that are none",
            json!({ "rules.cedar": PERMIT, "tools.json": "{\"tools\": [{}]}" }),
            vec!["tools.json:1"],
        ),
        (
            "tools that are no JSON",
            json!({ "rules.cedar": PERMIT, "tools.json": "{\n\"tools\":" }),
            vec!["tools.json:2"],
        ),
        (
            "a test that is none",
            json!({ "rules.cedar": PERMIT, "tests/t.json": "{\"tests\": 3}" }),
            vec!["tests/t.json:1"],
        ),
        (
            "a test that fails",
            json!({ "rules.cedar": PERMIT, "tools.json": TOOLS, "tests/t.json": json!({"tests": [{"name": "pays nobody",
                "intent": {"agent": "a", "session": "s", "calls": [{"id": "c", "server": "bank", "tool": "pay", "args": {}}]},
                "expect": {"outcome": "deny"}}]}).to_string() }),
            vec!["tests/t.json", "pays nobody", "decided allow"],
        ),
    ]
}

#[test]
fn a_bad_bundle_is_refused_with_its_place_and_the_active_one_stays() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (operator, bot) = (server.operator(), server.agent("bot"));
    let active = operator.get("/v1/policies").json();
    let size = operator.size();
    for (about, files, said) in bad_bundles() {
        for mode in ["enforce", "shadow"] {
            let body = json!({ "files": files, "mode": mode }).to_string();
            let reply = operator.post("/v1/policies", body);
            assert_problem(&reply, E::InvalidPolicy);
            let detail = reply.json()["detail"].as_str().unwrap().to_owned();
            for part in &said {
                assert!(detail.contains(part), "{about}: {part:?} is not in: {detail}");
            }
        }
        assert_eq!(operator.get("/v1/policies").json(), active, "{about}");
    }
    assert_eq!(operator.size(), size, "nothing was sealed");
    assert_eq!(bot.seal(&allowed("bot"))["decision"]["outcome"], "allow");
    server.stop().expect(0);
    // Nor does a service start with one.
    let bad = home.path("bad");
    std::fs::create_dir_all(&bad).unwrap();
    std::fs::write(
        bad.join("a.cedar"),
        format!("{PERMIT}@id(\"all\") permit (principal, action, resource);"),
    )
    .unwrap();
    let ended = run(&mut home.serve_command(&["--policies", bad.to_str().unwrap()])).expect(2);
    assert!(ended.stderr.contains("a.cedar:2") && ended.stderr.contains("hint:"), "{}", ended.stderr);
}

/// Each is refused, or sealed as a denial; and what was sealed is there.
#[test]
fn a_bad_intent_is_refused_or_sealed_as_a_denial() {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    let operator = server.operator();
    let rules = format!(
        "{PERMIT}@id(\"known-payees\") forbid (principal, action == Action::\"bank/pay\", resource) unless {{ context.unrepresented.isEmpty() && context.args has to && context.args.to like \"*a*a*a*a*a*a*a*a*b\" }};\n"
    );
    let body = json!({ "files": { "rules.cedar": rules, "tools.json": TOOLS } }).to_string();
    assert_eq!(operator.post("/v1/policies", body).status, 201);
    let bot = server.agent("bot");
    let pay = |args: Value| intent("bot", "bank", "pay", args);
    let calls = |calls: Value| json!({"id": new_id(), "agent": "bot", "session": "s", "calls": calls});
    let call = |id: &str, after: Value| json!({"id": id, "server": "bank", "tool": "pay", "args": {}, "after": after});
    let entity = json!({"__entity": {"type": "Agent", "id": "admin"}});
    let extension = json!({"__extn": {"fn": "decimal", "arg": "1.0"}});
    let cases: Vec<(&str, Value, Option<u16>)> = vec![
        ("arguments that are a list", pay(json!([1])), Some(400)),
        ("arguments that are a text", pay(json!("to")), Some(400)),
        ("arguments that are null", pay(Value::Null), Some(400)),
        ("after itself", calls(json!([call("a", json!(["a"]))])), Some(400)),
        ("after each other", calls(json!([call("a", json!(["b"])), call("b", json!(["a"]))])), Some(400)),
        ("after nobody", calls(json!([call("a", json!(["z"]))])), Some(400)),
        ("an id twice", calls(json!([call("a", json!([])), call("a", json!([]))])), Some(400)),
        ("an entity in place of a text", pay(json!({"to": entity})), None),
        ("a function in place of a number", pay(json!({"to": "b", "amount": extension})), None),
        ("an entity as all arguments", pay(entity.clone()), None),
        ("a function as all arguments", pay(extension.clone()), None),
        (
            "a text of 100,000 characters that almost fits the pattern",
            pay(json!({"to": "a".repeat(100_000)})),
            None,
        ),
        ("a name of 100,000 characters", pay(json!({ "x".repeat(100_000): 1 })), None),
        ("a number beyond all", pay(json!({"to": "b", "amount": 1e300})), Some(400)),
        ("a number of too many places", pay(json!({"to": "aaaaaaaab", "amount": 1.000_001})), None),
        ("characters that nobody sees", pay(json!({"to": "\u{202e}\u{0}\u{200b}"})), None),
        ("an unregistered tool", intent("bot", "__extn", "__entity", json!({})), None),
    ];
    let mut sealed = 0;
    let before = operator.size();
    for (about, body, refused) in &cases {
        let reply = bot.submit(body);
        match refused {
            Some(status) => assert_eq!(reply.status, *status, "{about}: {}", reply.text()),
            None => {
                assert_eq!(reply.status, 201, "{about}: {}", reply.text());
                assert_eq!(reply.json()["decision"]["outcome"], "deny", "{about}: {}", reply.text());
                sealed += 1;
                // Why is told of each, whatever it holds.
                let mut explain = foreseal();
                explain.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", home.admin_token());
                let told =
                    run(explain.args(["policy", "explain", reply.json()["id"].as_str().unwrap()])).expect(0);
                assert!(told.stdout.contains(": denied"), "{about}: {}", told.stdout);
                assert!(told.stdout.len() < 10_000, "{about}: {} bytes", told.stdout.len());
            }
        }
    }
    assert_eq!(bot.seal(&pay(json!({"to": "aaaaaaaab"})))["decision"]["outcome"], "allow");
    let intents = leaves(&operator)
        .into_iter()
        .skip(before as usize)
        .filter(|leaf| serde_json::from_slice::<Value>(leaf).unwrap()["type"] == "intent");
    assert_eq!(intents.count(), sealed + 1);
    server.stop().expect(0);
    run(foreseal().arg("fsck").arg("--data").arg(home.data())).expect(0);
}
