//! Promise 10: leaves, and everything in the data directory, hold no payload text and no unsalted digest of it.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::agents::{leaves, new_id};
use super::http::Request;
use super::process::Home;

/// What must not be found, and what it stands for.
struct Needle {
    what: String,
    bytes: Vec<u8>,
}

/// The forms in which a text could be written somewhere.
fn forms_of(text: &[u8], name: &str) -> Vec<Needle> {
    let mut needles = Vec::new();
    let mut add = |how: &str, bytes: Vec<u8>| needles.push(Needle { what: format!("{name}, {how}"), bytes });
    add("plain", text.to_vec());
    add("hex", hex::encode(text).into_bytes());
    add("hex in capitals", hex::encode_upper(text).into_bytes());
    for shift in 0..3 {
        // Base64 of a longer text that holds this one: the characters that depend on it alone.
        let padded = [vec![0; shift], text.to_vec()].concat();
        let encoded = STANDARD_NO_PAD.encode(&padded);
        let (from, to) = ((shift * 8).div_ceil(6), padded.len() * 8 / 6);
        let own = &encoded[from..to];
        add("base64", own.as_bytes().to_vec());
        add("base64 for URLs", own.replace('+', "-").replace('/', "_").into_bytes());
    }
    add("UTF-16", String::from_utf8_lossy(text).encode_utf16().flat_map(u16::to_le_bytes).collect());
    needles
}

/// And the digests by which it could be recognised by whoever guesses it.
fn digests_of(text: &[u8], name: &str) -> Vec<Needle> {
    let quoted = serde_json::to_vec(&String::from_utf8_lossy(text)).unwrap();
    let leaf = [b"\0".as_slice(), text].concat();
    let mut needles = Vec::new();
    for (how, preimage) in [("itself", text), ("its JSON", &quoted), ("its RFC 6962 leaf", &leaf)] {
        let digest = Sha256::digest(preimage);
        let mut add = |form: &str, bytes: Vec<u8>| {
            needles.push(Needle { what: format!("{name}, SHA-256 of {how}, {form}"), bytes });
        };
        add("raw", digest.to_vec());
        add("hex", hex::encode(digest).into_bytes());
        add("base64", STANDARD.encode(digest).trim_end_matches('=').as_bytes().to_vec());
    }
    needles
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            files_below(&entry.path(), into);
        } else {
            into.push(entry.path());
        }
    }
}

/// Fails where one of the needles is in these bytes. All at once, by the needles' first four bytes.
fn assert_free_of(needles: &[Needle], bytes: &[u8], place: &str) {
    let mut starts: std::collections::HashMap<[u8; 4], Vec<&Needle>> = std::collections::HashMap::new();
    for needle in needles {
        starts.entry(*needle.bytes.first_chunk().unwrap()).or_default().push(needle);
    }
    for (at, window) in bytes.windows(4).enumerate() {
        // Most of a journal is zeros.
        if window == [0; 4] {
            continue;
        }
        for needle in starts.get(window).into_iter().flatten() {
            assert!(!bytes[at..].starts_with(&needle.bytes), "{} is in {place} at byte {at}", needle.what);
        }
    }
}

/// A distinctive value for each member, so that a finding names what leaked.
fn marked(name: &str) -> String {
    format!(
        "mark.{name}.{}",
        &Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..12]
    )
}

fn marked_intent(agent: &str) -> Value {
    let m = |name: &str| json!(marked(name));
    json!({
        "id": new_id(), "agent": agent, "session": m("session"), "principal": m("principal"),
        "environment": m("environment"), "goal": m("goal"), "plan": m("plan"),
        "reasoning": [m("thought-1"), m("thought-2")],
        "calls": [
            { "id": m("call"), "server": m("server"), "tool": m("tool"), "args": { marked("argument"): m("value"), "list": [m("item")] } },
            { "id": "c2", "server": "bank", "tool": "get_balance", "args": { "account": m("account") } },
        ],
        "observations": [{ "source": m("source"), "call": m("observed"), "trust": "untrusted", "content": { marked("key"): m("content") } }],
        "trace": { "traceparent": m("trace") },
    })
}

const NAMES: &[&str] = &[
    "session",
    "principal",
    "environment",
    "goal",
    "plan",
    "thought-1",
    "thought-2",
    "call",
    "server",
    "tool",
    "argument",
    "value",
    "item",
    "account",
    "source",
    "observed",
    "key",
    "content",
    "trace",
    "agent",
    "role",
    "policy-rule",
    "policy-reason",
    "policy-file",
];

