//! Signed intents, made by code that was written from the format's page ("Field tree", "Signed intents") alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use foreseal::service::ErrorCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::agents::{allowed, leaf_of, new_id};
use super::errors::assert_problem;
use super::http::{Client, Request};
use super::process::{Home, ORIGIN, Server, foreseal, independent, run};

const STATEMENT_TYPE: &str = "application/vnd.foreseal.statement.v1+json";

/// An agent's key.
pub(crate) struct Signer(SigningKey);

impl Signer {
    pub(crate) fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    pub(crate) fn public_base64(&self) -> String {
        STANDARD.encode(self.0.verifying_key().as_bytes())
    }
}

/// A signed intent, in its parts.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) body: String,
    pub(crate) seed: String,
    pub(crate) signature: String,
    pub(crate) root: String,
}

impl Signed {
    pub(crate) fn request(&self) -> Request {
        Request::post("/v1/intents", self.body.clone())
            .header("Foreseal-Seed", self.seed.as_str())
            .header("Foreseal-Signature", self.signature.as_str())
    }
}

/// An intent that has what a signed one needs.
pub(crate) fn signable(agent: &str) -> Value {
    let mut intent = allowed(agent);
    intent["created"] = json!(at(0));
    intent["client_seq"] = json!(7);
    intent
}

/// RFC 3339 of now and so many seconds.
fn at(offset_s: i64) -> String {
    use foreseal::record::time::Timestamp;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(now).unwrap() + offset_s * 1000).unwrap().to_string()
}

pub(crate) fn sign(key: &Signer, intent: &Value) -> Signed {
    sign_for(key, intent, ORIGIN)
}

fn sign_for(key: &Signer, intent: &Value, log: &str) -> Signed {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).unwrap();
    let root = STANDARD.encode(root_of(intent, &seed));
    let mut statement = json!({ "declared": root, "log": log });
    for name in ["agent", "client_prev", "client_seq", "created", "id", "session"] {
        if let Some(value) = intent.get(name) {
            statement[name] = value.clone();
        }
    }
    let payload = canonical(&statement);
    let message = format!("DSSEv1 {} {STATEMENT_TYPE} {} {payload}", STATEMENT_TYPE.len(), payload.len());
    let signature = STANDARD.encode(key.0.sign(message.as_bytes()).to_bytes());
    let keyid = hex::encode(Sha256::digest(key.0.verifying_key().as_bytes()));
    Signed {
        body: intent.to_string(),
        seed: STANDARD.encode(seed),
        signature: format!("keyid=\"{keyid}\", sig=\"{signature}\""),
        root,
    }
}

/// RFC 8785 for ASCII names and values without fractions, which is what these tests declare.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.as_str());
            let text = |(name, value): &(&String, &Value)| format!("{}:{}", json!(name), canonical(value));
            format!("{{{}}}", members.iter().map(text).collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// Path and canonical value of every scalar, `{}` and `[]`.
fn fields(value: &Value, path: &str, into: &mut Vec<(String, String)>) {
    let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(members) if !members.is_empty() => {
            members.iter().for_each(|(name, value)| fields(value, &format!("{path}/{}", escape(name)), into));
        }
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(i, value)| fields(value, &format!("{path}/{i}"), into));
        }
        leaf => into.push((path.to_owned(), canonical(leaf))),
    }
}

fn root_of(document: &Value, seed: &[u8; 32]) -> [u8; 32] {
    let mut all = Vec::new();
    fields(document, "", &mut all);
    all.sort();
    let shape = canonical(&json!(all.iter().map(|(path, _)| path).collect::<Vec<_>>()));
    all.insert(0, (String::new(), shape));
    let leaf = |i: usize| {
        let number = u32::try_from(i).unwrap().to_be_bytes();
        let salt = Sha256::digest([b"foreseal.salt.v1\0".as_slice(), seed, &number].concat());
        let data = match all.get(i) {
            Some((path, value)) => {
                let length = u32::try_from(path.len()).unwrap().to_be_bytes();
                [b"foreseal.field.v1\0".as_slice(), &salt, &length, path.as_bytes(), value.as_bytes()]
                    .concat()
            }
            None => [b"foreseal.pad.v1\0".as_slice(), &salt].concat(),
        };
        <[u8; 32]>::from(Sha256::digest([b"\0".as_slice(), &data].concat()))
    };
    let mut row: Vec<[u8; 32]> = (0..all.len().next_power_of_two()).map(leaf).collect();
    while row.len() > 1 {
        let node =
            |pair: &[[u8; 32]]| Sha256::digest([b"\x01".as_slice(), &pair[0], &pair[1]].concat()).into();
        row = row.chunks(2).map(node).collect();
    }
    row[0]
}

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
