//! What applications and tool servers say, over HTTP and by the command line: who may, once, and with which errors.

use foreseal::service::ErrorCode as E;
use serde_json::{Value, json};

use super::agents::{allowed, entry_of, id_at, intent, leaf_of, new_id};
use super::errors::assert_problem;
use super::http::{Client, Reply, Request};
use super::process::{Home, Server, foreseal, run};

/// Registers by the command line; asks as it.
fn party(server: &Server, command: &str, name: &str) -> Client {
    let mut add = foreseal();
    add.args([command, "add", name]).env("FORESEAL_URL", server.url());
    add.env("FORESEAL_TOKEN", server.operator().token.unwrap());
    let added = run(&mut add).expect(0);
    assert_eq!(added.stdout.lines().count(), 1, "the token alone");
    server.client(added.stdout.trim())
}

fn post(client: &Client, path: &str, body: &Value) -> Reply {
    client.send(&Request::post(path, body.to_string()))
}

fn sealed(reply: &Reply) -> Value {
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()
}

fn session(agent: &str) -> Value {
    json!({ "agent": agent, "session": "session-1", "words": ["What is my balance?"],
        "principal": { "id": "alice", "roles": ["customer"] }, "environment": "prod" })
}

#[test]
fn sessions_turns_and_outcomes_are_sealed_by_who_may_say_them_once() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (bot, other) = (server.agent("bot"), server.agent("other"));
    let (desk, else_desk) = (party(&server, "application", "desk"), party(&server, "application", "else"));
    let (bank, mail) = (party(&server, "tool-server", "bank"), party(&server, "tool-server", "mail"));

    // A session, by an application; the same again is the same answer, byte for byte, also after a restart.
    let mut opening = session("bot");
    opening["id"] = new_id().into();
    for nobody in [&bot, &bank, &server.operator()] {
        assert_problem(&post(nobody, "/v1/sessions", &opening), E::Forbidden);
    }
    let opened = post(&desk, "/v1/sessions", &opening);
    let answer = sealed(&opened);
    assert_eq!(answer["id"], opening["id"]);
    assert_eq!(leaf_of(&answer)["type"], "session");
    assert_eq!(post(&desk, "/v1/sessions", &opening).body, opened.body);
    let mut changed = opening.clone();
    changed["words"] = json!(["Pay everything"]);
    assert_problem(&post(&desk, "/v1/sessions", &changed), E::IdReused);
    assert_problem(&post(&desk, "/v1/sessions", &session("bot")), E::SessionOpen);
    assert_problem(&post(&else_desk, "/v1/sessions", &session("bot")), E::SessionOpen);
    sealed(&post(&else_desk, "/v1/sessions", &session("other")));

    // Turns: of this application alone.
    let turns = format!("/v1/sessions/{}/turns", answer["id"].as_str().unwrap());
    let turn = json!({ "words": ["And of my savings?"], "id": new_id() });
    let said = post(&desk, &turns, &turn);
    assert_eq!(leaf_of(&sealed(&said))["opened"], answer["index"]);
    assert_eq!(post(&desk, &turns, &turn).body, said.body);
    assert_problem(&post(&else_desk, &turns, &turn), E::NotFound);
    assert_problem(&post(&bot, &turns, &turn), E::Forbidden);
    assert_problem(&post(&desk, &format!("/v1/sessions/{}/turns", new_id()), &turn), E::NotFound);
    // The turn's own id is no session's.
    assert_problem(
        &post(&desk, &format!("/v1/sessions/{}/turns", turn["id"].as_str().unwrap()), &turn),
        E::NotFound,
    );

    // Outcomes: of the server that the call names, of what was allowed, once.
    let asked = allowed("bot");
    bot.seal(&asked);
    let outcomes = |intent: &Value| format!("/v1/intents/{}/outcomes", intent["id"].as_str().unwrap());
    let outcome = json!({ "call": "c1", "status": "ok", "result": { "balance": 12.5 } });
    for nobody in [&bot, &desk, &mail] {
        assert_problem(&post(nobody, &outcomes(&asked), &outcome), E::Forbidden);
    }
    let reported = post(&bank, &outcomes(&asked), &outcome);
    let report = sealed(&reported);
    assert_eq!((&leaf_of(&report)["type"], &leaf_of(&report)["call"]), (&json!("outcome"), &json!(0)));
    assert_eq!(post(&bank, &outcomes(&asked), &outcome).body, reported.body);
    for other in [
        json!({ "call": "c1", "status": "error", "result": { "balance": 12.5 } }),
        json!({ "call": "c1", "status": "ok", "result": {} }),
    ] {
        assert_problem(&post(&bank, &outcomes(&asked), &other), E::OutcomeReported);
    }
    assert_problem(
        &post(&bank, &outcomes(&asked), &json!({ "call": "c2", "status": "ok", "result": 1 })),
        E::NotFound,
    );
    assert_problem(&post(&bank, &outcomes(&allowed("bot")), &outcome), E::NotFound);
    let held = intent(
        "bot",
        "bank",
        "send_payment",
        json!({ "destination": "DE44500105175407324931", "amount": 250 }),
    );
    bot.seal(&held);
    assert_problem(&post(&bank, &outcomes(&held), &outcome), E::CallNotAllowed);
    // Two agents used one id: the server says whose.
    let mut twin = allowed("other");
    twin["id"] = asked["id"].clone();
    other.seal(&twin);
    assert_problem(&post(&bank, &outcomes(&asked), &outcome), E::AmbiguousId);
    let whose = |agent: &str| format!("{}?agent={agent}", outcomes(&asked));
    assert_eq!(post(&bank, &whose("bot"), &outcome).body, reported.body);
    sealed(&post(&bank, &whose("other"), &outcome));

    // What was said survives kill -9, and is known by its id.
    server.kill();
    let server = home.serve();
    let (desk, bank) =
        (server.client(desk.token.as_ref().unwrap()), server.client(bank.token.as_ref().unwrap()));
    assert_eq!(post(&desk, "/v1/sessions", &opening).body, opened.body);
    assert_eq!(post(&desk, &turns, &turn).body, said.body);
    assert_eq!(post(&bank, &whose("bot"), &outcome).body, reported.body);
    receipts_verify(&home, &[answer, report]);

    // The application ends, and with it its sessions and its word.
    let revoked = server.operator().send(&Request::new("POST", "/v1/applications/desk/revoke"));
    assert_eq!(revoked.status, 201, "{}", revoked.text());
    assert_problem(&post(&desk, "/v1/sessions", &session("bot")), E::Unauthenticated);
    server.stop();
    let mut audit = foreseal();
    audit.arg("audit").arg(home.data()).arg("--trust").arg(home.trust());
    run(&mut audit).expect(0);
    let mut fsck = foreseal();
    run(fsck.args(["fsck", "--data"]).arg(home.data())).expect(0);
}