#[test]
fn promise_10_leaves_hold_no_payload_text() {
    let home = Home::with_ledger();
    let server = home.serve();
    let operator = server.operator();
    let agent = marked("agent");
    let new = json!({ "name": agent, "roles": [marked("role")] });
    let token = operator.post("/v1/agents", new.to_string()).json()["token"].as_str().unwrap().to_owned();
    let bot = server.client(&token);
    let intent = marked_intent(&agent);
    let answer = bot.seal(&intent);
    assert_eq!(answer["decision"]["outcome"], "deny");

    // A policy with marks of its own, under which the second intent is held.
    let rule = format!(
        "@id(\"{}\") @outcome(\"hold\") @reason(\"{}\")\nforbid (principal, action, resource);\n@id(\"p\")\npermit (principal, action, resource);",
        marked("policy-rule"),
        marked("policy-reason")
    );
    let files = json!({ "files": { format!("{}.cedar", marked("policy-file")): rule } });
    let activated = operator.post("/v1/policies", files.to_string());
    assert_eq!(activated.status, 201, "{}", activated.text());
    let again = marked_intent(&agent);
    let held = bot.send(&Request::post("/v1/intents", again.to_string()));
    assert!(held.text().contains(&marked("policy-reason")), "{}", held.text());

    let mut needles = Vec::new();
    for name in NAMES {
        let text = marked(name);
        needles.extend(forms_of(text.as_bytes(), name));
        needles.extend(digests_of(text.as_bytes(), name));
    }
    for (name, body) in [("the first body", intent.to_string()), ("the second body", again.to_string())] {
        needles.extend(digests_of(body.as_bytes(), name));
    }
    for (name, secret) in
        [("the agent's token", token.as_str()), ("the operator's token", &home.admin_token())]
    {
        needles.extend(forms_of(secret.as_bytes(), name));
        needles.extend(digests_of(secret.as_bytes(), name));
    }
    let call = json!({ "args": { "account": marked("account") }, "server": "bank", "tool": "get_balance" });
    needles.extend(digests_of(call.to_string().as_bytes(), "a call"));
    the_search_finds_what_is_there(&needles, &intent);

    for (index, leaf) in leaves(&operator).iter().enumerate() {
        assert_free_of(&needles, leaf, &format!("leaf {index}"));
    }
    // Once while it runs, and once more when everything is written.
    std::thread::sleep(std::time::Duration::from_millis(1_300));
    search(&needles, &home.data());
    let ended = server.stop();
    search(&needles, &home.data());
    assert_free_of(&needles, ended.stderr.as_bytes(), "the service's log");
    // The key directory holds secrets, but no payload; the operator's token is where it is promised to be.
    let of_payload: Vec<Needle> =
        needles.into_iter().filter(|needle| !needle.what.contains("token")).collect();
    search(&of_payload, &home.keys());
}

fn search(needles: &[Needle], folder: &Path) {
    let mut files = Vec::new();
    files_below(folder, &mut files);
    assert!(files.len() > 3);
    for file in files {
        assert_free_of(needles, &std::fs::read(&file).unwrap(), &file.display().to_string());
    }
}

/// The search itself, against places where each form is.
fn the_search_finds_what_is_there(needles: &[Needle], intent: &Value) {
    let found =
        |bytes: &[u8]| std::panic::catch_unwind(|| assert_free_of(needles, bytes, "the test")).is_err();
    let body = intent.to_string();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let results = [
        found(body.as_bytes()),
        found(STANDARD.encode(format!("x{body}")).as_bytes()),
        found(STANDARD.encode(format!("xy{body}")).as_bytes()),
        found(hex::encode(&body).as_bytes()),
        found(&[[0; 9].as_slice(), &Sha256::digest(&body)].concat()),
        found(hex::encode(Sha256::digest(marked("account"))).as_bytes()),
        found(b"nothing of it"),
    ];
    std::panic::set_hook(hook);
    assert_eq!(results, [true, true, true, true, true, true, false]);
}

#[test]
fn promise_10_the_same_document_twice_leaves_nothing_alike_but_its_session() {
    let home = Home::with_ledger();
    let server = home.serve();
    let (bot, twin) = (server.agent("bot"), server.agent("twin"));
    let leaf_of = |client: &super::http::Client, agent: &str, session: &str| {
        let mut intent = marked_intent(agent);
        intent["session"] = json!(session);
        super::agents::leaf_of(&client.seal(&intent))
    };
    let (one, two) = (leaf_of(&bot, "bot", "s"), leaf_of(&bot, "bot", "s"));
    let (other_session, other_agent) = (leaf_of(&bot, "bot", "t"), leaf_of(&twin, "twin", "s"));
    for pointer in ["/declared/root", "/evaluation/root", "/calls/0/digest", "/calls/1/digest"] {
        assert_ne!(one.pointer(pointer), two.pointer(pointer), "{pointer} is a digest that can be guessed");
        assert_ne!(one.pointer(pointer), other_agent.pointer(pointer), "{pointer}");
    }
    assert_eq!(one["session"], two["session"]);
    assert_ne!(one["session"], other_session["session"]);
    assert_ne!(one["session"], other_agent["session"]);
}
