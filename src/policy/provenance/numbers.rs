//! Values written in digits: accounts, IBANs, telephone numbers.

/// Letters and digits of an account number.
const ACCOUNT_CHARS: std::ops::RangeInclusive<usize> = 8..=34;
/// Its least digits: fewer are a word.
const ACCOUNT_DIGITS_MIN: usize = 6;
/// Characters of an IBAN (ISO 13616).
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;
/// Digits of a telephone number: at most those of E.164.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Spaces and `-` between its letters and digits do not matter, nor does case.
pub(super) fn account(text: &str) -> Option<String> {
    let mut account = String::with_capacity(text.len());
    let mut digits = 0_usize;
    for byte in text.bytes() {
        match byte {
            b' ' | b'-' => continue,
            b'0'..=b'9' => digits = digits.saturating_add(1),
            b'a'..=b'z' | b'A'..=b'Z' => {}
            _ => return None,
        }
        account.push(char::from(byte.to_ascii_uppercase()));
    }
    (ACCOUNT_CHARS.contains(&account.len()) && digits >= ACCOUNT_DIGITS_MIN).then_some(account)
}

/// Country, two check digits, up to 30 letters and digits, and the remainder 1 by 97 (ISO 7064).
pub(in crate::policy) fn is_iban(iban: &[u8]) -> bool {
    let Some(([a, b, c, d], account)) = iban.split_first_chunk::<4>() else { return false };
    let head = a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_digit() && d.is_ascii_digit();
    if !head || !IBAN_CHARS.contains(&iban.len()) {
        return false;
    }
    let mut remainder = 0_u32;
    for byte in account.iter().chain([a, b, c, d]) {
        let (shift, digit) = match byte {
            b'0'..=b'9' => (10, byte.wrapping_sub(b'0')),
            b'A'..=b'Z' => (100, byte.wrapping_sub(b'A').wrapping_add(10)),
            _ => return false,
        };
        remainder = remainder.wrapping_mul(shift).wrapping_add(u32::from(digit)) % 97;
    }
    remainder == 1
}

pub(super) fn phone(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(16);
    let mut plus = false;
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' => digits.push(char::from(byte)),
            b'+' if !plus && digits.is_empty() => plus = true,
            b' ' | b'(' | b')' | b'-' | b'.' | b'/' => {}
            _ => return None,
        }
    }
    PHONE_DIGITS.contains(&digits.len()).then_some(digits)
}
