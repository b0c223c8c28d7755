//! Exactness: a value is what was sent or it is not there.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn fields(schema: &Value) -> Fields {
    Fields::of_schema(schema).unwrap()
}

fn one(schema: &Value, value: &Value) -> (Record, Vec<String>) {
    let fields = fields(&json!({"type": "object", "properties": {"x": schema}}));
    let (record, lost) = arguments(json!({"x": value}).as_object().unwrap(), &fields);
    (record, lost.into_iter().collect())
}

/// The JSON form.
fn read_form(typed: &Typed) -> Value {
    let mut written = Vec::new();
    typed.write_json(&mut written);
    // `any_typed` has longs that no request has, and that JSON does not hold exactly.
    if let Ok(value) = crate::record::json::parse(&written) {
        assert_eq!(crate::record::canonical::to_jcs(&value).unwrap(), written);
    }
    serde_json::from_slice(&written).unwrap()
}

/// The one attribute that came out, or the path that was lost.
fn shown(schema: &Value, value: &Value) -> String {
    let (record, lost) = one(schema, value);
    match (record.len(), lost.as_slice()) {
        (0, []) => "absent".to_owned(),
        (0, [path]) => format!("lost {path}"),
        (1, []) => record.iter().map(|(name, value)| format!("{name}={}", read_form(value))).collect(),
        _ => panic!("{record:?} {lost:?}"),
    }
}

#[test]
fn numbers_are_exact_or_lost() {
    let number = json!({"type": "number"});
    for (text, expected) in [
        ("0", "0.0000"),
        ("-0.0", "0.0000"),
        ("1e2", "100.0000"),
        ("12.3456", "12.3456"),
        ("-0.5", "-0.5000"),
        ("0.1", "0.1000"),
        ("99.99", "99.9900"),
        ("922337203685477.5", "922337203685477.5000"),
        ("-922337203685477", "-922337203685477.0000"),
        ("1E-4", "0.0001"),
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(shown(&number, &value), format!("x={{\"decimal\":\"{expected}\"}}"), "{text}");
    }
    for text in [
        "0.00001",
        "1.23456",
        "1e300",
        "1e-300",
        "922337203685478",
        "9007199254740993",
        "-1e16",
        "18446744073709551615",
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(shown(&number, &value), "lost /x", "{text}");
    }
}

#[test]
fn integers_are_exact_or_lost() {
    let integer = json!({"type": "integer"});
    for (text, expected) in
        [("5", "5"), ("5.0", "5"), ("5e0", "5"), ("-9007199254740991", "-9007199254740991"), ("-0.0", "0")]
    {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(shown(&integer, &value), format!("x={expected}"), "{text}");
    }
    for text in [
        "5.5",
        "9007199254740992",
        "-9007199254740993",
        "1e18",
        "18446744073709551615",
        "\"5\"",
        "true",
        "[5]",
    ] {
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(shown(&integer, &value), "lost /x", "{text}");
    }
}

#[test]
fn null_is_absence_and_other_kinds_are_lost() {
    for kind in ["string", "integer", "number", "boolean", "object"] {
        assert_eq!(shown(&json!({"type": kind}), &Value::Null), "absent");
    }
    assert_eq!(shown(&json!({"type": "string"}), &json!(1)), "lost /x");
    assert_eq!(shown(&json!({"type": "boolean"}), &json!("true")), "lost /x");
    assert_eq!(shown(&json!({"type": "object"}), &json!([])), "lost /x");
    assert_eq!(shown(&json!({}), &json!("anything")), "lost /x", "no type, no exact form");
    assert_eq!(shown(&json!(true), &json!("anything")), "lost /x");
    assert_eq!(shown(&json!({"enum": ["a", "b"]}), &json!("c")), "x=\"c\"", "an enum of strings is a string");
}

#[test]
fn unions_become_one_attribute_per_branch() {
    let union = json!({"type": ["string", "integer", "null"]});
    assert_eq!(shown(&union, &json!("a")), "x__string=\"a\"");
    assert_eq!(shown(&union, &json!(4)), "x__integer=4");
    assert_eq!(shown(&union, &json!(4.5)), "lost /x");
    assert_eq!(shown(&union, &json!(null)), "absent");
    let any = json!({"anyOf": [{"type": "number"}, {"type": "integer"}, {"type": "null"}]});
    assert_eq!(shown(&any, &json!(4)), "x={\"decimal\":\"4.0000\"}", "integers are numbers: one branch");
    let same = json!({"oneOf": [{"type": "string", "format": "date"}, {"type": "string"}]});
    assert_eq!(shown(&same, &json!("a")), "x=\"a\"");
    let objects = json!({"anyOf": [
        {"type": "object", "properties": {"a": {"type": "string"}}},
        {"type": "object", "properties": {"b": {"type": "string"}}},
        {"type": "object", "properties": {"a": {"type": "string"}}}, {"type": "string"}]});
    assert_eq!(shown(&objects, &json!({"a": "1"})), "lost /x", "two objects contradict each other");
    assert_eq!(shown(&objects, &json!("a")), "x=\"a\"");
}

