//! Values written in digits: accounts, IBANs, telephone numbers.

/// Letters and digits of an account number.
const ACCOUNT_CHARS: std::ops::RangeInclusive<usize> = 8..=34;
/// Its least digits: fewer are a word.
const ACCOUNT_DIGITS_MIN: usize = 6;
/// Characters of an IBAN (ISO 13616).
const IBAN_CHARS: std::ops::RangeInclusive<usize> = 15..=34;
/// Digits of a telephone number: at most those of E.164.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// Letters and digits alone, in upper case; `None` where anything but a group's separator stands between them.
fn ungrouped(text: &str, separators: &[u8]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut separated = true;
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte.to_ascii_uppercase()));
            separated = false;
        } else if separators.contains(&byte) && !separated {
            separated = true;
        } else {
            return None;
        }
    }
    (!separated).then_some(out)
}

pub(super) fn account(text: &str) -> Option<String> {
    let account = ungrouped(text, b" -")?;
    let digits = account.bytes().filter(u8::is_ascii_digit).count();
    (ACCOUNT_CHARS.contains(&account.len()) && digits >= ACCOUNT_DIGITS_MIN).then_some(account)
}

pub(super) fn iban(text: &str) -> Option<String> {
    let iban = account(text)?;
    is_iban(iban.as_bytes()).then_some(iban)
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
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'0'..=b'9' => digits.push(char::from(byte)),
            b'+' if at == 0 => {}
            b' ' | b'(' | b')' | b'-' | b'.' | b'/' => {}
            _ => return None,
        }
    }
    PHONE_DIGITS.contains(&digits.len()).then_some(digits)
}
