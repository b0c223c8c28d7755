//! Instants: one canonical spelling, and every RFC 3339 spelling read as the same instant.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::{TimeError, Timestamp};

/// Days since 1970 of a civil date, counted year by year and month by month: slow and plain.
fn days(year: i64, month: usize, day: i64) -> i64 {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let years: i64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    years + lengths[..month - 1].iter().sum::<i64>() + day - 1
}

#[test]
fn known_instants() {
    for (text, millis) in [
        ("1970-01-01T00:00:00.000Z", 0),
        ("2000-02-29T23:59:59.999Z", 951_868_799_999),
        ("2026-01-02T03:04:05.678Z", 1_767_323_045_678),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
    ] {
        let instant = Timestamp::parse_canonical(text).expect(text);
        assert_eq!(instant.as_millis(), millis, "{text}");
        assert_eq!(instant.to_string(), text);
    }
    assert_eq!(Timestamp::parse_canonical("1970-01-01T00:00:00.000Z"), Ok(Timestamp::MIN));
    assert_eq!(Timestamp::parse_canonical("9999-12-31T23:59:59.999Z"), Ok(Timestamp::MAX));
}

#[test]
fn other_spellings_are_input_and_not_canonical() {
    let wanted = Timestamp::from_millis(1_767_323_045_600).expect("in range");
    for text in [
        "2026-01-02T03:04:05.6Z",
        "2026-01-02t03:04:05.600z",
        "2026-01-02T03:04:05.600999999Z",
        "2026-01-02T03:04:05.600+00:00",
        "2026-01-02T03:04:05.600-00:00",
        "2026-01-02T04:34:05.600+01:30",
        "2026-01-01T03:05:05.600-23:59",
        "2026-01-03T03:03:05.6000+23:59",
    ] {
        assert_eq!(Timestamp::parse(text), Ok(wanted), "{text}");
        assert_eq!(Timestamp::parse_canonical(text), Err(TimeError::NotCanonical), "{text}");
    }
    assert_eq!(Timestamp::parse("2026-01-02T03:04:05Z").map(Timestamp::as_millis), Ok(1_767_323_045_000));
}

#[test]
fn what_is_not_rfc_3339_or_does_not_exist_is_refused() {
    for text in [
        "",
        "now",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05,6Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:05.600Z[UTC]",
        "2026-01-02T03:04:05.600+0100",
        "2026-01-02T03:04:05.600+01",
        "2026-01-02T03:04:05.600+24:00",
        "2026-01-02T03:04:05.600+01:60",
        " 2026-01-02T03:04:05.600Z",
        "2026-01-02T03:04:05.600Z ",
        "+2026-01-02T03:04:05Z",
        "-0001-01-02T03:04:05Z",
        "20260102T030405Z",
        "2026-1-2T3:4:5Z",
        "２026-01-02T03:04:05Z",
        "2026-01-02T03:04:05.6é0Z",
        "1767323045",
    ] {
        assert_eq!(Timestamp::parse(text), Err(TimeError::Syntax), "{text:?}");
    }
    for text in [
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-01-01T24:00:00Z",
        "2026-01-01T00:60:00Z",
        "2016-12-31T23:59:60Z",
    ] {
        assert_eq!(Timestamp::parse(text), Err(TimeError::NoSuchInstant), "{text:?}");
    }
    for text in [
        "1969-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.9999Z",
        "1970-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
    ] {
        assert_eq!(Timestamp::parse(text), Err(TimeError::OutOfRange), "{text:?}");
    }
}

#[test]
fn arithmetic_stays_in_range() {
    assert_eq!(Timestamp::MAX.checked_add_millis(1), None);
    assert_eq!(Timestamp::MIN.checked_add_millis(-1), None);
    assert_eq!(Timestamp::MAX.checked_add_millis(i64::MAX), None);
    assert_eq!(Timestamp::MIN.checked_add_millis(i64::MIN), None);
    assert_eq!(Timestamp::MIN.checked_add(Duration::MAX), None);
    assert_eq!(
        Timestamp::MIN.checked_add(Duration::from_micros(1_999)),
        Timestamp::MIN.checked_add_millis(1)
    );
    assert_eq!(Timestamp::MIN.millis_since(Timestamp::MAX), -Timestamp::MAX.as_millis());
    assert_eq!(Timestamp::from_millis(-1), Err(TimeError::OutOfRange));
    let before = UNIX_EPOCH.checked_sub(Duration::from_nanos(1)).expect("representable");
    assert_eq!(Timestamp::from_system_time(before), Err(TimeError::OutOfRange));
    let instant = Timestamp::from_system_time(UNIX_EPOCH + Duration::from_micros(1_234_567));
    assert_eq!(instant.map(Timestamp::as_millis), Ok(1_234));
}

#[test]
fn json_is_the_canonical_string_only() {
    let instant = Timestamp::from_millis(1_767_323_045_678).expect("in range");
    let text = serde_json::to_string(&instant).expect("serializes");
    assert_eq!(text, "\"2026-01-02T03:04:05.678Z\"");
    assert_eq!(serde_json::from_str::<Timestamp>(&text).expect("canonical"), instant);
    for other in ["\"2026-01-02T03:04:05Z\"", "1767323045678", "null", "\"2026-01-02T03:04:05.678+00:00\""] {
        assert!(serde_json::from_str::<Timestamp>(other).is_err(), "{other}");
    }
}

proptest! {
    #[test]
    fn display_and_parse_are_inverse_and_order_is_text_order(a in 0..=253_402_300_799_999_i64, b in 0..=253_402_300_799_999_i64) {
        let (a, b) = (Timestamp::from_millis(a).expect("range"), Timestamp::from_millis(b).expect("range"));
        prop_assert_eq!(Timestamp::parse_canonical(&a.to_string()), Ok(a));
        prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
    }

    #[test]
    fn agrees_with_counting_days(
        year in 1970..=9999_i64, month in 1..=12_usize, day in 1..=28_i64, second in 0..86_400_i64,
        nanos in 0..1_000_000_000_u32, offset in -1439..=1439_i64,
    ) {
        let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs());
        let text = format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{nanos:09}{sign}{:02}:{:02}",
            second / 3600, second / 60 % 60, second % 60, minutes / 60, minutes % 60,
        );
        let millis = ((days(year, month, day) * 86_400 + second - offset * 60) * 1_000) + i64::from(nanos / 1_000_000);
        prop_assert_eq!(Timestamp::parse(&text), Timestamp::from_millis(millis), "{}", text);
    }

    #[test]
    fn no_text_panics(text in any::<String>(), cut in "[0-9TZ:.+-]{0,30}") {
        let _ = Timestamp::parse(&text);
        let _ = Timestamp::parse_canonical(&cut);
    }
}
