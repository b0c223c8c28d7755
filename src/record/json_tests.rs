//! The strict parser against a table of bad texts with their places, and against `serde_json` as oracle.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{JsonErrorKind as Kind, JsonLimits, parse, parse_object, parse_with};
use crate::record::canonical::to_jcs;

/// text, kind, line, column, pointer
const REFUSED: &[(&str, Kind, usize, usize, &str)] = &[
    ("", Kind::UnexpectedEnd, 1, 1, ""),
    (" \n ", Kind::UnexpectedEnd, 2, 2, ""),
    ("{", Kind::UnexpectedEnd, 1, 2, ""),
    ("[1", Kind::UnexpectedEnd, 1, 3, ""),
    ("{\"a\":", Kind::UnexpectedEnd, 1, 6, "/a"),
    ("\"abc", Kind::UnexpectedEnd, 1, 5, ""),
    ("\"\\u12", Kind::UnexpectedEnd, 1, 6, ""),
    ("tru", Kind::UnexpectedEnd, 1, 4, ""),
    ("-", Kind::UnexpectedEnd, 1, 2, ""),
    ("1.", Kind::UnexpectedEnd, 1, 3, ""),
    ("1e+", Kind::UnexpectedEnd, 1, 4, ""),
    ("{\"a\":1,\"b\":2,\"a\":3}", Kind::DuplicateKey, 1, 14, "/a"),
    ("{\"a\":1,\"\\u0061\":3}", Kind::DuplicateKey, 1, 8, "/a"),
    ("{\"x\":[{},{\n \"é\":1, \"\\u00e9\":2}]}", Kind::DuplicateKey, 2, 9, "/x/1/é"),
    ("{\"a/b~c\":{\"d\":1,\"d\":1}}", Kind::DuplicateKey, 1, 17, "/a~1b~0c/d"),
    ("{\"\":1,\"\":1}", Kind::DuplicateKey, 1, 7, "/"),
    ("9007199254740992", Kind::IntegerTooLarge, 1, 1, ""),
    ("-9007199254740992", Kind::IntegerTooLarge, 1, 1, ""),
    ("{\"n\": [1, 9007199254740993]}", Kind::IntegerTooLarge, 1, 11, "/n/1"),
    ("9007199254740992.0", Kind::IntegerTooLarge, 1, 1, ""),
    ("9007199254740991.9", Kind::IntegerTooLarge, 1, 1, ""),
    ("0.9007199254740992e16", Kind::IntegerTooLarge, 1, 1, ""),
    ("90071992547409920e-1", Kind::IntegerTooLarge, 1, 1, ""),
    ("1E16", Kind::IntegerTooLarge, 1, 1, ""),
    ("18446744073709551616", Kind::IntegerTooLarge, 1, 1, ""),
    ("1e300", Kind::IntegerTooLarge, 1, 1, ""),
    ("1e309", Kind::NumberTooLarge, 1, 1, ""),
    ("-1e999999999999999999999", Kind::NumberTooLarge, 1, 1, ""),
    ("01", Kind::TrailingCharacters, 1, 2, ""),
    ("[01]", Kind::UnexpectedCharacter, 1, 3, ""),
    ("-01", Kind::TrailingCharacters, 1, 3, ""),
    ("+1", Kind::UnexpectedCharacter, 1, 1, ""),
    (".5", Kind::UnexpectedCharacter, 1, 1, ""),
    ("1.e1", Kind::UnexpectedCharacter, 1, 3, ""),
    ("[1e]", Kind::UnexpectedCharacter, 1, 4, "/0"),
    ("0x10", Kind::TrailingCharacters, 1, 2, ""),
    ("NaN", Kind::UnexpectedCharacter, 1, 1, ""),
    ("-Infinity", Kind::UnexpectedCharacter, 1, 2, ""),
    ("nul1", Kind::UnexpectedCharacter, 1, 4, ""),
    ("True", Kind::UnexpectedCharacter, 1, 1, ""),
    ("[1,]", Kind::UnexpectedCharacter, 1, 4, "/1"),
    ("[,1]", Kind::UnexpectedCharacter, 1, 2, "/0"),
    ("[1 2]", Kind::UnexpectedCharacter, 1, 4, ""),
    ("[1}", Kind::UnexpectedCharacter, 1, 3, ""),
    ("{\"a\":1,}", Kind::UnexpectedCharacter, 1, 8, ""),
    ("{\"a\" 1}", Kind::UnexpectedCharacter, 1, 6, "/a"),
    ("{a:1}", Kind::UnexpectedCharacter, 1, 2, ""),
    ("{1:1}", Kind::UnexpectedCharacter, 1, 2, ""),
    ("{'a':1}", Kind::UnexpectedCharacter, 1, 2, ""),
    ("[1] // no", Kind::TrailingCharacters, 1, 5, ""),
    ("/**/1", Kind::UnexpectedCharacter, 1, 1, ""),
    ("{}\n{}", Kind::TrailingCharacters, 2, 1, ""),
    ("1\u{0}", Kind::TrailingCharacters, 1, 2, ""),
    ("\u{a0}1", Kind::UnexpectedCharacter, 1, 1, ""),
    ("\u{feff}{}", Kind::ByteOrderMark, 1, 1, ""),
    ("[\"\u{feff}\",\u{feff}1]", Kind::UnexpectedCharacter, 1, 6, "/1"),
    ("\"\\ud800\"", Kind::LoneSurrogate, 1, 2, ""),
    ("\"\\udc00\"", Kind::LoneSurrogate, 1, 2, ""),
    ("\"\\udc00\\ud800\"", Kind::LoneSurrogate, 1, 2, ""),
    ("\"\\ud800\\ud800\"", Kind::LoneSurrogate, 1, 2, ""),
    ("\"\\ud800\\n\"", Kind::LoneSurrogate, 1, 2, ""),
    ("\"😀\\udbff x\"", Kind::LoneSurrogate, 1, 3, ""),
    ("{\"k\":\"\\ud800\\u00zz\"}", Kind::InvalidEscape, 1, 13, "/k"),
    ("{\"\\ud800\":1}", Kind::LoneSurrogate, 1, 3, ""),
    ("\"\\x41\"", Kind::InvalidEscape, 1, 2, ""),
    ("\"\\u00g0\"", Kind::InvalidEscape, 1, 2, ""),
    ("\"\\U0041\"", Kind::InvalidEscape, 1, 2, ""),
    ("\"a\nb\"", Kind::ControlCharacter, 1, 3, ""),
    ("{\n\t\"a\": [true, \"\t\"]}", Kind::ControlCharacter, 2, 15, "/a/1"),
];