#[test]
fn sets_are_whole_or_lost() {
    let set = json!({"type": "array", "items": {"type": "string"}});
    assert_eq!(shown(&set, &json!(["b", "a", "b"])), "x=[\"a\",\"b\"]");
    assert_eq!(shown(&set, &json!([])), "x=[]");
    for mixed in [json!(["a", 1]), json!(["a", null]), json!([["a"]])] {
        assert_eq!(shown(&set, &mixed), "lost /x");
    }
    let records =
        json!({"type": "array", "items": {"type": "object", "properties": {"n": {"type": "integer"}}}});
    assert_eq!(shown(&records, &json!([{"n": 1}, {}])), "x=[{\"record\":{}},{\"record\":{\"n\":1}}]");
    assert_eq!(shown(&records, &json!([{"n": 1}, {"n": 1.5}])), "lost /x");
    assert_eq!(shown(&json!({"type": "array"}), &json!([])), "lost /x", "items of no known type");
}

#[test]
fn parts_of_records_are_lost_by_their_pointer() {
    let schema = json!({"type": "object", "properties": {"a/b": {"type": "object", "properties": {"c~": {"type": "integer"}}}}});
    let (record, lost) = one(&schema, &json!({"a/b": {"c~": 1.5, "d": 1}, "e": 2}));
    assert_eq!(
        read_form(&Typed::Record(record)),
        json!({"record": {"x": {"record": {"a/b": {"record": {}}}}}})
    );
    assert_eq!(lost, ["/x/a~1b/c~0", "/x/a~1b/d", "/x/e"]);
}

#[test]
fn references_resolve_and_loops_end() {
    let schema = json!({"type": "object", "$defs": {"N": {"type": "integer"}, "L": {"type": "object", "properties":
        {"next": {"$ref": "#/$defs/L"}, "n": {"$ref": "#/$defs/N"}}}}, "properties": {"l": {"$ref": "#/$defs/L"}}});
    let fields = fields(&schema);
    let (record, lost) = arguments(json!({"l": {"n": 1, "next": {"n": 2}}}).as_object().unwrap(), &fields);
    assert!(lost.is_empty());
    assert_eq!(read_form(&Typed::Record(record))["record"]["l"]["record"]["next"]["record"]["n"], 2);
    for bad in [
        json!({"type": "object", "properties": {"x": {"$ref": "#/nowhere"}}}),
        json!({"type": "object", "properties": {"x": {"$ref": "https://example.com/s.json"}}}),
        json!({"type": "object", "properties": {"x": {"type": "date"}}}),
        json!({"type": "object", "properties": {"x": 5}}),
        json!({"type": "object", "properties": []}),
        json!({"type": "object", "properties": {"x": {"type": ["string", "integer"]}, "x__string": {"type": "string"}}}),
        json!({"type": "string"}),
        json!({"type": ["object", "string"]}),
        json!(7),
    ] {
        assert!(Fields::of_schema(&bad).is_err(), "{bad}");
    }
}

fn any_typed() -> impl Strategy<Value = Typed> {
    let leaf = prop_oneof![
        ".{0,8}".prop_map(Typed::Text),
        any::<i64>().prop_map(Typed::Long),
        any::<i64>().prop_map(Typed::Decimal),
        any::<bool>().prop_map(Typed::Bool),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::btree_set(inner.clone(), 0..4).prop_map(Typed::Set),
            prop::collection::btree_map("[a-z_]{1,8}|decimal|record|__entity|__extn", inner, 0..4)
                .prop_map(Typed::Record),
        ]
    })
}

proptest! {
    /// The JSON form reads back as the value, and Cedar takes every value.
    #[test]
    fn the_json_form_is_self_describing(typed in any_typed()) {
        prop_assert_eq!(Typed::from_json(&read_form(&typed)), Some(typed.clone()));
        let pairs = [("x".to_owned(), typed.restricted().unwrap())];
        prop_assert!(cedar_policy::Context::from_pairs(pairs).is_ok());
    }

    /// Against integer arithmetic: `n / 10^p` in text becomes exactly `n * 10^(4-p)` ten-thousandths.
    #[test]
    fn decimals_equal_their_text(n in -999_999_999_999_i64..999_999_999_999, places in 0_u32..5) {
        let unit = 10_i64.pow(places);
        let text = format!("{}{}.{:0width$}", if n < 0 { "-" } else { "" }, n.abs() / unit, n.abs() % unit,
            width = places as usize);
        let text = text.trim_end_matches('.');
        let value: Value = serde_json::from_str(text).unwrap();
        let (record, lost) = one(&json!({"type": "number"}), &value);
        prop_assert!(lost.is_empty(), "{text}");
        prop_assert_eq!(record.get("x"), Some(&Typed::Decimal(n * 10_i64.pow(4 - places))), "{}", text);
    }
}
