//! Promises 2 and 3 seen from outside: every verdict is a leaf, and without a policy the verdict is no.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::agents::{allowed, denied, entry_of, held, intent, kinds, leaf_of, leaves};
use super::process::{Home, STARTER};

#[test]
fn promise_2_every_verdict_is_the_next_leaf_and_the_answer_is_its_receipt() {
    let home = Home::with_ledger();
    let server = home.serve();
    let bot = server.agent("bot");
    let mut two_calls = allowed("bot");
    let second =
        json!({ "id": "c2", "server": "crm", "tool": "export_customers", "args": {}, "after": ["c1"] });
    two_calls["calls"].as_array_mut().unwrap().push(second);
    let cases = [
        (allowed("bot"), "allow", vec!["allow"], "registered-tools"),
        (held("bot"), "hold", vec!["hold"], "payments-need-finance"),
        (denied("bot"), "deny", vec!["deny"], "no-bulk-export"),
        (intent("bot", "bank", "send_payment", json!({})), "deny", vec!["deny"], ""),
        (intent("bot", "space", "launch", json!({ "n": 1 })), "deny", vec!["deny"], "unregistered-tools"),
        (
            intent("bot", "bank", "get_balance", json!({ "account": "a", "x": null })),
            "allow",
            vec!["allow"],
            "",
        ),
        (two_calls, "deny", vec!["allow", "deny"], "no-bulk-export"),
    ];
    let mut before: Option<Value> = None;
    for (sequence, (intent, outcome, calls, rule)) in cases.into_iter().enumerate() {
        let size = bot.size();
        let answer = bot.seal(&intent);
        // Sealed before answered: the leaf is the next one, and published, when the answer comes.
        assert_eq!(answer["index"], json!(size));
        assert_eq!(bot.size(), size + 1);
        let served = leaves(&bot).pop().unwrap();
        assert_eq!(served, entry_of(&answer));
        let leaf = leaf_of(&answer);
        assert_eq!(
            (&leaf["type"], &leaf["id"], &leaf["outcome"]),
            (&json!("intent"), &intent["id"], &json!(outcome))
        );
        let outcomes = |calls: &Value| {
            calls.as_array().unwrap().iter().map(|c| c["outcome"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(outcomes(&leaf["calls"]), calls);
        assert_eq!(outcomes(&answer["decision"]["calls"]), calls);
        assert_eq!(
            (&leaf["seq"], leaf.get("prev")),
            (&json!(sequence), before.as_ref().map(|leaf| &leaf["index"]))
        );
        assert!(answer["decision"].to_string().contains(rule), "{answer}");
        assert_eq!(answer["permits"], json!([]));
        before = Some(answer);
    }
    // So are registrations, policies and their ends.
    let policy = server.operator().post("/v1/policies", json!({ "files": { "a.cedar": "" } }).to_string());
    assert_eq!(policy.status, 201, "{}", policy.text());
    assert_eq!(bot.seal(&allowed("bot"))["decision"]["outcome"], "deny");
    assert_eq!(server.operator().post("/v1/agents/bot/revoke", "").status, 201);
    let kinds = kinds(&leaves(&server.operator()));
    assert_eq!(kinds[kinds.len() - 3..], ["policy", "intent", "agent"]);
}

#[test]
fn promise_3_without_a_policy_everything_is_denied_and_sealed_and_the_reason_says_what_to_do() {
    let home = Home::with_ledger();
    let server = home.serve_with(&[]);
    assert!(server.log().iter().any(|line| line.contains("no policy is active")), "{:?}", server.log());
    let bot = server.agent("bot");
    for intent in [allowed("bot"), held("bot"), denied("bot")] {
        let answer = bot.seal(&intent);
        assert_eq!(answer["decision"]["outcome"], "deny");
        let reason = &answer["decision"]["reasons"][0];
        assert_eq!(reason["rule"], "no_policy");
        assert!(reason["message"].as_str().unwrap().contains("policies"), "{reason}");
        let leaf = leaf_of(&answer);
        assert_eq!((&leaf["outcome"], leaf.get("policy")), (&json!("deny"), None));
    }
    assert_eq!(server.operator().get("/v1/policies").status, 404);
    server.stop();

    // Once sealed, a policy stays active without being named again; naming the same seals nothing.
    home.serve_with(&["--policies", STARTER]).stop();
    let server = home.serve_with(&[]);
    let (size, index) = (server.operator().size(), 5);
    assert_eq!((size, &server.operator().get("/v1/policies").json()["index"]), (6, &json!(index)));
    let bot = server
        .client(server.operator().post("/v1/agents/bot/rotate", "{}").json()["token"].as_str().unwrap());
    let answer = bot.seal(&allowed("bot"));
    assert_eq!(
        (&answer["decision"]["outcome"], &leaf_of(&answer)["policy"]),
        (&json!("allow"), &json!(index))
    );
    server.stop();
    let server = home.serve();
    assert_eq!(server.operator().size(), 8);
    // A bundle that does not load stops the start: the service does not run on another policy than it was told.
    server.stop();
    let broken = home.path("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("a.cedar"), "permit (").unwrap();
    let refused =
        super::process::run(&mut home.serve_command(&["--policies", broken.to_str().unwrap()])).expect(2);
    assert!(refused.stderr.contains("a.cedar") && refused.stderr.contains("hint: "), "{}", refused.stderr);
}

#[test]
fn what_was_sealed_can_be_read_back_by_those_whose_it_is() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (bot, operator) = (server.agent("bot"), server.operator());
    let body = serde_json::to_string_pretty(&held("bot")).unwrap();
    let id = serde_json::from_str::<Value>(&body).unwrap()["id"].as_str().unwrap().to_owned();
    let answer = bot.post("/v1/intents", body.clone());
    let path = format!("/v1/intents/{id}");
    for reader in [&bot, &operator] {
        let read = reader.get(path.as_str());
        assert_eq!((read.status, &read.body), (200, &answer.body));
        let receipt = reader.get(format!("{path}/receipt"));
        assert_eq!(receipt.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(receipt.text(), answer.json()["receipt"].as_str().unwrap());
    }
    assert_eq!(operator.get(format!("{path}?agent=bot")).body, answer.body);
    // The declared bytes, exactly; the evaluation and its seed are not the agent's to see.
    let (own, all) =
        (bot.get(format!("{path}/payload")).json(), operator.get(format!("{path}/payload")).json());
    assert_eq!(
        (own["declared"].as_str(), all["declared"].as_str()),
        (Some(body.as_str()), Some(body.as_str()))
    );
    assert_eq!(own["declared_seed"], answer.json()["opening"]["declared"]["seed"]);
    assert_eq!((own.get("evaluation"), own.get("evaluation_seed")), (None, None));
    assert_eq!(all["evaluation"]["verdicts"][0]["outcome"], "hold");
    assert_eq!(STANDARD.decode(all["evaluation_seed"].as_str().unwrap()).unwrap().len(), 32);
}
