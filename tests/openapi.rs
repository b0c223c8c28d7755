//! Promise: the description is the service's. `schemas/openapi.json` is what this build serves, everything it refers to
//! is there, each example fits its schema, and no route comes in around the table that describes it.
//!
//! `FORESEAL_BLESS=1 cargo test --test openapi` writes the files anew. That answers are as described is held by the
//! tests of the whole program, which compare each answer with the document, and by tools/surface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]
#![cfg(feature = "server")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use foreseal::api::http::openapi;
use foreseal::policy::Bundle;
use foreseal::record::intent::Intent;
use foreseal::service::ErrorCode;
use serde_json::{Value, json};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn check(file: &str, made: &Value) {
    let path = repository().join(file);
    let found: Option<Value> =
        std::fs::read_to_string(&path).ok().map(|text| serde_json::from_str(&text).unwrap());
    if found.as_ref() == Some(made) {
        return;
    }
    if std::env::var_os("FORESEAL_BLESS").is_some() {
        std::fs::write(&path, format!("{}\n", serde_json::to_string_pretty(made).unwrap())).unwrap();
        return;
    }
    panic!("{file} is not what the code makes; FORESEAL_BLESS=1 cargo test --test openapi writes it");
}

#[test]
fn the_files_are_what_the_code_makes() {
    check("schemas/openapi.json", &openapi::document().unwrap());
    check("schemas/intent.schema.json", &openapi::intent_schema());
}

/// Calls with every value and its pointer.
fn walk(value: &Value, at: &str, see: &mut dyn FnMut(&str, &Value)) {
    see(at, value);
    match value {
        Value::Object(members) => members.iter().for_each(|(name, inner)| {
            walk(inner, &format!("{at}/{}", name.replace('~', "~0").replace('/', "~1")), see);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| walk(inner, &format!("{at}/{i}"), see));
        }
        _ => {}
    }
}

/// A schema of the document with the document's components, so that its references lead somewhere.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::new(&whole).unwrap()
}

#[test]
fn every_reference_leads_somewhere_and_every_name_is_its_own() {
    let document = openapi::document().unwrap();
    walk(&document, "", &mut |at, value| {
        let Some(target) = value.get("$ref").and_then(Value::as_str) else { return };
        assert!(document.pointer(target.strip_prefix('#').unwrap()).is_some(), "{at}: {target}");
    });
    let mut ids = BTreeSet::new();
    let mut links = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{id}");
            let tag = &operation["tags"][0];
            assert!(document["tags"].as_array().unwrap().iter().any(|t| t["name"] == *tag), "{id}: {tag}");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for name in path.split('{').skip(1).map(|part| part.split('}').next().unwrap()) {
                let found = parameters.iter().any(|p| p["in"] == "path" && p["name"] == name);
                assert!(found, "{id}: {name} is in the path and not described");
            }
            for response in operation["responses"].as_object().unwrap().values() {
                for link in response["links"].as_object().into_iter().flat_map(|l| l.values()) {
                    links.push(link["operationId"].as_str().unwrap().to_owned());
                }
            }
        }
    }
    assert!(!links.is_empty());
    links.iter().for_each(|link| assert!(ids.contains(link), "a link leads to {link}"));
}

#[test]
fn every_example_fits_its_schema() {
    let document = openapi::document().unwrap();
    let mut seen = 0;
    walk(&document["paths"], "", &mut |at, value| {
        let Some(schema) = value.get("schema") else { return };
        let validator = validator(&document, schema);
        let many = value.get("examples").and_then(Value::as_object);
        let many = many.into_iter().flat_map(|many| many.values()).map(|example| {
            let target = example["$ref"].as_str().unwrap().strip_prefix('#').unwrap();
            &document.pointer(target).unwrap()["value"]
        });
        for example in value.get("example").into_iter().chain(many) {
            seen += 1;
            let wrong: Vec<String> = validator.iter_errors(example).map(|e| e.to_string()).collect();
            assert!(wrong.is_empty(), "{at}: {wrong:?}\n{example}");
        }
        // One that fits everything would hold nothing.
        assert!(at.contains("application~1octet") || !validator.is_valid(&json!(-1)), "{at} takes anything");
    });
    assert!(seen > 100, "only {seen} examples");
}

#[test]
fn every_error_code_can_be_answered_by_some_route() {
    let document = openapi::document().unwrap();
    let mut described = BTreeSet::new();
    walk(&document["paths"], "", &mut |_, value| {
        if let Some(examples) = value.get("examples").and_then(Value::as_object) {
            described.extend(examples.keys().cloned());
        }
    });
    let all: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(described, all);
}

/// Where the router is made by hand, a route could come in without a word.
#[test]
fn no_route_goes_around_the_table() {
    let mut folders = vec![repository().join("src/api/http")];
    let mut sites = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                sites.extend(routing_in(&path));
            }
        }
    }
    assert_eq!(sites, ["routes.rs: .route("], "routes are made in Described::with alone");
}

