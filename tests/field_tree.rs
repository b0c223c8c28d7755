//! The field tree's promises: one commitment stands for one document; every field can be opened and nothing else
//! can; what is not opened stays hidden; and an independent Python model computes the same roots.
//!
//! The vectors in `tests/vectors/field-tree` are written by `tools/models/field_tree.py`, never by the code under test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use foreseal::merkle::Hash;
use foreseal::record::canonical::{CanonicalError, to_jcs};
use foreseal::record::field_tree::{
    Commitment, Disclosure, Field, FieldOpening, FieldTree, FieldTreeError, Presence, Seed,
};
use foreseal::record::json::{self, JsonLimits};
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

#[path = "field_tree/forgeries.rs"]
mod forgeries;
#[path = "field_tree/properties.rs"]
mod properties;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn seed(n: u8) -> Seed {
    Seed::from_bytes([n; 32])
}

fn tree(document: &Value) -> FieldTree {
    FieldTree::of_document(document, &seed(7)).unwrap()
}

fn sha(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

fn subtree(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(leaves.len() / 2);
            sha(&[b"\x01", &subtree(left), &subtree(right)])
        }
    }
}

/// Names that collide, escape and sort oddly; values of every type.
fn documents() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        (-1e3..1e3_f64).prop_filter("fraction", |x| x.fract() != 0.0).prop_map(Value::from),
        (-1.0..1.0_f64, -300..0_i32)
            .prop_map(|(x, e)| x * 10_f64.powi(e))
            .prop_filter("fraction", |x| x.fract() != 0.0)
            .prop_map(Value::from),
        "[a1\"\\\\/é😀\u{0}\u{7f}\u{fb33}]{0,4}".prop_map(Value::from),
    ];
    let name = prop_oneof!["[a-c]", "[0-3]", "[a/~!\"é😀\u{e000}\u{301}0]{0,3}"];
    let members = move |inner: BoxedStrategy<Value>, least: usize| {
        prop::collection::btree_map(name.clone(), inner, least..5)
            .prop_map(|m| Value::Object(m.into_iter().collect()))
    };
    let inner_members = members.clone();
    let value = scalar.prop_recursive(4, 30, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            inner_members(inner.boxed(), 0),
        ]
    });
    members(value.boxed(), 1)
}

/// What the format calls fields, written the plain way.
fn fields_of(value: &Value, path: &str, out: &mut BTreeMap<Vec<u8>, Value>) {
    let token = |t: &str| t.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(m) if !m.is_empty() => {
            m.iter().for_each(|(k, v)| fields_of(v, &format!("{path}/{}", token(k)), out));
        }
        Value::Array(a) if !a.is_empty() => {
            a.iter().enumerate().for_each(|(i, v)| fields_of(v, &format!("{path}/{i}"), out));
        }
        leaf => {
            out.insert(path.into(), leaf.clone());
        }
    }
}

// ---- vectors and model ------------------------------------------------------------------------------------------

#[test]
fn the_vectors_hold() {
    let directory = format!("{ROOT}/tests/vectors/field-tree");
    let mut seen = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let vector = json::parse(&std::fs::read(&path).unwrap()).unwrap();
        let name = path.file_stem().unwrap().to_string_lossy();
        let secret = Seed::from_base64(vector["seed"].as_str().unwrap()).unwrap();
        let tree = FieldTree::of_document(&vector["document"], &secret).unwrap();
        let commitment = json!({"root": vector["root"], "log2": vector["log2"]});
        assert_eq!(serde_json::to_value(tree.commitment()).unwrap(), commitment, "{name}");
        let commitment: Commitment = serde_json::from_value(commitment).unwrap();
        let opening =
            FieldOpening::parse(&to_jcs(&vector["opening"]).unwrap(), &JsonLimits::default()).unwrap();
        assert_eq!(opening.verify(&commitment), Ok(()), "{name}");
        assert_eq!(tree.open(&opening.path).as_ref(), Some(&opening), "{name}");
        assert_eq!(serde_json::to_value(&opening).unwrap(), vector["opening"], "{name}");
        assert_eq!(tree.open("").unwrap().value, vector["shape"], "{name}");
        seen += 1;
    }
    assert!(seen >= 11, "{seen} vectors in {directory}");
}

