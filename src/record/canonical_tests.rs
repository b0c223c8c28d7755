//! RFC 8785: its own examples, and `serde_json_canonicalizer` as oracle.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{CanonicalError, is_canonical, plain_run, to_jcs, to_jcs_string};
use crate::record::json::{self, tests::values};

/// RFC 8785 appendix B: the bits of a double, and its text.
const APPENDIX_B: &[(u64, &str)] = &[
    (0x0000_0000_0000_0000, "0"),
    (0x8000_0000_0000_0000, "0"),
    (0x0000_0000_0000_0001, "5e-324"),
    (0x8000_0000_0000_0001, "-5e-324"),
    (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
    (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
    (0x4340_0000_0000_0000, "9007199254740992"),
    (0xc340_0000_0000_0000, "-9007199254740992"),
    (0x4430_0000_0000_0000, "295147905179352830000"),
    (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
    (0x44b5_2d02_c7e1_4af6, "1e+23"),
    (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
    (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
    (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
    (0x444b_1ae4_d6e2_ef50, "1e+21"),
    (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
    (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
    (0x41b3_de43_5555_5553, "333333333.3333332"),
    (0x41b3_de43_5555_5554, "333333333.33333325"),
    (0x41b3_de43_5555_5555, "333333333.3333333"),
    (0x41b3_de43_5555_5556, "333333333.3333334"),
    (0x41b3_de43_5555_5557, "333333333.33333343"),
    (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
    (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
];

#[test]
fn numbers_are_written_as_in_appendix_b_or_refused_beyond_2_53() {
    for (bits, text) in APPENDIX_B {
        let double = f64::from_bits(*bits);
        let value = Value::from(double);
        assert_eq!(&serde_json_canonicalizer::to_string(&value).expect("finite"), text, "the oracle");
        let ours = to_jcs_string(&value);
        if double.abs() < 9_007_199_254_740_992.0 {
            assert_eq!(ours.as_deref(), Ok(*text));
            let read = json::parse(text.as_bytes()).expect("strict");
            assert_eq!(read.as_f64(), Some(double), "{text} reads back");
        } else {
            assert_eq!(ours, Err(CanonicalError::Number));
            assert!(json::parse(text.as_bytes()).is_err(), "{text} is not read either");
        }
    }
}

#[test]
fn integers_beyond_2_53_are_refused_in_every_representation() {
    let edge = 9_007_199_254_740_991_i64;
    assert_eq!(to_jcs_string(&json!(edge)).as_deref(), Ok("9007199254740991"));
    assert_eq!(to_jcs_string(&json!(-edge)).as_deref(), Ok("-9007199254740991"));
    for value in [json!(edge + 1), json!(-edge - 1), json!(i64::MIN), json!(u64::MAX), json!([{"a": 1e16}])] {
        assert_eq!(to_jcs(&value), Err(CanonicalError::Number), "{value}");
    }
    assert_eq!(to_jcs_string(&json!([1.0, -0.0, 1e15])).as_deref(), Ok("[1,0,1000000000000000]"));
}

/// RFC 8785 sections 3.2.2 and 3.2.3. `1E30` of the RFC's first example is beyond 2^53 and left out.
#[test]
fn the_examples_of_the_rfc() {
    let text = r#"{"numbers": [333333333.33333329, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false]}"#;
    let value = json::parse(text.as_bytes()).expect("strict");
    let wanted = "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,4.5,0.002,1e-27],\
                  \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(to_jcs_string(&value).as_deref(), Ok(wanted));

    let text = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
    let value = json::parse(text.as_bytes()).expect("strict");
    let wanted = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
                  \"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\
                  \"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
    assert_eq!(to_jcs_string(&value).as_deref(), Ok(wanted));
}

#[test]
fn every_character_is_escaped_as_the_oracle_does() {
    for c in ('\u{0}'..='\u{ff}').chain(['\u{2028}', '\u{fffe}', '\u{feff}', '😀']) {
        let value = json!({ (c.to_string()): c.to_string() });
        let oracle = serde_json_canonicalizer::to_vec(&value).expect("canonical");
        assert_eq!(to_jcs(&value), Ok(oracle), "{c:?}");
    }
}

#[test]
fn depth_is_limited_as_in_the_parser() {
    let nested = |n: usize| (0..n).fold(json!(1), |inner, _| json!([inner]));
    assert!(to_jcs(&nested(64)).is_ok());
    assert_eq!(to_jcs(&nested(65)), Err(CanonicalError::TooDeep));
}

#[test]
fn canonical_means_exactly_these_bytes() {
    for text in ["{}", "{\"a\":1,\"b\":[]}", "\"é\"", "0.5", "null"] {
        assert!(is_canonical(text.as_bytes()), "{text}");
    }
    for text in [
        "",
        " {}",
        "{}\n",
        "{\"b\":1,\"a\":1}",
        "{\"a\": 1}",
        "1.0",
        "-0",
        "1e1",
        "\"\\u00e9\"",
        "\"\\/\"",
        "\"\\u000A\"",
        "{\"a\":1,\"a\":1}",
        "9007199254740992",
        "\u{feff}{}",
    ] {
        assert!(!is_canonical(text.as_bytes()), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_same_bytes_as_the_oracle_and_read_back_as_the_same_value(value in values()) {
        let ours = to_jcs(&value).expect("canonical");
        prop_assert_eq!(&ours, &serde_json_canonicalizer::to_vec(&value).expect("canonical"));
        prop_assert_eq!(json::parse(&ours).expect("strict"), value);
        prop_assert!(is_canonical(&ours));
    }

    /// Two values have one canonical form exactly when they are equal.
    #[test]
    fn canonical_forms_tell_values_apart(a in values(), b in values()) {
        prop_assert_eq!(a == b, to_jcs(&a) == to_jcs(&b));
    }
}

proptest! {
    #[test]
    fn eight_bytes_at_a_time_stop_where_one_at_a_time_does(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'a'), Just(0x7F), Just(0x80), Just(0x1F), Just(0x20)], 0..40),
    ) {
        let stop = |byte: &u8| matches!(*byte, b'"' | b'\\' | 0..=0x1F);
        prop_assert_eq!(plain_run(&bytes), bytes.iter().position(stop).unwrap_or(bytes.len()));
    }
}

#[test]
fn each_byte_at_each_place_stops_or_does_not() {
    for byte in 0..=u8::MAX {
        for place in 0..17 {
            for filling in [b'x', 0x80, 0xFF, 0x20, 0x23] {
                let mut bytes = [filling; 17];
                bytes[place] = byte;
                let stops = matches!(byte, b'"' | b'\\' | 0..=0x1F);
                assert_eq!(plain_run(&bytes), if stops { place } else { 17 }, "{byte} at {place}");
            }
        }
    }
}
