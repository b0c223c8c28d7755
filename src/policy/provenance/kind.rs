//! What kinds of value an argument can name, and the one spelling that stands for all spellings of a value.
//!
//! Two values are equal if their kinds are the same and their canonical spellings are, byte for byte. A text that does
//! not parse by its kind has no canonical spelling and equals nothing, itself included.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;

use super::{internet, numbers, path};

/// Bytes of one value.
pub(super) const VALUE_MAX_BYTES: usize = 2_048;
/// Bytes of an `id`, a `handle` or a `channel`.
const NAME_MAX_BYTES: usize = 256;

/// The kind of a value: what it is compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ValueType {
    /// An account number that need not be an IBAN: 8 to 34 letters and digits, six of them digits; groups and case
    /// do not matter.
    Account,
    /// A channel or room: a name, with or without `#`; case does not matter.
    Channel,
    /// A calendar date, ISO 8601 (`2024-05-15`), or the date of an instant.
    Date,
    /// A mail address (RFC 5321, without quoted local parts); case does not matter.
    Email,
    /// A person's or an account's name on some service, with or without `@`; case does not matter.
    Handle,
    /// A host name (IDNA, UTS #46) or an IP address.
    Host,
    /// An IBAN with a right checksum (ISO 13616); groups and case do not matter.
    Iban,
    /// An identifier of some system: exactly as written.
    Id,
    /// A file's path: `.`, `..` and repeated `/` resolved as text, no disk asked; case matters.
    Path,
    /// A telephone number: `+` or `00`, then up to 15 digits (E.164); without them, the digits as dialled.
    Phone,
    /// A password or a key: exactly as written.
    Secret,
    /// Words: compared whole, white space, case and compatibility forms (NFKC) aside.
    Text,
    /// An absolute URL of the web; `http`, `https` and none are the same place, a fragment is none.
    Url,
}

impl ValueType {
    /// All kinds, in the order of their names.
    pub const ALL: [Self; 13] = [
        Self::Account,
        Self::Channel,
        Self::Date,
        Self::Email,
        Self::Handle,
        Self::Host,
        Self::Iban,
        Self::Id,
        Self::Path,
        Self::Phone,
        Self::Secret,
        Self::Text,
        Self::Url,
    ];

    /// The name the registry uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Channel => "channel",
            Self::Date => "date",
            Self::Email => "email",
            Self::Handle => "handle",
            Self::Host => "host",
            Self::Iban => "iban",
            Self::Id => "id",
            Self::Path => "path",
            Self::Phone => "phone",
            Self::Secret => "secret",
            Self::Text => "text",
            Self::Url => "url",
        }
    }

    /// The one spelling of the value that `text` is; `None` where it is no value of this kind. Taken again it is
    /// itself.
    #[must_use]
    pub fn canonical(self, text: &str) -> Option<String> {
        if text.len() > VALUE_MAX_BYTES {
            return None;
        }
        let text = text.trim();
        match self {
            Self::Account => numbers::account(text),
            Self::Channel => name(text, '#'),
            Self::Date => numbers::date(text),
            Self::Email => internet::email(text),
            Self::Handle => name(text, '@'),
            Self::Host => internet::host(text),
            Self::Iban => numbers::iban(text),
            Self::Id => id(text),
            Self::Path => path::canonical(text),
            Self::Phone => numbers::phone(text),
            Self::Secret => secret(text),
            Self::Text => words(text),
            Self::Url => internet::url(text),
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name: one line of visible characters, folded.
fn name(text: &str, mark: char) -> Option<String> {
    let text = text.strip_prefix(mark).unwrap_or(text);
    if text.len() > NAME_MAX_BYTES || text.starts_with(mark) {
        return None;
    }
    words(text)
}

fn id(text: &str) -> Option<String> {
    let fits = !text.is_empty() && text.len() <= NAME_MAX_BYTES && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

fn secret(text: &str) -> Option<String> {
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Words in compatibility form and lower case, one space between them.
fn words(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for word in fold(text).split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    (!out.is_empty()).then_some(out)
}

/// Compatibility form, lower case. Repeated, because lower case can decompose what then composes again.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(text.to_ascii_lowercase())
        } else {
            Cow::Borrowed(text)
        };
    }
    let once = |text: &str| text.nfkc().flat_map(char::to_lowercase).nfkc().collect::<String>();
    let mut folded = once(text);
    for _ in 0..3 {
        let again = once(&folded);
        if again == folded {
            break;
        }
        folded = again;
    }
    Cow::Owned(folded)
}