/// Runs the Python model on JSON lines; `None` (and a line that says so) without python3.
fn model(lines: &[Value]) -> Option<Vec<Value>> {
    let mut child = match Command::new("python3")
        .arg(format!("{ROOT}/tools/models/field_tree.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: the Python model needs python3 ({error})");
            return None;
        }
    };
    let input: String = lines.iter().map(|l| format!("{l}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "the model failed");
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<Value> = answers.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(answers.len(), lines.len());
    Some(answers)
}

#[test]
fn an_independent_model_computes_the_same_commitments() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = documents();
    let generated = (0..800).map(|_| strategy.new_tree(&mut runner).unwrap().current());
    let wide: Value =
        (0..4_096).map(|i| (format!("k{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let too_wide: Value =
        (0..4_097).map(|i| (format!("k{i}"), json!(i))).collect::<serde_json::Map<_, _>>().into();
    let edges = [
        wide,
        too_wide,
        json!({"a": vec![0; 130]}),
        json!({}),
        json!([1]),
        json!("x"),
        json!({"a": deep(63)}),
        json!({"a": deep(64)}),
        long_paths(1_048_575),
        long_paths(1_048_576),
        long_paths(1_048_577),
    ];
    let documents: Vec<Value> = generated.chain(edges).collect();
    let secrets: Vec<Seed> =
        (0..documents.len()).map(|i| Seed::from_bytes(sha(&[&i.to_be_bytes()]))).collect();
    let lines: Vec<Value> =
        documents.iter().zip(&secrets).map(|(d, s)| json!({"document": d, "seed": s.to_base64()})).collect();
    let Some(answers) = model(&lines) else { return };
    let mut refused = 0;
    for ((document, secret), answer) in documents.iter().zip(&secrets).zip(answers) {
        match FieldTree::of_document(document, secret) {
            Ok(tree) => assert_eq!(serde_json::to_value(tree.commitment()).unwrap(), answer, "{document}"),
            Err(error) => {
                assert!(answer["error"].is_string(), "only we refuse ({error}): {document}");
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 6);
}

/// `n` arrays within each other, the innermost empty.
fn deep(n: usize) -> Value {
    (1..n).fold(json!([]), |inner, _| json!([inner]))
}

/// Sixteen fields whose paths take `bytes` together, most of it one shared name.
fn long_paths(bytes: usize) -> Value {
    let tails: Vec<String> = (0..16).map(|i| format!("{i:x}")).collect();
    let each = bytes / 16; // "/" name "/" digit
    let mut inner: serde_json::Map<String, Value> = tails.iter().map(|t| (t.clone(), json!(1))).collect();
    let rest = bytes - each * 16;
    if rest > 0 {
        inner.remove("f");
        inner.insert(format!("f{}", "+".repeat(rest)), json!(1));
    }
    json!({ ("n".repeat(each - 3)): inner })
}

// ---- the bytes, from the specification ------------------------------------------------------------------------

#[test]
fn leaves_salts_and_padding_are_those_of_the_specification() {
    let secret = [7u8; 32];
    let salt = |i: u32| sha(&[b"foreseal.salt.v1\0", &secret, &i.to_be_bytes()]);
    let field = |i: u32, path: &str, jcs: &str| {
        let length = (path.len() as u32).to_be_bytes();
        sha(&[b"\0", b"foreseal.field.v1\0", &salt(i), &length, path.as_bytes(), jcs.as_bytes()])
    };
    let pad = |i: u32| sha(&[b"\0", b"foreseal.pad.v1\0", &salt(i)]);
    let leaves = [
        field(0, "", r#"["/a/1","/a~1","/é"]"#),
        field(1, "/a/1", r#"{}"#),
        field(2, "/a~1", "1.5"),
        field(3, "/é", r#""\n""#),
    ];
    let document = json!({"é": "\n", "a/": 1.5, "a": {"1": {}}});
    assert_eq!(tree(&document).commitment(), Commitment { root: Hash(subtree(&leaves)), log2: 2 });
    let document = json!({"b": {"0": true}, "x": [[]], "c": null, "d": "d"});
    let leaves = [
        field(0, "", r#"["/b/0","/c","/d","/x/0",{"objects":["/b"]}]"#),
        field(1, "/b/0", "true"),
        field(2, "/c", "null"),
        field(3, "/d", r#""d""#),
        field(4, "/x/0", "[]"),
        pad(5),
        pad(6),
        pad(7),
    ];
    assert_eq!(tree(&document).commitment(), Commitment { root: Hash(subtree(&leaves)), log2: 3 });
}

// ---- one root, one document -----------------------------------------------------------------------------------

#[test]
fn documents_that_look_alike_have_different_roots() {
    let alike = [
        json!({"a": 1}),
        json!({"a": "1"}),
        json!({"a": true}),
        json!({"a": "true"}),
        json!({"a": null}),
        json!({"a": "null"}),
        json!({"a": ""}),
        json!({"a": {}}),
        json!({"a": []}),
        json!({"a": "{}"}),
        json!({"a": [1]}),
        json!({"a": {"0": 1}}),
        json!({"a": {"00": 1}}),
        json!({"a": {"": 1}}),
        json!({"a": [[1]]}),
        json!({"a": {"0": [1]}}),
        json!({"a": [{"0": 1}]}),
        json!({"a": {"0": {"0": 1}}}),
        json!({"a/0": 1}),
        json!({"a~10": 1}),
        json!({"a~1": {"0": 1}}),
        json!({"a~0": 1}),
        json!({"a~": 1}),
        json!({"b": 1}),
        json!({"": 1}),
        json!({"": {"a": 1}}),
        json!({"/a": 1}),
        json!({"a": 1, "b": null}),
        json!({"a": 1, "b": []}),
        json!({"a": 1.5}),
        json!({"A": 1}),
        json!({"a": -1}),
        json!({"a ": 1}),
        json!({"é": 1}),
        json!({"e\u{301}": 1}),
        json!({"a": "é"}),
        json!({"a": "e\u{301}"}),
        json!({"a": [1, 2]}),
        json!({"a": [2, 1]}),
        json!({"a": {"0": 1, "1": 2}}),
        json!({"a": {"0": 2, "1": 1}}),
        json!({"0": 1}),
        json!({"0": [1]}),
    ];
    let roots: BTreeSet<[u8; 32]> = alike.iter().map(|d| tree(d).commitment().root.0).collect();
    assert_eq!(roots.len(), alike.len());
    // And what is one document has one root, however it is written.
    let same = [r#"{"a":[1.0,-0],"b":"\u00e9"}"#, "{ \"b\": \"é\", \"a\": [1e0, 0.0] }"];
    let roots: BTreeSet<[u8; 32]> =
        same.iter().map(|t| tree(&json::parse(t.as_bytes()).unwrap()).commitment().root.0).collect();
    assert_eq!(roots.len(), 1);
}

#[test]
fn what_cannot_be_committed_to_is_refused() {
    let refuse = |d: &Value| FieldTree::of_document(d, &seed(1)).err().unwrap();
    for document in [json!([]), json!([1]), json!(1), json!("x"), json!(null)] {
        assert_eq!(refuse(&document), FieldTreeError::NotAnObject);
    }
    assert_eq!(refuse(&json!({})), FieldTreeError::Empty);
    assert_eq!(refuse(&json!({"a": deep(64)})), FieldTreeError::TooDeep);
    assert_eq!(refuse(&json!({"a": vec![0; 4_097]})), FieldTreeError::TooManyFields);
    assert_eq!(refuse(&json!({ ("k".repeat(600_000)): [1, 2] })), FieldTreeError::PathsTooLong);
    assert_eq!(refuse(&json!({ ("~".repeat(600_000)): 1 })), FieldTreeError::PathsTooLong);
    let source = CanonicalError::Number;
    assert_eq!(refuse(&json!({"a": [u64::MAX]})), FieldTreeError::Value { path: "/a/0".into(), source });
    let full = tree(&json!({"a": vec![0; 4_096]}));
    assert_eq!(full.commitment().log2, 13);
    let last = full.open("/a/999").unwrap();
    assert_eq!((last.index, last.verify(&full.commitment())), (4_096, Ok(())));
    // A body of a megabyte with one long name over thousands of values is refused before it takes gigabytes.
    assert_eq!(refuse(&json!({ ("k".repeat(1_000_000)): vec![0; 4_000] })), FieldTreeError::PathsTooLong);
}

#[test]
fn groups_are_single_fields() {
    let groups = || {
        vec![
            ("/engine".to_owned(), json!({"cedar": "4.14"})),
            ("/facts".to_owned(), json!({"b": [1, {"x": null}], "a": {}})),
            ("/requests/0".to_owned(), json!([1])),
            ("/requests/1".to_owned(), json!("r")),
            ("/verdicts/0".to_owned(), json!({"outcome": "deny"})),
        ]
    };
    let tree = FieldTree::of_groups(groups(), &seed(3)).unwrap();
    let fields = groups().into_iter().map(|(path, v)| Field { path, jcs: to_jcs(&v).unwrap() }).collect();
    assert_eq!(FieldTree::commit(fields, &seed(3)).unwrap().commitment(), tree.commitment());
    let openings: Vec<FieldOpening> = tree.paths().map(|p| tree.open(p).unwrap()).collect();
    let shown = Disclosure::assemble(&tree.commitment(), &openings).unwrap();
    assert_eq!(
        shown.document().unwrap(),
        json!({"engine": {"cedar": "4.14"}, "facts": {"b": [1, {"x": null}], "a": {}}, "requests": [[1], "r"],
            "verdicts": [{"outcome": "deny"}]})
    );
    assert_eq!(shown.presence("/facts/b"), Some(Presence::Within(2)));
    assert_eq!(shown.presence("/requests"), Some(Presence::Container));
    assert_eq!(shown.presence("/requests/2"), Some(Presence::Absent));
    assert!(tree.open("/requests").is_none() && tree.open("/facts/a").is_none());
    // The fields of a document, committed one by one, are the document's tree.
    let document = json!({"x": [1, "é", {}], "y~": null});
    let mut plain = BTreeMap::new();
    fields_of(&document, "", &mut plain);
    let one_by_one = plain.into_iter().map(|(p, v)| (String::from_utf8(p).unwrap(), v)).collect();
    assert_eq!(
        FieldTree::of_groups(one_by_one, &seed(3)).unwrap().commitment(),
        FieldTree::of_document(&document, &seed(3)).unwrap().commitment()
    );
}

#[test]
fn ill_made_groups_are_refused() {
    let groups = |paths: &[&str]| {
        let list = paths.iter().map(|p| ((*p).to_owned(), json!(1))).collect();
        FieldTree::of_groups(list, &seed(3)).err()
    };
    let at = |p: &str| p.to_owned();
    assert_eq!(groups(&["/a", "/a!", "/b"]), None);
    assert_eq!(groups(&[]), Some(FieldTreeError::Empty));
    for bad in ["", "a", "/a~", "/a~2", "~0"] {
        assert_eq!(groups(&[bad]), Some(FieldTreeError::PathSyntax { path: at(bad) }));
    }
    assert_eq!(groups(&["/a", "/a"]), Some(FieldTreeError::PathOrder { path: at("/a") }));
    assert_eq!(groups(&["/b", "/a"]), Some(FieldTreeError::PathOrder { path: at("/a") }));
    assert_eq!(groups(&["/a", "/a/b"]), Some(FieldTreeError::PathOverlap { path: at("/a/b") }));
    assert_eq!(groups(&["/a", "/a!", "/a/b"]), Some(FieldTreeError::PathOverlap { path: at("/a/b") }));
    assert_eq!(groups(&["/", "//"]), Some(FieldTreeError::PathOverlap { path: at("//") }));
    assert_eq!(groups(&[&"/x".repeat(64)]), None);
    assert_eq!(groups(&[&"/x".repeat(65)]), Some(FieldTreeError::TooDeep));
    let many: Vec<String> = (0..4_097).map(|i| format!("/{i:04}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(groups(&many[..4_096]), None);
    assert_eq!(groups(&many), Some(FieldTreeError::TooManyFields));
    for jcs in ["1.0", "{\"b\":1,\"a\":1}", "", " 1", "9007199254740992"] {
        let field = Field { path: at("/a"), jcs: jcs.into() };
        assert_eq!(
            FieldTree::commit(vec![field], &seed(3)).err(),
            Some(FieldTreeError::NotCanonical { path: at("/a") })
        );
    }
}

// ---- forms ----------------------------------------------------------------------------------------------------

#[test]
fn json_forms_are_read_strictly() {
    let tree = tree(&json!({"a": 0.1, "b": 2}));
    let good =
        String::from_utf8(to_jcs(&serde_json::to_value(tree.open("/a").unwrap()).unwrap()).unwrap()).unwrap();
    let parse = |text: &str| FieldOpening::parse(text.as_bytes(), &JsonLimits::default());
    assert!(parse(&good).is_ok());
    for (from, to) in [
        ("\"index\":1,", ""),
        ("\"index\":1", "\"index\":-1"),
        ("\"index\":1", "\"index\":4294967296"),
        ("\"index\":1", "\"index\":1,\"index\":1"),
        ("\"index\":1", "\"index\":1,\"more\":1"),
        ("\"value\":0.1", "\"valve\":0.1"),
        ("=\"", "\""),
        ("\"path\":\"/a\"", "\"path\":1"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(parse(&bad).is_err(), "{bad}");
    }
    let commitment = serde_json::to_value(tree.commitment()).unwrap();
    assert_eq!(commitment.as_object().unwrap().len(), 2);
    assert!(serde_json::from_value::<Commitment>(json!({"root": commitment["root"]})).is_err());
    assert!(serde_json::from_value::<Commitment>(json!({"root": "AA==", "log2": 1})).is_err());
    let extra = json!({"root": commitment["root"], "log2": 2, "size": 3});
    assert!(serde_json::from_value::<Commitment>(extra).is_err());
}

#[test]
fn seeds_keep_to_themselves() {
    let secret = Seed::from_bytes([0x5A; 32]);
    let text = secret.to_base64();
    assert_eq!(text.len(), 44);
    assert!(Seed::from_base64(&text).unwrap() == secret && secret != seed(1));
    assert!(!format!("{secret:?}{:?}", secret.salt(0)).contains("Wl"), "no content in Debug");
    let last_bits = text.replace("o=", "p=");
    assert_ne!(last_bits, text);
    for bad in
        ["", "AA==", &text[..43], &format!("{text}="), &format!(" {text}"), &last_bits, &text.repeat(2)]
    {
        assert!(Seed::from_base64(bad).is_err(), "{bad}");
    }
}