#[test]
fn bad_texts_are_refused_at_their_place() {
    for (text, kind, line, column, pointer) in REFUSED {
        let error = parse(text.as_bytes()).expect_err(text);
        let got = (error.kind, error.line, error.column, error.pointer.as_str());
        assert_eq!(got, (*kind, *line, *column, *pointer), "{text:?}");
        assert!(error.offset <= text.len() && text.is_char_boundary(error.offset), "{text:?}");
    }
}

#[test]
fn invalid_utf8_is_refused_at_its_first_byte() {
    let cases: &[(&[u8], usize, usize)] = &[
        (b"\"\xff\"", 1, 2),
        (b"[\n\"\xc3\xa9\xc3\"]", 2, 3),
        (b"\"\xed\xa0\x80\"", 1, 2),             // a surrogate
        (b"\"\xed\xa0\xbd\xed\xb8\x80\"", 1, 2), // two of them (CESU-8)
        (b"\"\xc0\x80\"", 1, 2),                 // overlong
        (b"\"\xf4\x90\x80\x80\"", 1, 2),         // beyond U+10FFFF
        (b"{} \x80", 1, 4),
        (b"\"\xe2\x82", 1, 2),
    ];
    for (bytes, line, column) in cases {
        let error = parse(bytes).expect_err("invalid UTF-8");
        assert_eq!((error.kind, error.line, error.column), (Kind::InvalidUtf8, *line, *column), "{bytes:?}");
    }
    // UTF-16 and UTF-32 texts are not read either.
    assert!(parse(b"\xff\xfe{\0}\0").is_err());
    assert!(parse(b"{\0}\0").is_err());
}

