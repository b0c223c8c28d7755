//! Names of keys, which for a log are its origin.

use std::fmt;
use std::str::FromStr;

/// Longest name and origin taken, in bytes. The note format has no limit; the ML-DSA cosignature message counts both in
/// one byte, and C2SP/C2SP#242 asks for the same cap everywhere.
pub const MAX_NAME_BYTES: usize = 255;

/// The name of a note key: one to 255 bytes of UTF-8 without Unicode spaces, control characters or `+`.
///
/// A log's key name is the origin line of its checkpoints; it looks like a URL without a scheme, and nothing is fetched
/// from it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

/// Why a text is no key name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// No characters.
    #[error("a key name is empty")]
    Empty,
    /// More than [`MAX_NAME_BYTES`].
    #[error("a key name has {bytes} bytes, and {MAX_NAME_BYTES} are the limit")]
    TooLong {
        /// Length in bytes.
        bytes: usize,
    },
    /// A space, a control character, or a plus, each of which the formats around names need.
    #[error("a key name has {character:?} at byte {position}, where no space, control character or + may be")]
    Character {
        /// The character.
        character: char,
        /// Where it starts, in bytes.
        position: usize,
    },
}

impl KeyName {
    /// Takes a text as a name, or says why not.
    ///
    /// # Errors
    /// [`NameError`].
    pub fn parse(text: &str) -> Result<KeyName, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > MAX_NAME_BYTES {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        match text.char_indices().find(|(_, c)| c.is_whitespace() || c.is_control() || *c == '+') {
            Some((position, character)) => Err(NameError::Character { character, position }),
            None => Ok(KeyName(text.to_owned())),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for KeyName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<KeyName, NameError> {
        KeyName::parse(text)
    }
}

impl AsRef<str> for KeyName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for KeyName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_formats_need_is_kept_out_of_names() {
        assert!(KeyName::parse("example.com/intent-ledger").is_ok());
        assert!(KeyName::parse("日本/ログ").is_ok());
        assert!(KeyName::parse(&"a".repeat(255)).is_ok());
        assert_eq!(KeyName::parse(""), Err(NameError::Empty));
        assert_eq!(KeyName::parse(&"é".repeat(128)), Err(NameError::TooLong { bytes: 256 }));
        for bad in ['+', ' ', '\t', '\n', '\r', '\0', '\u{7f}', '\u{85}', '\u{a0}', '\u{2003}', '\u{3000}'] {
            let name = format!("ab{bad}c");
            assert_eq!(KeyName::parse(&name), Err(NameError::Character { character: bad, position: 2 }));
        }
    }
}
