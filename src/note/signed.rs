//! Signed notes: a text, and who signed it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::key::{KeyId, VerifierKey, VerifyError};
use super::name::{KeyName, NameError};

/// Largest note taken, in bytes: 100 signatures of 5 kB, the largest in sight, fit twice.
pub const MAX_NOTE_BYTES: usize = 1024 * 1024;

/// Most signatures a note may carry; the specification asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

/// Starts each signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A text with its signatures, none of them verified yet (C2SP signed-note).
///
/// What [`FromStr`] accepts, `Display` prints again byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedNote {
    /// The signed text, with its last newline.
    pub text: String,
    /// The signature lines, in order; at least one in a parsed note.
    pub signatures: Vec<NoteSignature>,
}

/// One signature line: `— name base64(key id ‖ signature)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key that claims to have signed.
    pub name: KeyName,
    /// Id of that key.
    pub key_id: KeyId,
    /// The signature itself, in the form of the key's algorithm.
    pub bytes: Vec<u8>,
}

/// Why a text is no signed note.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteParseError {
    /// Beyond [`MAX_NOTE_BYTES`].
    #[error("a note of {bytes} bytes is beyond the limit of {MAX_NOTE_BYTES}")]
    TooLarge {
        /// Length of the text.
        bytes: usize,
    },
    /// A control character other than the newline.
    #[error("the note has the control character {:#04x} at byte {position}", u32::from(*.character))]
    Control {
        /// The character.
        character: char,
        /// Where it is, in bytes.
        position: usize,
    },
    /// No blank line after a text.
    #[error("the note has no blank line between its text and its signatures")]
    NoBlankLine,
    /// Nothing after the blank line, or the last line not ended.
    #[error("the note has no signature lines, or the last one is not ended by a newline")]
    NoSignatures,
    /// Beyond [`MAX_SIGNATURES`].
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// A line that is no signature line.
    #[error("signature line {line} of the note: {problem}")]
    Signature {
        /// Which signature line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: SignatureLineError,
    },
}

/// Why a line is no signature line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureLineError {
    /// It is not an em dash, a name and a value, with single spaces between.
    #[error("it is not an em dash, a key name and a signature with single spaces between")]
    Shape,
    /// The name is none.
    #[error("{0}")]
    Name(#[from] NameError),
    /// The value is not canonical base64 of a key id and a signature.
    #[error("the signature is not canonical standard base64 of a key id and at least one byte more")]
    Base64,
}

/// Why a note is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// A known key's signature fails: the note is worthless, whatever else verifies.
    #[error("the note is not genuine: {0}")]
    Invalid(#[from] VerifyError),
    /// None of the given keys signed it.
    #[error("none of the {known} known keys signed the note (it names: {})", join(.signers))]
    NoKnownKey {
        /// How many keys were given.
        known: usize,
        /// The key names the note carries, unverified.
        signers: Vec<KeyName>,
    },
    /// Two different known keys share name and id, so that a line cannot be assigned.
    #[error("two different known keys have the name {name} and the same id")]
    AmbiguousKeys {
        /// Their name.
        name: KeyName,
    },
}

/// The signatures of a note that verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened<'k> {
    /// Each known key that signed, once, in the note's order.
    pub signatures: Vec<VerifiedSignature<'k>>,
    /// Signature lines of keys not known, which mean nothing.
    pub unknown: usize,
}

/// A signature that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedSignature<'k> {
    /// The key it verified under.
    pub key: &'k VerifierKey,
    /// The time a cosignature claims, in seconds since 1970.
    pub timestamp: Option<u64>,
}

impl SignedNote {
    /// Verifies the note with the keys the caller trusts. Lines of other keys are ignored. A key that signed more than
    /// once is listed with its first signature, and all of them must verify.
    ///
    /// # Errors
    /// [`NoteError::Invalid`] where a known key's signature fails, [`NoteError::NoKnownKey`] where no known key signed.
    pub fn open<'k>(&self, keys: impl IntoIterator<Item = &'k VerifierKey>) -> Result<Opened<'k>, NoteError> {
        let keys: Vec<&VerifierKey> = keys.into_iter().collect();
        let mut opened = Opened { signatures: Vec::new(), unknown: 0 };
        for line in &self.signatures {
            let mut named = keys.iter().filter(|key| *key.name() == line.name && key.id() == line.key_id);
            let Some(&key) = named.next() else {
                opened.unknown += 1;
                continue;
            };
            if named.any(|other| *other != key) {
                return Err(NoteError::AmbiguousKeys { name: key.name().clone() });
            }
            let timestamp = key.verify(&self.text, &line.bytes)?;
            if opened.signatures.iter().all(|seen| seen.key != key) {
                opened.signatures.push(VerifiedSignature { key, timestamp });
            }
        }
        if opened.signatures.is_empty() {
            let signers = self.signatures.iter().map(|line| line.name.clone()).collect();
            return Err(NoteError::NoKnownKey { known: keys.len(), signers });
        }
        Ok(opened)
    }
}

impl FromStr for SignedNote {
    type Err = NoteParseError;

    fn from_str(note: &str) -> Result<SignedNote, NoteParseError> {
        if note.len() > MAX_NOTE_BYTES {
            return Err(NoteParseError::TooLarge { bytes: note.len() });
        }
        if let Some((position, character)) = note.char_indices().find(|(_, c)| *c < ' ' && *c != '\n') {
            return Err(NoteParseError::Control { character, position });
        }
        // The text may hold blank lines itself: the last one separates. It keeps the newline before it.
        let (text, lines) = note
            .rfind("\n\n")
            .and_then(|newline| note.split_at_checked(newline + 1))
            .and_then(|(text, rest)| Some((text, rest.strip_prefix('\n')?)))
            .ok_or(NoteParseError::NoBlankLine)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteParseError::NoSignatures)?;
        let mut signatures = Vec::new();
        for (nth, line) in lines.split('\n').enumerate() {
            if nth >= MAX_SIGNATURES {
                return Err(NoteParseError::TooManySignatures);
            }
            let signature = NoteSignature::from_str(line)
                .map_err(|problem| NoteParseError::Signature { line: nth + 1, problem })?;
            signatures.push(signature);
        }
        Ok(SignedNote { text: text.to_owned(), signatures })
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for NoteSignature {
    type Err = SignatureLineError;

    /// Reads one signature line, without its newline.
    fn from_str(line: &str) -> Result<NoteSignature, SignatureLineError> {
        let (name, value) = line
            .strip_prefix(SIGNATURE_PREFIX)
            .and_then(|rest| rest.split_once(' '))
            .ok_or(SignatureLineError::Shape)?;
        let name = KeyName::parse(name)?;
        let decoded = STANDARD.decode(value).map_err(|_| SignatureLineError::Base64)?;
        match decoded.split_first_chunk() {
            Some((key_id, bytes)) if !bytes.is_empty() => {
                Ok(NoteSignature { name, key_id: *key_id, bytes: bytes.to_vec() })
            }
            _ => Err(SignatureLineError::Base64),
        }
    }
}

impl fmt::Display for NoteSignature {
    /// The signature line, without its newline.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = [&self.key_id[..], &self.bytes].concat();
        write!(f, "{SIGNATURE_PREFIX}{} {}", self.name, STANDARD.encode(value))
    }
}

fn join(names: &[KeyName]) -> String {
    names.iter().map(KeyName::as_str).collect::<Vec<_>>().join(", ")
}