#[test]
fn what_is_accepted_has_one_value() {
    let cases = [
        ("\t\r\n null ", json!(null)),
        ("[ ]", json!([])),
        ("{ }", json!({})),
        ("1.0", json!(1)),
        ("-0", json!(0)),
        ("-0.0e-5", json!(0)),
        ("1E+2", json!(100)),
        ("1200e-2", json!(12)),
        ("9007199254740991", json!(9_007_199_254_740_991_i64)),
        ("-9007199254740991.0", json!(-9_007_199_254_740_991_i64)),
        ("9007199254740991.4", json!(9_007_199_254_740_991_i64)),
        ("0.00000000000000000000000000000000001e35", json!(1)),
        ("0.1", json!(0.1)),
        ("0.1000000000000000055511151231257827", json!(0.1)),
        ("5e-324", json!(5e-324)),
        ("1e-400", json!(0)),
        ("\"\\u0041\\/\\\\\\\"\\b\\f\\n\\r\\t\"", json!("A/\\\"\u{8}\u{c}\n\r\t")),
        ("\"\\ud83D\\uDE00\\ufffe\\u0000\"", json!("😀\u{fffe}\u{0}")),
        ("{\"a\":{\"a\":1},\"A\":2,\"á\":3}", json!({"a": {"a": 1}, "A": 2, "á": 3})),
    ];
    for (text, value) in cases {
        assert_eq!(parse(text.as_bytes()).expect(text), value, "{text}");
    }
}

/// These decimals lie so close to the middle of two doubles that a reader without exact arithmetic misses them.
#[test]
fn fractions_are_rounded_correctly_whatever_the_features() {
    for text in [
        "0.500000000000000166533453693773481063544750213623046875",
        "3.5184372088831995e13",
        "1.7976931348623157e-300",
        "2.2250738585072011e-308",
        "6.631236846766476e-316",
        "0.000000000000000000000000000000000000000000000000123456789012345678",
        "4503599627370496.5",
        "1.00000000000000011102230246251565404236316680908203126",
    ] {
        let value = parse(text.as_bytes()).expect(text).as_f64();
        assert_eq!(value.map(f64::to_bits), text.parse::<f64>().ok().map(f64::to_bits), "{text}");
    }
}

#[test]
fn depth_is_counted_in_open_containers() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |n: usize| format!("{}1{}", open.repeat(n), close.repeat(n));
        assert!(parse(nested(64).as_bytes()).is_ok());
        let error = parse(nested(65).as_bytes()).expect_err("65");
        assert_eq!((error.kind, error.offset), (Kind::TooDeep, 64 * open.len()));
        // The limits can be narrowed, not widened; and siblings do not add up.
        let limits = |max_depth| JsonLimits { max_depth, ..JsonLimits::default() };
        assert!(parse_with(nested(3).as_bytes(), &limits(2)).is_err());
        assert!(parse_with(nested(65).as_bytes(), &limits(1_000)).is_err());
        assert!(parse_with(b"1", &limits(0)).is_ok());
        assert!(parse_with(b"[[],[],{\"a\":[]},[]]", &limits(3)).is_ok());
    }
    assert_eq!(parse(&b"[".repeat(1_000_000)).expect_err("deep").kind, Kind::TooDeep);
}

#[test]
fn length_is_limited_before_anything_is_read() {
    let limits = JsonLimits { max_bytes: 4, ..JsonLimits::default() };
    assert!(parse_with(b"1234", &limits).is_ok());
    let error = parse_with(b"12345", &limits).expect_err("5 bytes");
    assert_eq!((error.kind, error.line, error.column), (Kind::TooLong, 1, 5));
    assert_eq!(parse(&[b' '; 1_048_577]).expect_err("too long").kind, Kind::TooLong);
    assert_eq!(parse(&[b' '; 1_048_576]).expect_err("empty").kind, Kind::UnexpectedEnd);
}

#[test]
fn an_object_can_be_asked_for() {
    assert_eq!(parse_object(b" {\"a\":1}").map(|m| m.len()), Ok(1));
    let error = parse_object(b"\n [1]").expect_err("array");
    assert_eq!((error.kind, error.line, error.column), (Kind::NotAnObject, 2, 2));
}

#[test]
fn a_long_pointer_is_cut() {
    let text = format!("{{\"{}\":x}}", "ä".repeat(500));
    let error = parse(text.as_bytes()).expect_err("x");
    assert!(error.pointer.len() < 300 && error.pointer.ends_with('…'));
    assert_eq!(error.column, 505);
    assert_eq!(
        parse(b"[{\"a\":x}]").expect_err("x").to_string(),
        "unexpected character at line 1, column 7 (at \"/0/a\")"
    );
}

