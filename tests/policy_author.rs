#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: an author's signature covers every byte, every path and the number of a bundle's files; a bundle's tests
//! say what it decides, and fail when it decides otherwise; the commands say where the fault is and what to do, and
//! their JSON keeps to its schema.
#![cfg(feature = "replay")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::policy::{Bundle, Engine, FaultKind, Mode, author_key, rule_of, sign_bundle};
use serde_json::{Value, json};

const SECRET: [u8; 32] = [42; 32];

const TOOLS: &str = r#"{"tools": [
  {"server": "bank", "name": "send_money", "groups": ["external", "payment"],
   "input": {"type": "object", "properties": {"to": {"type": "string"}, "amount": {"type": "number"}}},
   "destinations": [{"at": "/to", "type": "iban"}]},
  {"server": "bank", "name": "contacts", "groups": ["read"], "destinations": [],
   "output": {"authoritative": [{"at": "/*/iban", "type": "iban"}]}}]}"#;

const RULES: &str = r#"@id("tools") permit (principal, action in Action::"call", resource);
@id("strangers") @outcome("hold") @approver("finance")
forbid (principal, action in Action::"external", resource)
unless { context.grounding.destinations == "grounded" };
"#;

fn case(name: &str, facts: &Value, expect: &Value) -> Value {
    json!({"name": name, "facts": facts, "expect": expect,
        "intent": {"agent": "desk", "session": "s", "calls": [
            {"id": "c1", "server": "bank", "tool": "send_money", "args": {"to": "DE89 3704 0044 0532 0130 00", "amount": 5}}]}})
}

fn tests() -> Value {
    let known =
        json!([{"server": "bank", "tool": "contacts", "result": [{"iban": "DE89370400440532013000"}]}]);
    json!({"tests": [
        case("a stranger is held", &json!({}), &json!({"outcome": "hold", "rules": ["strangers"]})),
        case("what the user said is grounded", &json!({"opened": true, "words": ["pay DE89370400440532013000, please"]}),
            &json!({"outcome": "allow", "rules": ["tools"], "calls": {"c1": {"outcome": "allow"}}})),
        case("so is the address book", &json!({"opened": true, "outputs": known}), &json!({"outcome": "allow"})),
    ]})
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let manifest = json!({"name": "payments", "version": "1.2.0", "mode": "enforce", "description": "who may be paid",
        "author": {"name": "security-team", "key": STANDARD.encode(author_key(&SECRET))}});
    BTreeMap::from([
        ("rules.cedar".to_owned(), RULES.as_bytes().to_vec()),
        ("tools.json".to_owned(), TOOLS.as_bytes().to_vec()),
        ("manifest.json".to_owned(), manifest.to_string().into_bytes()),
        ("tests/grounding.json".to_owned(), tests().to_string().into_bytes()),
    ])
}

fn signed() -> BTreeMap<String, Vec<u8>> {
    let mut files = files();
    files.insert("signature.json".to_owned(), sign_bundle(&files, &SECRET));
    files
}

fn refused_as(files: BTreeMap<String, Vec<u8>>, kind: FaultKind) -> String {
    let error = Bundle::load(files).expect_err("must not load");
    assert!(error.faults().iter().any(|fault| fault.kind == kind), "{error}");
    error.to_string()
}

#[test]
fn the_signature_covers_every_byte_of_every_file() {
    let good = signed();
    let bundle = Bundle::load(good.clone()).unwrap_or_else(|error| panic!("{error}"));
    let manifest = bundle.manifest();
    assert_eq!((manifest.name.as_deref(), manifest.version.as_deref()), (Some("payments"), Some("1.2.0")));
    assert_eq!(manifest.author.as_ref().map(|author| author.key), Some(author_key(&SECRET)));
    assert_eq!(manifest.mode, Mode::Enforce);
    for (name, content) in &good {
        for at in 0..content.len() {
            for bit in [0, 5] {
                let mut changed = good.clone();
                changed.get_mut(name).unwrap()[at] ^= 1 << bit;
                assert!(Bundle::load(changed).is_err(), "{name}: byte {at}, bit {bit}");
            }
        }
        let mut longer = good.clone();
        longer.get_mut(name).unwrap().push(b'\n');
        assert!(Bundle::load(longer).is_err(), "{name} with one byte more");
        let mut without = good.clone();
        without.remove(name);
        assert!(Bundle::load(without).is_err(), "without {name}");
    }
}

