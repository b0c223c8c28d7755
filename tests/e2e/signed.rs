//! Promised: an intent is sealed as signed only if its agent signed it, for this log, just now.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::service::ErrorCode;
use serde_json::{Value, json};

use super::agents::{leaf_of, new_id};
use super::errors::assert_problem;
use super::http::{Client, Request};
use super::process::{Home, Server, foreseal, independent, run};
use super::signing::{Signed, Signer, at, sign, sign_for, signable};

/// Registers a signing agent over the command line.
fn register(server: &Server, name: &str, key: &Signer) -> Client {
    let operator = server.operator();
    let mut command = foreseal();
    command.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", operator.token.as_deref().unwrap());
    let added = run(command.args([
        "agent",
        "add",
        name,
        "--role",
        "assistant",
        "--public-key",
        &key.public_base64(),
    ]));
    server.client(added.expect(0).stdout.trim())
}

#[test]
fn a_signed_intent_is_sealed_with_its_signer_and_nothing_else_that_claims_to_be_one() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (key, other) = (Signer::from_seed([1; 32]), Signer::from_seed([2; 32]));
    let bot = register(&server, "bot", &key);
    let registered = bot.size() - 1;

    let first = sign(&key, &signable("bot"));
    let answer = bot.send(&first.request());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let leaf = leaf_of(&answer.json());
    assert_eq!((&leaf["signer"], &leaf["agent"]), (&json!(registered), &json!(registered)));
    // The root was computed here: a service that sealed anything else would be caught.
    assert_eq!(leaf["declared"]["root"], first.root);
    assert_eq!(answer.json()["opening"]["declared"]["seed"], first.seed);
    // The very same again is a retry, and no second leaf.
    assert_eq!(bot.send(&first.request()).body, answer.body);

    // The key id is a hint: the key is the registered one.
    let mut hinted = sign(&key, &signable("bot"));
    hinted.signature = hinted.signature.replace("keyid=\"", "keyid=\"00");
    assert_eq!(bot.send(&hinted.request()).status, 201);

    let size = bot.size();
    for (what, code, request) in refused(&key, &other, &first) {
        let reply = bot.send(&request);
        assert!(reply.status >= 400, "{what}: {}", reply.text());
        assert_eq!(reply.json()["code"], code.as_str(), "{what}: {}", reply.text());
        assert_problem(&reply, code);
    }
    assert_eq!(bot.size(), size, "a refused intent was sealed");
    a_rotated_key_ends_the_old_one(&server, &bot, (&key, &other), registered);
    the_independent_verifier_agrees(&home, &key, &first, &answer.text());
}

fn refused(key: &Signer, other: &Signer, first: &Signed) -> Vec<(&'static str, ErrorCode, Request)> {
    use ErrorCode as E;
    let good = || sign(key, &signable("bot"));
    let changed = |change: &dyn Fn(&mut Signed)| {
        let mut signed = good();
        change(&mut signed);
        signed.request()
    };
    let dated = |created: String| {
        let mut intent = signable("bot");
        intent["created"] = json!(created);
        sign(key, &intent).request()
    };
    let unsigned = Request::post("/v1/intents", signable("bot").to_string());
    let without = |name: &str| {
        let mut intent = signable("bot");
        intent.as_object_mut().unwrap().remove(name);
        sign(key, &intent).request()
    };
    let base = good();
    let no_seed = Request::post("/v1/intents", base.body).header("Foreseal-Signature", base.signature);
    vec![
        ("no signature", E::SignatureRequired, unsigned.clone()),
        (
            "a seed and no signature",
            E::SignatureRequired,
            unsigned.header("Foreseal-Seed", first.seed.as_str()),
        ),
        ("another key", E::SignatureInvalid, sign(other, &signable("bot")).request()),
        ("another log", E::SignatureInvalid, sign_for(key, &signable("bot"), "example.com/other").request()),
        (
            "a flipped bit",
            E::SignatureInvalid,
            changed(&|signed| signed.signature = flipped(&signed.signature)),
        ),
        ("another seed", E::SignatureInvalid, changed(&|signed| signed.seed = first.seed.clone())),
        (
            "another body",
            E::SignatureInvalid,
            changed(&|s| s.body = s.body.replace("current-1", "current-2")),
        ),
        ("a signature of another", E::SignatureInvalid, changed(&|s| s.signature = first.signature.clone())),
        ("no seed", E::MalformedStatement, no_seed),
        (
            "a header that is none",
            E::MalformedStatement,
            changed(&|signed| signed.signature = "sig".to_owned()),
        ),
        (
            "half a signature",
            E::MalformedStatement,
            changed(&|signed| signed.signature = "sig=\"AAAA\"".to_owned()),
        ),
        ("no created", E::MalformedStatement, without("created")),
        ("no id", E::MalformedStatement, without("id")),
        ("created six minutes ago", E::CreatedOutsideWindow, dated(at(-360))),
        ("created in six minutes", E::CreatedOutsideWindow, dated(at(360))),
        ("the id again with another body", E::IdReused, {
            let mut intent: Value = serde_json::from_str(&first.body).unwrap();
            intent["goal"] = json!("another");
            sign(key, &intent).request()
        }),
    ]
}

