//! Instants as the log knows them: whole milliseconds, UTC, 1970 to 9999.
//!
//! Two forms of text: what others send may be any RFC 3339 date-time; what is sealed has one spelling only,
//! `YYYY-MM-DDTHH:MM:SS.mmmZ`, so that equal instants have equal bytes. No clock is read here.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Civil arithmetic from here, because `jiff::Timestamp` ends a day before 9999 does.
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// An instant: milliseconds since 1970-01-01T00:00:00Z without leap seconds, from 0 to [`Timestamp::MAX`].
///
/// As JSON it is a string. Serialized it is canonical; deserialized it must be canonical too, because the places
/// that deserialize it are sealed. Read a client's own times with [`Timestamp::parse`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// Why an instant was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not an RFC 3339 date-time with a `T`, an offset, and at most nine digits of fraction.
    #[error("not an RFC 3339 date-time")]
    Syntax,
    /// Well-formed, but no such date, time or offset: February 30, hour 24, second 60 (leap seconds are not kept).
    #[error("no such date or time")]
    NoSuchInstant,
    /// Before 1970 or after 9999.
    #[error("outside the years 1970 to 9999")]
    OutOfRange,
    /// An RFC 3339 date-time, but not `YYYY-MM-DDTHH:MM:SS.mmmZ`.
    #[error("not in the canonical form YYYY-MM-DDTHH:MM:SS.mmmZ")]
    NotCanonical,
}

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the epoch.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub const fn from_millis(millis: i64) -> Result<Self, TimeError> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 {
            Err(TimeError::OutOfRange)
        } else {
            Ok(Self(millis))
        }
    }

    /// Milliseconds since the epoch, never negative.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Reads any RFC 3339 date-time: any offset, up to nine digits of fraction. What is finer than a millisecond is
    /// dropped (towards the past).
    ///
    /// # Errors
    /// [`TimeError`] other than [`TimeError::NotCanonical`].
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let parts = Parts::of(text).ok_or(TimeError::Syntax)?;
        let civil = DateTime::new(
            parts.year,
            parts.month,
            parts.day,
            parts.hour,
            parts.minute,
            parts.second,
            parts.nanosecond,
        )
        .map_err(|_| TimeError::NoSuchInstant)?;
        let local = civil.duration_since(EPOCH).as_nanos();
        let nanos = local - i128::from(parts.offset_seconds) * 1_000_000_000;
        if nanos < 0 {
            return Err(TimeError::OutOfRange);
        }
        i64::try_from(nanos / 1_000_000).map_err(|_| TimeError::OutOfRange).and_then(Self::from_millis)
    }

    /// Reads the canonical form only.
    ///
    /// # Errors
    /// [`TimeError`].
    pub fn parse_canonical(text: &str) -> Result<Self, TimeError> {
        let instant = Self::parse(text)?;
        // The length alone settles it among valid texts: 24 with `.` at 19 leaves three digits and a one-byte offset.
        let bytes = text.as_bytes();
        let canonical = bytes.len() == 24
            && bytes.get(10) == Some(&b'T')
            && bytes.get(19) == Some(&b'.')
            && bytes.get(23) == Some(&b'Z');
        if canonical { Ok(instant) } else { Err(TimeError::NotCanonical) }
    }

    /// From the system's clock reading.
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub fn from_system_time(time: SystemTime) -> Result<Self, TimeError> {
        let since = time.duration_since(UNIX_EPOCH).map_err(|_| TimeError::OutOfRange)?;
        let millis = i64::try_from(since.as_millis()).map_err(|_| TimeError::OutOfRange)?;
        Self::from_millis(millis)
    }

    /// Later by `millis` (earlier when negative); `None` outside the range.
    #[must_use]
    pub const fn checked_add_millis(self, millis: i64) -> Option<Self> {
        match self.0.checked_add(millis) {
            Some(sum) if sum >= Self::MIN.0 && sum <= Self::MAX.0 => Some(Self(sum)),
            _ => None,
        }
    }

    /// Later by a duration, in whole milliseconds (the rest is dropped); `None` outside the range.
    #[must_use]
    pub fn checked_add(self, duration: Duration) -> Option<Self> {
        self.checked_add_millis(i64::try_from(duration.as_millis()).ok()?)
    }

    /// Milliseconds from `earlier` to `self`; negative when `earlier` is the later one. Cannot overflow.
    #[must_use]
    pub const fn millis_since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }
}