#[test]
fn files_cannot_be_added_renamed_or_exchanged_under_a_signature() {
    let mut more = signed();
    more.insert("more.cedar".to_owned(), Vec::new());
    refused_as(more, FaultKind::Signature);
    let mut renamed = signed();
    let rules = renamed.remove("rules.cedar").unwrap();
    renamed.insert("rule.cedar".to_owned(), rules);
    refused_as(renamed, FaultKind::Signature);
    // The same bytes, cut into files elsewhere.
    let (head, tail) = RULES.split_at(RULES.find("@id(\"strangers\")").unwrap());
    let cut = |first: &str, second: &str| {
        let mut files = signed();
        files.insert("rules.cedar".to_owned(), first.as_bytes().to_vec());
        files.insert("s.cedar".to_owned(), second.as_bytes().to_vec());
        files
    };
    refused_as(cut(head, tail), FaultKind::Signature);
    // Somebody else's signature, also under their own key beside the author's name.
    let mut other = files();
    other.insert("signature.json".to_owned(), sign_bundle(&files(), &[1; 32]));
    assert!(refused_as(other, FaultKind::Signature).contains("hint: get the bundle again"));
    refused_as(files(), FaultKind::Signature);
    let mut unnamed = signed();
    unnamed.insert("manifest.json".to_owned(), br#"{"name": "a", "version": "1"}"#.to_vec());
    refused_as(unnamed, FaultKind::Signature);
    // The signature's own file has one form.
    for (from, to) in [("{", "{ "), ("\n", ""), ("}", ",\"more\":1}"), ("ed25519", "Ed25519")] {
        let mut written = signed();
        let text = String::from_utf8(written["signature.json"].clone()).unwrap().replacen(from, to, 1);
        written.insert("signature.json".to_owned(), text.into_bytes());
        refused_as(written, FaultKind::Signature);
    }
}

#[test]
fn a_manifest_says_what_it_may_say() {
    for (manifest, part) in [
        ("{", ""),
        ("{}", "name"),
        (r#"{"name": "a", "version": "1", "more": 1}"#, "more"),
        (r#"{"name": "a", "name": "b", "version": "1"}"#, "duplicate"),
        (r#"{"name": "a b", "version": "1"}"#, "the name"),
        (r#"{"name": "a", "version": ""}"#, "the version"),
        (r#"{"name": "a", "version": "1", "mode": "audit"}"#, "audit"),
        (r#"{"name": "a", "version": "1", "author": {"name": "x", "key": "AAAA"}}"#, "key"),
        (
            r#"{"name": "a", "version": "1", "author": {"name": "x", "key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}}"#,
            "key",
        ),
        (r#"{"name": "a", "version": "1", "description": "a\nb"}"#, "description"),
    ] {
        let files = BTreeMap::from([("manifest.json".to_owned(), manifest.as_bytes().to_vec())]);
        let error = refused_as(files, FaultKind::Manifest);
        assert!(error.starts_with("manifest.json") && error.contains(part), "{manifest}: {error}");
    }
}

#[test]
fn a_bundles_tests_pass_or_say_what_was_decided() {
    let run = |files| {
        Engine::new(Bundle::load(files).unwrap_or_else(|error| panic!("{error}"))).unwrap().run_tests()
    };
    assert_eq!(run(signed()), (3, vec![]));
    let mut stricter = files();
    stricter.remove("manifest.json");
    stricter.insert(
        "more.cedar".to_owned(),
        b"@id(\"small\") forbid (principal, action in Action::\"payment\", resource);".to_vec(),
    );
    let (count, failed) = run(stricter.clone());
    assert_eq!((count, failed.len()), (3, 3));
    assert_eq!(
        failed[0].to_string(),
        "tests/grounding.json: test \"a stranger is held\": expected hold, decided deny by small"
    );
    let with = |expect: Value| {
        let mut files = stricter.clone();
        let one = json!({"tests": [case("one", &json!({}), &expect)]});
        files.insert("tests/grounding.json".to_owned(), one.to_string().into_bytes());
        files
    };
    for (expect, what) in [
        (json!({"outcome": "deny", "rules": ["strangers"]}), "expected deny by strangers, decided by small"),
        (json!({"outcome": "deny", "rules": []}), "expected deny by , decided by small"),
        (
            json!({"outcome": "deny", "calls": {"c1": {"outcome": "hold"}}}),
            "call \"c1\": expected hold, decided deny by small",
        ),
        (
            json!({"outcome": "deny", "calls": {"c1": {"outcome": "deny", "args": {}}}}),
            "call \"c1\": it may run with other arguments than expected",
        ),
    ] {
        assert_eq!(run(with(expect)).1[0].what, what);
    }
    for expect in [
        json!({"outcome": "perhaps"}),
        json!({}),
        json!({"outcome": "deny", "calls": {"c2": {"outcome": "deny"}}}),
    ] {
        let error = refused_as(with(expect), FaultKind::Test);
        assert!(error.starts_with("tests/grounding.json"), "{error}");
    }
    let mut broken = files();
    broken.remove("manifest.json");
    broken.insert(
        "tests/grounding.json".to_owned(),
        br#"{"tests": [{"name": "x", "intent": {}, "expect": {"outcome": "deny"}}]}"#.to_vec(),
    );
    assert!(refused_as(broken, FaultKind::Test).contains("test \"x\": the intent: "));
}

/// A directory of one test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn of(files: &BTreeMap<String, Vec<u8>>, name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("foreseal-policy-{}-{name}", std::process::id()));
        std::fs::create_dir_all(path.join("tests")).unwrap();
        for (file, content) in files {
            std::fs::write(path.join(file), content).unwrap();
        }
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn foreseal(arguments: &[&str], directory: &Path) -> Output {
    let program = env!("CARGO_BIN_EXE_foreseal");
    Command::new(program).arg("policy").args(arguments).arg(directory).output().unwrap()
}

fn said(output: &Output, code: i32) -> Value {
    assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/policy.schema.json");
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}: {value}");
    value
}

#[test]
fn the_commands_say_what_is_wrong_and_what_to_do() {
    let mut unsigned = files();
    let directory = Directory::of(&unsigned, "author");
    let key = directory.0.join(".author.key");
    std::fs::write(&key, STANDARD.encode(SECRET)).unwrap();
    let report = said(&foreseal(&["validate", "--json"], &directory.0), 1);
    assert_eq!((&report["valid"], &report["faults"][0]["kind"]), (&json!(false), &json!("signature")));
    let signing = foreseal(&["sign", "--key", key.to_str().unwrap()], &directory.0);
    assert_eq!(signing.status.code(), Some(0), "{}", String::from_utf8_lossy(&signing.stderr));
    let public = String::from_utf8(signing.stdout).unwrap().trim().to_owned();
    assert_eq!(public, STANDARD.encode(author_key(&SECRET)));
    let report = said(&foreseal(&["validate", "--json", "--author-key", &public], &directory.0), 0);
    assert_eq!(
        (&report["author"]["key"], &report["rules"], &report["tests"]),
        (&json!(public), &json!(2), &json!(3))
    );
    let other = STANDARD.encode(author_key(&[1; 32]));
    said(&foreseal(&["validate", "--json", "--author-key", &other], &directory.0), 1);
    assert_eq!(said(&foreseal(&["test", "--json"], &directory.0), 0)["failed_tests"], json!([]));
    let shown = String::from_utf8(foreseal(&["test"], &directory.0).stdout).unwrap();
    assert!(shown.contains("all tests pass: 2 rules, 2 tools, 3 tests; signed by security-team"), "{shown}");

    unsigned.remove("manifest.json");
    unsigned.insert(
        "bad.cedar".to_owned(),
        b"// one\n@id(\"x\") forbid (principal, action == Action::\"bank/pay\", resource);".to_vec(),
    );
    let directory = Directory::of(&unsigned, "bad");
    let report = said(&foreseal(&["test", "--json"], &directory.0), 1);
    let fault = &report["faults"][0];
    assert_eq!(
        (&fault["file"], &fault["line"], &fault["rule"]),
        (&json!("bad.cedar"), &json!(2), &json!("x"))
    );
    assert!(fault["hint"].is_string());
    let shown = String::from_utf8(foreseal(&["validate"], &directory.0).stdout).unwrap();
    assert!(shown.contains("bad.cedar:2:") && shown.contains("hint: "), "{shown}");
    let nowhere = foreseal(&["validate"], &directory.0.join("nowhere"));
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("hint:"));
}

#[test]
fn sentences_become_rules_that_load() {
    let bundle = Bundle::load(signed()).unwrap();
    for (sentence, parts) in [
        (
            "hold send_money over 100 by finance for 15m",
            vec![
                "@outcome(\"hold\")",
                "@approver(\"finance\")",
                "@expires(\"15m\")",
                "lessThanOrEqual(decimal(\"100.0000\"))",
            ],
        ),
        ("hold send_money over 0.5 of amount", vec!["decimal(\"0.5000\")"]),
        ("deny bank/send_money", vec!["action == Action::\"bank/send_money\""]),
        (
            "defer external to strangers after untrusted",
            vec!["@outcome(\"defer\")", "[\"grounded\", \"none\"]", "untrusted"],
        ),
        ("cap send_money at 500", vec!["@transform(\"cap:/amount:500\")"]),
        ("drop to from send_money", vec!["@transform(\"drop:/to\")"]),
    ] {
        let made = rule_of(sentence, &bundle).unwrap_or_else(|error| panic!("{sentence}: {error}"));
        for part in parts {
            assert!(made.text.contains(part), "{sentence}: {part} in {}", made.text);
        }
        let mut files = files();
        files.remove("manifest.json");
        files.insert("new.cedar".to_owned(), made.text.clone().into_bytes());
        let with = Bundle::load(files).unwrap_or_else(|error| panic!("{sentence}: {error}\n{}", made.text));
        assert!(with.rules().any(|id| id == made.id));
        assert_ne!(rule_of(sentence, &with).unwrap().id, made.id, "asked twice it is another rule");
    }
    for sentence in [
        "",
        "please",
        "hold",
        "hold send_mony",
        "hold send_money over",
        "hold send_money over much",
        "hold contacts over 5",
        "hold external over 5",
        "deny send_money by finance",
        "deny send_money for 15m",
        "cap external at 5",
        "cap send_money at 1.23456",
        "drop cc from send_money",
        "hold send_money \"; permit (principal, action, resource);",
    ] {
        let error = rule_of(sentence, &bundle).expect_err(sentence);
        assert!(!error.hint.is_empty());
    }
    // Whatever stands in a sentence or a name stays within its quotes.
    let tools = r#"{"tools": [{"server": "a\"b", "name": "x\") permit (principal, action, resource); //", "input": {"type": "object", "properties": {"a\"b": {"type": "number"}, "if": {"type": "integer"}}}}]}"#;
    let odd = Bundle::load(BTreeMap::from([("tools.json".to_owned(), tools.as_bytes().to_vec())])).unwrap();
    let name = odd.tools().next().unwrap().action_id().replace(' ', "\u{a0}");
    assert!(
        rule_of(&format!("deny {name}"), &odd).is_err(),
        "names with spaces cannot be said in a sentence"
    );
}