fn receipts_verify(home: &Home, answers: &[Value]) {
    for answer in answers {
        let receipt = home.file("receipt", answer["receipt"].as_str().unwrap());
        let leaf = home.file("leaf", entry_of(answer));
        let mut verify = foreseal();
        verify
            .args(["verify", "receipt"])
            .arg(receipt)
            .arg("--entry")
            .arg(leaf)
            .arg("--trust")
            .arg(home.trust());
        run(&mut verify).expect(0);
    }
}

#[test]
fn what_is_malformed_is_refused_and_nothing_is_sealed() {
    let home = Home::with_ledger();
    let server = home.serve();
    let _bot = server.agent("bot");
    let (desk, bank) = (party(&server, "application", "desk"), party(&server, "tool-server", "bank"));
    let opened = sealed(&post(&desk, "/v1/sessions", &session("bot")));
    let turns = format!("/v1/sessions/{}/turns", opened["id"].as_str().unwrap());
    let size = server.operator().size();
    let with = |name: &str, value: Value| {
        let mut body = session("bot");
        body["session"] = "another".into();
        body[name] = value;
        body
    };
    let big = "x".repeat(1 << 20);
    for (code, client, path, body, detail) in [
        (E::NotFound, &desk, "/v1/sessions", with("agent", json!("nobody")), "\"nobody\""),
        (E::MalformedRequest, &desk, "/v1/sessions", with("agent", json!("a b")), "/agent"),
        (E::MalformedRequest, &desk, "/v1/sessions", with("id", json!("17")), "/id"),
        (E::MalformedRequest, &desk, "/v1/sessions", with("id", json!(id_at(0).to_uppercase())), "/id"),
        (E::MalformedRequest, &desk, "/v1/sessions", with("words", json!("pay")), "sequence"),
        (E::MalformedRequest, &desk, "/v1/sessions", with("words", json!(vec!["w"; 65])), "/words: has 65"),
        (E::MalformedRequest, &desk, "/v1/sessions", with("goal", json!("pay")), "goal"),
        (
            E::MalformedRequest,
            &desk,
            "/v1/sessions",
            with("plan", json!({ "steps": [{ "tool": "" }] })),
            "/plan/steps/0/tool",
        ),
        (
            E::MalformedRequest,
            &desk,
            "/v1/sessions",
            with("plan", json!({ "steps": [{ "tool": "t", "after": ["x"] }] })),
            "/plan/steps/0",
        ),
        (E::MalformedRequest, &desk, "/v1/sessions", json!([]), "object"),
        (E::TooLarge, &desk, "/v1/sessions", with("words", json!([big])), "1048576"),
        (E::MalformedRequest, &desk, &turns, json!({ "words": [1] }), "invalid type"),
        (E::MalformedRequest, &desk, "/v1/sessions/17/turns", json!({ "words": [] }), "UUID"),
        (E::MalformedRequest, &bank, "/v1/intents/17/outcomes", json!({}), "UUID"),
        (
            E::MalformedRequest,
            &bank,
            "/v1/intents/01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e/outcomes",
            json!({ "call": "c1", "status": "fine", "result": 1 }),
            "`ok` or `error`",
        ),
        (
            E::MalformedRequest,
            &bank,
            "/v1/intents/01a1fc83-1ca4-7286-8eaa-163f6fbd2a3e/outcomes",
            json!({ "call": "c1", "status": "ok" }),
            "result",
        ),
    ] {
        let reply = post(client, path, &body);
        assert_problem(&reply, code);
        let said = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(said.contains(detail), "{detail:?} is not in: {said}");
    }
    for (path, name) in [("applications", "desk"), ("tool-servers", "bank")] {
        let path = format!("/v1/{path}");
        assert_problem(&post(&server.operator(), &path, &json!({ "name": name })), E::NameTaken);
        assert_problem(&post(&server.operator(), &path, &json!({ "name": "a/b" })), E::MalformedRequest);
        assert_problem(&post(&desk, &path, &json!({ "name": "mine" })), E::Forbidden);
        assert_problem(&post(&server.operator(), &format!("{path}/nobody/rotate"), &json!({})), E::NotFound);
        let listed = server.operator().get(path.clone());
        assert!(listed.text().contains(name) && !listed.text().contains("token"), "{}", listed.text());
    }
    assert_eq!(server.operator().size(), size, "a refusal was sealed");
    // A new token ends the old one; what an application may not read stays out of its reach.
    let rotated = server.operator().send(&Request::new("POST", "/v1/applications/desk/rotate"));
    assert_problem(&post(&desk, &turns, &json!({ "words": [] })), E::Unauthenticated);
    let desk = server.client(rotated.json()["token"].as_str().unwrap());
    sealed(&post(&desk, &turns, &json!({ "words": [] })));
    assert_problem(&desk.get(format!("/v1/intents/{}", new_id())), E::NotFound);
}
