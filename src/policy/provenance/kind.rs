//! What kinds of value an argument can name, and the one spelling that stands for all spellings of a value.
//!
//! Two values are equal if their kinds are and their canonical spellings are, byte for byte. A text that does not parse
//! by its kind has no canonical spelling and equals nothing, itself included.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{internet, numbers, path, words};

/// Bytes of one value.
pub(super) const VALUE_MAX_BYTES: usize = 2_048;
/// Characters of an `id`.
const ID_MAX_CHARS: usize = 128;
/// Characters of a `secret`.
const SECRET_MAX_CHARS: usize = 256;
/// Words of a `handle` or `channel`, and of a `name`.
const HANDLE_MAX_WORDS: usize = 4;
const NAME_MAX_WORDS: usize = 12;

/// The kind of a value: what it is compared as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ValueType {
    /// An account number: 8 to 34 letters and digits, six of them digits; spaces, `-` and case do not matter.
    Account,
    /// A channel or room: one to four words, with or without `#`.
    Channel,
    /// A command. No command equals another: what it does is for the parsers to say.
    Command,
    /// A date. It names no place, so it is never grounded.
    Date,
    /// A mail address without quoted local parts (RFC 5321); case does not matter.
    Email,
    /// A person's or an account's name on some service: one to four words, with or without `@`.
    Handle,
    /// A host name (IDNA, UTS #46) or an IP address, with a port that is not the web's; also out of a URL.
    Host,
    /// An account number. Whether its checksum is right (ISO 13616) is a signal, not a condition.
    Iban,
    /// An identifier of some system: letters, digits and `_.:#-`; case matters.
    Id,
    /// What a business, a product or a person is called: one to twelve words.
    Name,
    /// A file's path: `\` is `/`, empty steps and `.` are none, `..` is refused; no disk is asked; case matters.
    Path,
    /// A telephone number: 7 to 15 digits; `+` and what stands between them do not matter.
    Phone,
    /// A password or a key: exactly as written.
    Secret,
    /// Words by which a read chooses: each of them, give or take a final `s`, in any order.
    Terms,
    /// Words: compared whole, in their order; case and punctuation do not matter.
    Text,
    /// A URL of the web; `http`, `https` and none are the same place, a fragment is none.
    Url,
}

impl ValueType {
    /// All kinds, in the order of their names.
    pub const ALL: [Self; 16] = [
        Self::Account,
        Self::Channel,
        Self::Command,
        Self::Date,
        Self::Email,
        Self::Handle,
        Self::Host,
        Self::Iban,
        Self::Id,
        Self::Name,
        Self::Path,
        Self::Phone,
        Self::Secret,
        Self::Terms,
        Self::Text,
        Self::Url,
    ];

    /// The name the registry uses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Channel => "channel",
            Self::Command => "command",
            Self::Date => "date",
            Self::Email => "email",
            Self::Handle => "handle",
            Self::Host => "host",
            Self::Iban => "iban",
            Self::Id => "id",
            Self::Name => "name",
            Self::Path => "path",
            Self::Phone => "phone",
            Self::Secret => "secret",
            Self::Terms => "terms",
            Self::Text => "text",
            Self::Url => "url",
        }
    }

    /// The kind it is compared as: an IBAN is an account.
    pub(super) const fn compared_as(self) -> Self {
        match self {
            Self::Iban => Self::Account,
            other => other,
        }
    }

    /// The one spelling of the value that `text` is; `None` where it is no value of this kind. Taken again it is
    /// itself.
    #[must_use]
    pub fn canonical(self, text: &str) -> Option<String> {
        #[cfg(test)]
        super::steps::add(text.len().min(VALUE_MAX_BYTES));
        if text.len() > VALUE_MAX_BYTES {
            return None;
        }
        let trimmed = text.trim();
        match self {
            Self::Account | Self::Iban => numbers::account(trimmed),
            Self::Channel | Self::Handle => handle(trimmed),
            Self::Command | Self::Date => None,
            Self::Email => internet::email(trimmed),
            Self::Host => internet::host_of_text(trimmed),
            Self::Id => id(trimmed),
            Self::Name => joined(trimmed, NAME_MAX_WORDS),
            Self::Path => path::canonical(trimmed),
            Self::Phone => numbers::phone(trimmed),
            Self::Secret => secret(text),
            Self::Terms | Self::Text => joined(trimmed, usize::MAX),
            Self::Url => internet::url(trimmed),
        }
    }

    /// Whether one text may hold several values of this kind as a list in JSON or Python.
    pub(super) const fn comes_in_lists(self) -> bool {
        matches!(
            self,
            Self::Account
                | Self::Channel
                | Self::Email
                | Self::Handle
                | Self::Host
                | Self::Iban
                | Self::Id
                | Self::Phone
                | Self::Url
        )
    }

    /// Whether one text may hold several values of this kind between commas: where no value has one.
    pub(super) const fn comes_between_commas(self) -> bool {
        matches!(self, Self::Account | Self::Email | Self::Iban | Self::Id | Self::Phone)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn handle(text: &str) -> Option<String> {
    joined(text.trim_start_matches(['@', '#']), HANDLE_MAX_WORDS)
}

/// The words of a text, one space between them.
fn joined(text: &str, max_words: usize) -> Option<String> {
    let words: Vec<String> = words::of(text).take(max_words.saturating_add(1)).collect();
    (!words.is_empty() && words.len() <= max_words).then(|| words.join(" "))
}

fn id(text: &str) -> Option<String> {
    let fits = text.len() <= ID_MAX_CHARS
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:#-".contains(&byte));
    fits.then(|| text.to_owned())
}

fn secret(text: &str) -> Option<String> {
    let fits = !text.trim().is_empty() && text.chars().count() <= SECRET_MAX_CHARS;
    fits.then(|| text.to_owned())
}