fn routing_in(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    [".route(", ".route_service(", ".nest(", ".nest_service("]
        .iter()
        .flat_map(|word| text.matches(word).map(move |word| format!("{name}: {word}")))
        .collect()
}

fn intent() -> Value {
    let path = repository().join("examples/receipt/intent.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn the_example_of_a_policy_is_one_that_loads_and_has_its_digest() {
    let document = openapi::document().unwrap();
    let policies = &document["paths"]["/v1/policies"]["post"];
    let example = &policies["requestBody"]["content"]["application/json"]["example"];
    let files = example["files"].as_object().unwrap().iter();
    let files = files.map(|(name, text)| (name.clone(), text.as_str().unwrap().as_bytes().to_vec()));
    let bundle = Bundle::load(files.collect()).unwrap();
    let active = &policies["responses"]["201"]["content"]["application/json"]["example"];
    assert_eq!(active["files"], example["files"]);
    assert_eq!(active["digest"], bundle.digest().iter().map(|b| format!("{b:02x}")).collect::<String>());
}

/// What the service's parser takes and what the schema takes is one thing, as far as a schema can say it.
#[test]
fn schema_and_parser_agree_on_intents() {
    let validator = jsonschema::draft202012::new(&openapi::intent_schema()).unwrap();
    let long = "x".repeat(129);
    let changes: &[(&str, Value, bool)] = &[
        ("/agent", json!("a.B_c:1-"), true),
        ("/agent", json!(""), false),
        ("/agent", json!("a b"), false),
        ("/agent", json!(long), false),
        ("/agent", json!(long[..128]), true),
        ("/agent", Value::Null, false),
        ("/id", json!("01A1FC83-1CA4-7286-8EAA-163F6FBD2A3E"), false),
        ("/id", json!("01a1fc83-1ca4-4286-8eaa-163f6fbd2a3e"), false),
        ("/principal", json!(""), false),
        ("/principal", json!("x".repeat(1024)), true),
        ("/principal", json!("x".repeat(1025)), false),
        ("/reasoning", json!(vec!["x"; 256]), true),
        ("/reasoning", json!(vec!["x"; 257]), false),
        ("/reasoning/0", json!(1), false),
        ("/calls", json!([]), false),
        ("/calls", json!({}), false),
        ("/calls/0/args", json!([]), false),
        ("/calls/0/args", json!({ "deep": [{ "x": 9_007_199_254_740_991_i64 }] }), true),
        ("/calls/0/args", json!({ "deep": [{ "x": 9_007_199_254_740_992_i64 }] }), false),
        ("/calls/0/tool", json!(""), false),
        ("/calls/0/server", json!(""), false),
        ("/calls/0", json!({ "id": "c1", "tool": "t" }), false),
        ("/calls/0", json!({ "id": "c1", "tool": "t", "args": {}, "argz": {} }), false),
        ("/observations/0/trust", json!("perhaps"), false),
        ("/observations/0/content", json!(null), true),
        ("/observations/0", json!({ "source": "s" }), false),
    ];
    let mut cases: Vec<(Value, bool, &str)> =
        vec![(intent(), true, "as it is"), (json!([]), false, "an array")];
    for (pointer, value, good) in changes {
        let mut changed = intent();
        *changed.pointer_mut(pointer).unwrap() = value.clone();
        cases.push((changed, *good, pointer));
    }
    let added: &[(&str, Value, bool)] = &[
        ("created", json!("2026-11-21T10:00:00.5+01:00"), true),
        ("created", json!("2026-11-21T24:00:00Z"), false),
        ("created", json!("2026-11-21T23:59:60Z"), false),
        ("created", json!("2026-11-21 10:00:00Z"), false),
        ("created", json!("1969-11-21T10:00:00Z"), false),
        ("client_seq", json!(0), true),
        ("client_seq", json!(-1), false),
        ("client_seq", json!(0.5), false),
        ("client_prev", json!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), true),
        ("client_prev", json!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9="), false),
        ("atomic", json!(false), true),
        ("atomic", json!("no"), false),
        ("plan", json!("p-1"), true),
        ("trace", json!({ "traceparent": "00" }), true),
        ("trace", json!("00"), false),
        ("agnet", json!("x"), false),
    ];
    for (name, value, good) in added {
        let mut changed = intent();
        changed[*name] = value.clone();
        cases.push((changed, *good, name));
    }
    for (case, good, what) in cases {
        let parsed = Intent::parse(case.to_string().as_bytes());
        assert_eq!(parsed.is_ok(), good, "parser: {what}: {parsed:?}\n{case}");
        assert_eq!(validator.is_valid(&case), good, "schema: {what}\n{case}");
    }
}