/// One bit of the signature, in the middle of its base64.
fn flipped(header: &str) -> String {
    let (head, signature) = header.split_once("sig=\"").unwrap();
    let mut bytes = STANDARD.decode(signature.trim_end_matches('"')).unwrap();
    bytes[10] ^= 1;
    format!("{head}sig=\"{}\"", STANDARD.encode(bytes))
}

fn a_rotated_key_ends_the_old_one(server: &Server, bot: &Client, keys: (&Signer, &Signer), registered: u64) {
    let (old, new) = keys;
    let mut command = foreseal();
    let operator = server.operator();
    command.env("FORESEAL_URL", server.url()).env("FORESEAL_TOKEN", operator.token.as_deref().unwrap());
    let rotated =
        run(command.args(["agent", "rotate", "bot", "--public-key", &new.public_base64()])).expect(0);
    assert_problem(&bot.send(&sign(new, &signable("bot")).request()), ErrorCode::Unauthenticated);
    let bot = server.client(rotated.stdout.trim());
    let rotation = bot.size() - 1;
    assert_problem(&bot.send(&sign(old, &signable("bot")).request()), ErrorCode::SignatureInvalid);
    let answer = bot.send(&sign(new, &signable("bot")).request());
    assert_eq!(answer.status, 201, "{}", answer.text());
    let leaf = leaf_of(&answer.json());
    assert_eq!((&leaf["agent"], &leaf["signer"]), (&json!(registered), &json!(rotation)));
    // A new token alone leaves the key as it is.
    let again = operator.post("/v1/agents/bot/rotate", "{}").json();
    assert_eq!(again["signs"], true);
    let bot = server.client(again["token"].as_str().unwrap());
    assert_problem(&bot.submit(&signable("bot")), ErrorCode::SignatureRequired);
    assert_eq!(bot.send(&sign(new, &signable("bot")).request()).status, 201);
}

fn the_independent_verifier_agrees(home: &Home, key: &Signer, signed: &Signed, answer: &str) {
    let Some(mut verifier) = independent("a signed intent") else { return };
    let answer: Value = serde_json::from_str(answer).unwrap();
    let headers = json!({ "Foreseal-Seed": signed.seed, "Foreseal-Signature": signed.signature });
    let line = json!({ "answer": answer, "request": { "body": signed.body, "headers": headers } });
    let file = home.file("signed.jsonl", format!("{line}\n"));
    verifier.arg("receipts").arg(file).arg("--trust").arg(home.trust());
    let verified = run(verifier.args(["--agent-key", &format!("bot={}", key.public_base64())])).expect(0);
    assert!(verified.stdout.contains("1 statements signed by their agents"), "{}", verified.stdout);
}

#[test]
fn a_signature_for_one_agent_is_worth_nothing_for_another() {
    let home = Home::with_ledger();
    let server = home.serve();
    // Two agents with one key: the statement names its agent.
    let key = Signer::from_seed([3; 32]);
    let (one, two) = (register(&server, "one", &key), register(&server, "two", &key));
    let signed = sign(&key, &signable("one"));
    assert_problem(&two.send(&signed.request()), ErrorCode::AgentMismatch);
    let mut renamed = signed.clone();
    renamed.body = renamed.body.replace("\"one\"", "\"two\"");
    assert_problem(&two.send(&renamed.request()), ErrorCode::SignatureInvalid);
    assert_eq!(one.send(&signed.request()).status, 201);
    // Nor for another session or counter, or for an unsigned agent.
    let mut intent = signable("one");
    intent["id"] = json!(new_id());
    let signed = sign(&key, &intent);
    for (from, to) in [("session-1", "session-2"), ("\"client_seq\":7", "\"client_seq\":8")] {
        let mut changed = signed.clone();
        changed.body = changed.body.replace(from, to);
        assert_problem(&one.send(&changed.request()), ErrorCode::SignatureInvalid);
    }
    let plain = server.agent("plain");
    assert_problem(&plain.send(&sign(&key, &signable("plain")).request()), ErrorCode::SignatureInvalid);
}