/// JSON-like soup: enough of the grammar to get deep, enough noise to break it anywhere.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"a\"",
        "\"b\"",
        "\"a\\u0062\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud800\"",
        "1",
        "-0",
        "1.5",
        "1e2",
        "1e400",
        "9007199254740993",
        "123456789012345678901",
        "true",
        "null",
        " ",
        "\n",
        "\"",
        "\\",
        "é",
        "{\"a\":1,",
        "[1,",
        "01",
        "-",
        "\u{feff}",
        "\u{1}",
    ]);
    prop_oneof![
        prop::collection::vec(words, 0..24).prop_map(|w| w.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

/// Whole numbers as integers, so that the oracle's values can be compared with ours.
fn whole(value: &Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "below 2^53")]
            Some(x) if x.fract() == 0.0 && x.abs() < 9e15 => json!(x as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(whole).collect(),
        Value::Object(members) => members.iter().map(|(k, v)| (k.clone(), whole(v))).collect(),
        other => other.clone(),
    }
}

pub(crate) fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        (-20_i64..20).prop_map(Value::from),
        (-1e6..1e6_f64).prop_map(|x| whole(&json!(x))),
        any::<u64>()
            .prop_map(f64::from_bits)
            .prop_filter_map("representable", |x| { super::number_of_double(x).map(Value::Number) }),
        "\\PC{0,8}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let name = prop_oneof!["[a-c]", "[0-2]", "[a/~\"\\\\\u{0}é😀\u{e000}]{0,3}", any::<String>()];
    scalar.prop_recursive(5, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// No input panics; what we accept, serde_json accepts with the same value; what only it accepts, we refuse
    /// for a reason from the list of what strictness adds.
    #[test]
    fn agrees_with_serde_json_but_for_the_strictness(bytes in soup()) {
        let lax = serde_json::from_slice::<Value>(&bytes);
        match parse(&bytes) {
            Ok(value) => {
                prop_assert_eq!(whole(&lax.expect("serde_json is laxer")), value.clone());
                let again = to_jcs(&value).expect("what is parsed has a canonical form");
                prop_assert_eq!(parse(&again).expect("canonical"), value);
            }
            Err(error) => {
                // (Numbers too large for a double: where another crate switches on `arbitrary_precision`.)
                let added = [Kind::DuplicateKey, Kind::IntegerTooLarge, Kind::NumberTooLarge, Kind::TooDeep, Kind::LoneSurrogate];
                prop_assert!(lax.is_err() || added.contains(&error.kind), "{:?}", error);
                let lines = bytes.iter().filter(|b| **b == b'\n').count() + 1;
                prop_assert!(error.line >= 1 && error.line <= lines && error.column >= 1);
                prop_assert!(error.offset <= bytes.len());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// However a value is spelled (compact, pretty, canonical, escaped), it is read as itself.
    #[test]
    fn every_spelling_is_read_as_the_same_value(value in values()) {
        let compact = serde_json::to_vec(&value).expect("serializes");
        let pretty = serde_json::to_vec_pretty(&value).expect("serializes");
        let ascii: String = String::from_utf8(compact.clone()).expect("UTF-8").chars().map(|c| {
            let mut units = [0; 2];
            if c.is_ascii() { c.to_string() } else {
                c.encode_utf16(&mut units).iter().map(|u| format!("\\u{u:04X}")).collect()
            }
        }).collect();
        let canonical = to_jcs(&value).expect("canonical");
        for text in [&compact, &pretty, &canonical, &ascii.into_bytes()] {
            prop_assert_eq!(&parse(text).expect("strict"), &value);
        }
    }

    /// Cutting an object's or array's text anywhere is an error at or before the cut.
    #[test]
    fn every_cut_is_refused(value in values(), cut in any::<prop::sample::Index>()) {
        prop_assume!(value.is_object() || value.is_array() || value.is_string());
        let text = to_jcs(&value).expect("canonical");
        let cut = cut.index(text.len());
        let error = parse(&text[..cut]).expect_err("cut");
        prop_assert!(error.offset <= cut);
        prop_assert!(matches!(error.kind, Kind::UnexpectedEnd | Kind::InvalidUtf8), "{:?}", error);
    }
}