impl Timestamp {
    /// The canonical form. Written digit by digit: every entry has one, and formatting took longer than hashing it.
    fn text(self) -> Option<[u8; 24]> {
        let t = EPOCH.checked_add(SignedDuration::from_millis(self.0)).ok()?;
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: std::ops::Range<usize>, number: i32| {
            let mut left = number.unsigned_abs();
            for place in text.get_mut(at).into_iter().flatten().rev() {
                *place += u8::try_from(left % 10).unwrap_or_default();
                left /= 10;
            }
        };
        put(0..4, t.year().into());
        put(5..7, t.month().into());
        put(8..10, t.day().into());
        put(11..13, t.hour().into());
        put(14..16, t.minute().into());
        put(17..19, t.second().into());
        put(20..23, t.millisecond().into());
        Some(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.text().ok_or(fmt::Error)?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    /// As [`Timestamp::parse`].
    fn from_str(text: &str) -> Result<Self, TimeError> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text().as_ref().and_then(|text| std::str::from_utf8(text).ok()) {
            Some(text) => serializer.serialize_str(text),
            None => Err(serde::ser::Error::custom("a time without a text")),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse_canonical(&text).map_err(D::Error::custom)
    }
}

/// The numbers of an RFC 3339 text, not yet known to be a date. (`jiff` reads more than RFC 3339: other separators,
/// missing offsets, zone names, second 60; so the grammar is checked here and only the calendar is its business.)
struct Parts {
    year: i16,
    month: i8,
    day: i8,
    hour: i8,
    minute: i8,
    second: i8,
    nanosecond: i32,
    offset_seconds: i32,
}

impl Parts {
    /// RFC 3339 section 5.6; `t` and `z` may be lower case. `None` where the grammar does not hold.
    fn of(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        let rest = &mut rest;
        let year = digits(rest, 4)?;
        one_of(rest, b"-")?;
        let month = digits(rest, 2)?;
        one_of(rest, b"-")?;
        let day = digits(rest, 2)?;
        one_of(rest, b"Tt")?;
        let hour = digits(rest, 2)?;
        one_of(rest, b":")?;
        let minute = digits(rest, 2)?;
        one_of(rest, b":")?;
        let second = digits(rest, 2)?;
        let nanosecond = if rest.first() == Some(&b'.') { fraction(rest)? } else { 0 };
        let offset_seconds = offset(rest)?;
        if !rest.is_empty() {
            return None;
        }
        Some(Self {
            year: i16::try_from(year).ok()?,
            month: i8::try_from(month).ok()?,
            day: i8::try_from(day).ok()?,
            hour: i8::try_from(hour).ok()?,
            minute: i8::try_from(minute).ok()?,
            second: i8::try_from(second).ok()?,
            nanosecond,
            offset_seconds,
        })
    }
}

fn one_of(rest: &mut &[u8], allowed: &[u8]) -> Option<u8> {
    let (&first, after) = rest.split_first()?;
    *rest = after;
    allowed.contains(&first).then_some(first)
}

/// Exactly `count` decimal digits.
fn digits(rest: &mut &[u8], count: usize) -> Option<i32> {
    let mut number = 0i32;
    for _ in 0..count {
        let (digit, after) = rest.split_first().filter(|(digit, _)| digit.is_ascii_digit())?;
        *rest = after;
        number = number.checked_mul(10)?.checked_add(i32::from(digit - b'0'))?;
    }
    Some(number)
}

/// `.` and one to nine digits, as nanoseconds.
fn fraction(rest: &mut &[u8]) -> Option<i32> {
    one_of(rest, b".")?;
    let count = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if !(1..=9).contains(&count) {
        return None;
    }
    let scale = 10i32.checked_pow(u32::try_from(9 - count).ok()?)?;
    digits(rest, count)?.checked_mul(scale)
}

/// `Z` or `±HH:MM` below 24 hours, in seconds east of UTC.
fn offset(rest: &mut &[u8]) -> Option<i32> {
    let sign = match one_of(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = digits(rest, 2)?;
    one_of(rest, b":")?;
    let minutes = digits(rest, 2)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
