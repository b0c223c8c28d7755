//! Promised: what is read has one reading, and it is PyYAML's; everything else is refused.
#![cfg(test)]

use super::*;
use proptest::prelude::*;
use serde_json::json;

#[test]
fn what_safe_dump_writes_is_read() {
    let text = "- amount: 10.0\n  id: 007\n  recipient: GB29NWBK60161331926819\n  subject: 'a: b\n\n    - c: d'\n- []\n- x: {}\n  y: null\n\
        - - deep\n  - 'it''s'\n- \"tab\\t \\\n  joined \\xE9\"\n- plain\n  goes on\n\n  here\n- at:\n  - 1\n  under:\n    a:b: c#\n";
    assert_eq!(
        read(text),
        Some(json!([
            {"amount": "10.0", "id": "007", "recipient": "GB29NWBK60161331926819", "subject": "a: b\n- c: d"},
            [],
            {"x": {}, "y": "null"},
            ["deep", "it's"],
            "tab\t joined é",
            "plain goes on\nhere",
            {"at": ["1"], "under": {"a:b": "c#"}},
        ]))
    );
    assert_eq!(read("[]\n"), Some(json!([])));
    assert_eq!(read("{}"), Some(json!({})));
}

#[test]
fn everything_else_is_refused() {
    for text in [
        "",
        "\n",
        "scalar",
        "'a'",
        " a: 1",
        "a: &x 1\nb: *x",
        "a: !!str 1",
        "a: 1\na: 2",
        "a: 1\n'a': 2",
        "a: 1\n---\nb: 2",
        "---\na: 1",
        "%YAML 1.2",
        "? [a]\n: 1",
        "a: [1",
        "a: [1]",
        "a: {b: 1}",
        "a: |\n  x",
        "a: >\n  x",
        "a:",
        "a: ",
        "a:\nb: 1",
        "-",
        "- ",
        "-\n- a",
        "a: 1 # x",
        "# x\na: 1",
        "a: b\n  # c",
        "a: b: c",
        "a: b\n  c: d",
        "a: - b",
        "a: ? b",
        "a: b ",
        "a:\tb",
        "a: b\r\n",
        "a: 'b",
        "a: 'b' c",
        "a: 'b\nc'",
        "a: \"b\n--- c\"",
        "a: \"\\q\"",
        "a: \"\\ud800\"",
        "a: \"\\x4\"",
        "\"a\\x41\": b",
        "a : b",
        "a: b\n\nc: d",
        "a: b\n c: d",
        "  - a\n- b",
        "- a\nb: c",
        "a: b\n- c",
        "\u{feff}a: b",
        "a: b\u{85}",
        "a: `b",
        "a: @b",
        "a:: b",
        "-: b",
        "a: []\n  b",
        "a: [] b",
    ] {
        assert_eq!(read(text), None, "{text:?}");
    }
    let nested = |depth: usize| format!("{}a", "- ".repeat(depth));
    assert!(read(&nested(DEPTH_MAX)).is_some());
    assert!(read(&nested(DEPTH_MAX + 1)).is_none());
    assert!(read(&format!("{}: b", "n".repeat(NAME_MAX_BYTES + 1))).is_none());
}

/// PyYAML is the judge: see `tools/models/yaml_subset.py`.
#[test]
fn what_is_read_is_what_pyyaml_reads() {
    let vectors: Vec<Value> =
        serde_json::from_str(include_str!("../../../../tests/vectors/policy/yaml.json")).unwrap();
    let (mut read_so_far, mut refused) = (0, 0);
    for vector in &vectors {
        let text = vector["text"].as_str().unwrap();
        match read(text) {
            Some(tree) => {
                assert_eq!(tree, vector["tree"], "{text:?}");
                read_so_far += 1;
            }
            None => {
                assert_eq!(vector.get("written"), None, "{text:?}");
                refused += 1;
            }
        }
    }
    assert!(read_so_far > vectors.len() / 5 && refused > vectors.len() / 5, "{read_so_far} and {refused}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}", near in "([-?:'\"\\\\ a0#&*!|>é]{0,6}(: |\n|\n  |- )){0,12}") {
        let _ = (read(&text), read(&near));
    }
}
