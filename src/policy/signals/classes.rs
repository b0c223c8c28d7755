//! Data classes: what kind of data a text holds, by form and, where there is one, by checksum. Named as the other products
//! that have them name them.

use crate::policy::provenance::{email_at, is_iban};

/// A class of data. The names are what rules use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(super) enum Class {
    CardNumber,
    Email,
    Health,
    Iban,
    Phone,
    ApiKey,
    AwsKey,
    CloudToken,
    Generic,
    PrivateKey,
    Ssn,
}

/// All classes and their names, in the order of the names.
pub(super) const CLASSES: [(Class, &str); 11] = [
    (Class::CardNumber, "pci-card-number"),
    (Class::Health, "phi-health"),
    (Class::Email, "pii-email"),
    (Class::Iban, "pii-iban"),
    (Class::Phone, "pii-phone"),
    (Class::Ssn, "pii-ssn"),
    (Class::ApiKey, "secret-api-key"),
    (Class::AwsKey, "secret-aws-key"),
    (Class::CloudToken, "secret-cloud-token"),
    (Class::Generic, "secret-generic"),
    (Class::PrivateKey, "secret-private-key"),
];

/// A set of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ClassSet(u32);

impl ClassSet {
    pub(super) fn insert(&mut self, class: Class) {
        self.0 |= 1 << (class as u8);
    }

    pub(super) fn holds(self, class: Class) -> bool {
        self.0 & (1 << (class as u8)) != 0
    }

    pub(super) fn unite(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        CLASSES.iter().filter(move |(class, _)| self.holds(*class)).map(|(_, name)| *name)
    }
}

/// Mail addresses: what stands around each `@`.
pub(super) fn emails(text: &str, found: &mut ClassSet) {
    let mut from = 0_usize;
    // One is enough, and what is no address is passed over once.
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('@')) {
        let at = from.saturating_add(at);
        if email_at(text, at) {
            found.insert(Class::Email);
            return;
        }
        from = at.saturating_add(1);
    }
}

/// Digits in a row, and how they are joined to what is before.
#[derive(Clone, Copy)]
struct Group {
    from: usize,
    len: usize,
    /// The group before is one separator away: its byte.
    joined: Option<u8>,
}

/// Groups of digits looked at together: a card has at most six.
const GROUPS_MAX: usize = 8;

/// Card numbers, social security numbers, telephone numbers and IBANs.
pub(super) fn numbers(bytes: &[u8], found: &mut ClassSet) {
    let mut row: Vec<Group> = Vec::new();
    let mut at = 0_usize;
    while let Some(skip) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let from = at.saturating_add(skip);
        let rest = bytes.get(from..).unwrap_or(&[]);
        let len = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        let end = from.saturating_add(len);
        let joined = row.last().and_then(|before| {
            let between = bytes.get(before.from.saturating_add(before.len)..from)?;
            match between {
                [separator @ (b' ' | b'-' | b'.' | b'/')] => Some(*separator),
                b") " | b")-" | b")" => Some(b')'),
                _ => None,
            }
        });
        if joined.is_none() {
            settle(bytes, &row, found);
            row.clear();
        }
        row.push(Group { from, len, joined });
        if from >= 2 && !found.holds(Class::Iban) {
            iban(bytes, from, found);
        }
        at = end;
    }
    settle(bytes, &row, found);
}

/// Looks at a row of groups, from each of its groups on.
fn settle(bytes: &[u8], row: &[Group], found: &mut ClassSet) {
    for start in 0..row.len() {
        let groups: Vec<Group> = row.iter().skip(start).take(GROUPS_MAX).copied().collect();
        let Some(first) = groups.first() else { return };
        let before = first.from.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        // Digits within a word are part of a name.
        if before.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_') {
            continue;
        }
        if !found.holds(Class::CardNumber) && card(bytes, &groups) {
            found.insert(Class::CardNumber);
        }
        if !found.holds(Class::Ssn) && ssn(bytes, &groups) {
            found.insert(Class::Ssn);
        }
        if start == 0 && !found.holds(Class::Phone) && phone(&groups, before) {
            found.insert(Class::Phone);
        }
    }
}

fn digits<'a>(bytes: &'a [u8], groups: &'a [Group]) -> impl Iterator<Item = u8> + 'a {
    groups
        .iter()
        .flat_map(|group| bytes.get(group.from..group.from.saturating_add(group.len)).unwrap_or(&[]))
        .map(|byte| byte.wrapping_sub(b'0'))
}

/// 13 to 19 digits that end with a group, begin as a card's do, and have a right check digit (Luhn, ISO/IEC 7812).
fn card(bytes: &[u8], groups: &[Group]) -> bool {
    let mut len = 0_usize;
    for (i, group) in groups.iter().enumerate() {
        if i > 0 && !matches!(group.joined, Some(b' ' | b'-')) {
            return false;
        }
        len = len.saturating_add(group.len);
        if len > 19 {
            return false;
        }
        let upto = groups.get(..=i).unwrap_or(&[]);
        let after = bytes.get(group.from.saturating_add(group.len));
        if len >= 13 && !after.is_some_and(u8::is_ascii_alphabetic) && is_card(bytes, upto, len) {
            return true;
        }
    }
    false
}

fn is_card(bytes: &[u8], groups: &[Group], len: usize) -> bool {
    let head = digits(bytes, groups).take(4).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit));
    let issued = match head {
        4000..=4999 => matches!(len, 13 | 16 | 19),
        5100..=5599 | 2221..=2720 => len == 16,
        3400..=3499 | 3700..=3799 => len == 15,
        6000..=6999 | 3528..=3589 => (16..=19).contains(&len),
        3000..=3059 | 3600..=3699 | 3800..=3999 => (14..=19).contains(&len),
        5000..=5099 => true,
        _ => false,
    };
    let mut sum = 0_u32;
    for (i, digit) in digits(bytes, groups).enumerate() {
        let doubled = len.wrapping_sub(i).is_multiple_of(2);
        let digit = u32::from(digit);
        sum += match (doubled, digit) {
            (false, digit) => digit,
            (true, digit) if digit > 4 => digit * 2 - 9,
            (true, digit) => digit * 2,
        };
    }
    issued && sum.is_multiple_of(10)
}

/// Three, two and four digits with the same separator, in ranges that are given out.
fn ssn(bytes: &[u8], groups: &[Group]) -> bool {
    let [a, b, c, ..] = groups else { return false };
    if (a.len, b.len, c.len) != (3, 2, 4) || b.joined != c.joined || !matches!(b.joined, Some(b'-' | b' ')) {
        return false;
    }
    if groups.get(3).is_some_and(|next| next.joined.is_some_and(|byte| byte == b'-')) {
        return false;
    }
    let number =
        |group: &Group| digits(bytes, &[*group]).fold(0_u32, |sum, digit| sum * 10 + u32::from(digit));
    let (area, pair, serial) = (number(a), number(b), number(c));
    area != 0 && area != 666 && area < 900 && pair != 0 && serial != 0
}

/// `+` and 8 to 15 digits, or ten digits grouped as in North America.
fn phone(groups: &[Group], before: Option<u8>) -> bool {
    let lens: Vec<usize> = groups.iter().map(|group| group.len).collect();
    let total = lens.iter().fold(0_usize, |sum, len| sum.saturating_add(*len));
    let separated = |from: usize| {
        groups.iter().skip(from).all(|group| matches!(group.joined, Some(b' ' | b'-' | b'.' | b')')))
    };
    if before == Some(b'+') {
        return (8..=15).contains(&total) && separated(1);
    }
    match lens.as_slice() {
        [3, 3, 4] => separated(1),
        [1, 3, 3, 4] => separated(1),
        _ => false,
    }
}

/// An IBAN whose check digits are the two digits at `at`, in one piece or in groups.
fn iban(bytes: &[u8], at: usize, found: &mut ClassSet) {
    let Some(from) = at.checked_sub(2) else { return };
    let before = from.checked_sub(1).and_then(|at| bytes.get(at));
    let country = bytes.get(from..at).unwrap_or(&[]);
    if !country.iter().all(u8::is_ascii_alphabetic) || before.is_some_and(u8::is_ascii_alphanumeric) {
        return;
    }
    let mut iban = [0_u8; 34];
    let mut len = 0_usize;
    let mut separated = false;
    for byte in bytes.get(from..).unwrap_or(&[]).iter().take(48) {
        match byte {
            byte if byte.is_ascii_alphanumeric() => {
                let Some(place) = iban.get_mut(len) else { return };
                *place = byte.to_ascii_uppercase();
                len = len.saturating_add(1);
                separated = false;
            }
            b' ' | b'-' if !separated => {
                if is_iban(iban.get(..len).unwrap_or(&[])) {
                    break;
                }
                separated = true;
            }
            _ => break,
        }
    }
    if is_iban(iban.get(..len).unwrap_or(&[])) {
        found.insert(Class::Iban);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<&'static str> {
        let mut found = ClassSet::default();
        emails(text, &mut found);
        numbers(text.as_bytes(), &mut found);
        found.names().collect()
    }

    #[test]
    fn checksums_and_ranges_decide() {
        for (text, classes) in [
            ("card 4111 1111 1111 1111 exp", vec!["pci-card-number"]),
            ("4111-1111-1111-1111", vec!["pci-card-number"]),
            ("x=378282246310005;", vec!["pci-card-number"]),
            ("order 12 4111111111111111", vec!["pci-card-number"]),
            ("4111 1111 1111 1112", vec![]),
            ("order 1234567890123456", vec![]),
            ("ssn 123-45-6789.", vec!["pii-ssn"]),
            ("000-45-6789, 666-45-6789, 923-45-6789, 123-00-6789, 123-45-0000", vec![]),
            ("call +49 89 1234567", vec!["pii-phone"]),
            ("(415) 555-2671", vec!["pii-phone"]),
            ("415-555-2671", vec!["pii-phone"]),
            ("2024-05-15 10:00", vec![]),
            ("version 1.2.3", vec![]),
            ("to GB29 NWBK 6016 1331 9268 19 today", vec!["pii-iban"]),
            ("gb29nwbk60161331926819", vec!["pii-iban"]),
            ("GB28NWBK60161331926819", vec![]),
            ("a.b@example.co.uk", vec!["pii-email"]),
            ("@handle and a @ b and x@y", vec![]),
        ] {
            assert_eq!(of(text), classes, "{text}");
        }
    }
}
