//! Verifier keys: the public half, in the text form that people hand each other.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{PUBLIC_KEY_LENGTH, SIGNATURE_LENGTH, Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::name::{KeyName, NameError};

/// First four bytes of the hash over name, algorithm and public key. An identifier, not a commitment: it is easily
/// collided, and then the signature fails.
pub type KeyId = [u8; 4];

/// Latest time a cosignature can carry, in seconds since 1970 (tlog-cosignature: below 2^63).
pub const MAX_TIMESTAMP: u64 = i64::MAX as u64;

/// Bytes before the signature in a timestamped cosignature.
const TIMESTAMP_BYTES: usize = 8;

/// The signature types that are verified here, both Ed25519.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `01`: Ed25519 over the note text. What logs sign with.
    Ed25519,
    /// `04`: Ed25519 over a time and the note text. What witnesses cosign with.
    Cosignature,
}

impl Algorithm {
    /// The signature type byte of signed-note.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Algorithm::Ed25519 => 0x01,
            Algorithm::Cosignature => 0x04,
        }
    }

    const fn from_byte(byte: u8) -> Option<Algorithm> {
        match byte {
            0x01 => Some(Algorithm::Ed25519),
            0x04 => Some(Algorithm::Cosignature),
            _ => None,
        }
    }
}

/// A public key with the name it signs under. Text form (vkey): `name+<key id in hex>+<base64 of type byte ‖ key>`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: KeyName,
    id: KeyId,
    algorithm: Algorithm,
    key: VerifyingKey,
}

/// Why a text is no verifier key that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifierKeyError {
    /// Not three parts joined by `+`.
    #[error("a verifier key is name+id+key, and this text has no two plus signs")]
    Parts,
    /// The first part is no key name.
    #[error("the name of a verifier key: {0}")]
    Name(#[from] NameError),
    /// The second part is not eight lower-case hexadecimal digits.
    #[error("the id of verifier key {name} is not eight lower-case hexadecimal digits")]
    Id {
        /// The key's name.
        name: KeyName,
    },
    /// The third part is not canonical base64 of at least a type byte.
    #[error("the key of verifier key {name} is not canonical standard base64 of a type byte and a key")]
    Base64 {
        /// The key's name.
        name: KeyName,
    },
    /// A signature type that this software does not verify.
    #[error("verifier key {name} is of signature type {algorithm:#04x} ({}), which is not supported", type_name(*.algorithm))]
    UnsupportedAlgorithm {
        /// The key's name.
        name: KeyName,
        /// Its type byte.
        algorithm: u8,
    },
    /// Not 32 bytes.
    #[error("verifier key {name} has {bytes} bytes, and an Ed25519 key has 32")]
    KeyLength {
        /// The key's name.
        name: KeyName,
        /// How many bytes follow the type byte.
        bytes: usize,
    },
    /// No point of the curve, a point of small order, or a second encoding of one.
    #[error("verifier key {name} is not a valid Ed25519 public key")]
    KeyInvalid {
        /// The key's name.
        name: KeyName,
    },
    /// The id is not the one that name, type and key hash to.
    #[error("verifier key {name} claims the id {}, and its key has {}", hex::encode(.claimed), hex::encode(.computed))]
    IdMismatch {
        /// The key's name.
        name: KeyName,
        /// The id in the text.
        claimed: KeyId,
        /// The id of the key.
        computed: KeyId,
    },
}

/// Why a signature does not verify under a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Another number of bytes than the algorithm has.
    #[error("a signature of {key} has {got} bytes instead of {expected}")]
    Length {
        /// Name of the key.
        key: KeyName,
        /// Bytes a signature of its type has.
        expected: usize,
        /// Bytes this one has.
        got: usize,
    },
    /// A time beyond [`MAX_TIMESTAMP`].
    #[error("a cosignature of {key} carries the time {timestamp}, which is beyond 2^63 - 1")]
    Timestamp {
        /// Name of the key.
        key: KeyName,
        /// The time.
        timestamp: u64,
    },
    /// The signature is not one of this key over this text.
    #[error("a signature of {key} does not verify: text or signature was changed, or the key is another one")]
    Signature {
        /// Name of the key.
        key: KeyName,
    },
}

impl VerifierKey {
    /// The key of these parts; its id is computed.
    ///
    /// # Errors
    /// [`VerifierKeyError::KeyInvalid`].
    pub fn from_bytes(
        name: KeyName,
        algorithm: Algorithm,
        public_key: &[u8; PUBLIC_KEY_LENGTH],
    ) -> Result<VerifierKey, VerifierKeyError> {
        match VerifyingKey::from_bytes(public_key) {
            Ok(key) if is_canonical(public_key) && !key.is_weak() => {
                Ok(VerifierKey::from_key(name, algorithm, key))
            }
            _ => Err(VerifierKeyError::KeyInvalid { name }),
        }
    }

    pub(super) fn from_key(name: KeyName, algorithm: Algorithm, key: VerifyingKey) -> VerifierKey {
        let id = key_id(&name, algorithm.byte(), key.as_bytes());
        VerifierKey { name, id, algorithm, key }
    }

    /// The name the key signs under; for a log's key, the origin it vouches for.
    #[must_use]
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The key id that signature lines carry.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Log signature or witness cosignature.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The 32 bytes of the Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; PUBLIC_KEY_LENGTH] {
        self.key.as_bytes()
    }

    /// Verifies a signature (without the key id before it) over a note's text. A cosignature also gives its time, in
    /// seconds since 1970, as the witness claims it.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, VerifyError> {
        let (expected, parts) = match self.algorithm {
            Algorithm::Ed25519 => (SIGNATURE_LENGTH, signature.first_chunk().map(|rest| (None, rest))),
            Algorithm::Cosignature => (
                TIMESTAMP_BYTES + SIGNATURE_LENGTH,
                signature.split_first_chunk().and_then(|(time, rest)| {
                    Some((Some(u64::from_be_bytes(*time)), rest.first_chunk::<SIGNATURE_LENGTH>()?))
                }),
            ),
        };
        let length = || VerifyError::Length { key: self.name.clone(), expected, got: signature.len() };
        let (time, bytes) = parts.filter(|_| signature.len() == expected).ok_or_else(length)?;
        let signature = Signature::from_bytes(bytes);
        let verified = match time {
            None => self.key.verify_strict(text.as_bytes(), &signature),
            Some(timestamp) if timestamp > MAX_TIMESTAMP => {
                return Err(VerifyError::Timestamp { key: self.name.clone(), timestamp });
            }
            Some(timestamp) => {
                self.key.verify_strict(cosigned_message(timestamp, text).as_bytes(), &signature)
            }
        };
        match verified {
            Ok(()) => Ok(time),
            Err(_) => Err(VerifyError::Signature { key: self.name.clone() }),
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [self.algorithm.byte(); 1 + PUBLIC_KEY_LENGTH];
        let [_, key @ ..] = &mut typed;
        key.copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id), STANDARD.encode(typed))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifierKey({self})")
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<VerifierKey, VerifierKeyError> {
        // The base64 of the third part may hold further plus signs.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Parts);
        };
        let name = KeyName::parse(name)?;
        let Some(claimed) = parse_key_id(id) else {
            return Err(VerifierKeyError::Id { name });
        };
        let decoded = STANDARD.decode(key).unwrap_or_default();
        let Some((type_byte, key)) = decoded.split_first() else {
            return Err(VerifierKeyError::Base64 { name });
        };
        let Some(algorithm) = Algorithm::from_byte(*type_byte) else {
            return Err(VerifierKeyError::UnsupportedAlgorithm { name, algorithm: *type_byte });
        };
        let Ok(key) = <&[u8; PUBLIC_KEY_LENGTH]>::try_from(key) else {
            return Err(VerifierKeyError::KeyLength { name, bytes: key.len() });
        };
        let key = VerifierKey::from_bytes(name, algorithm, key)?;
        if key.id != claimed {
            return Err(VerifierKeyError::IdMismatch { name: key.name, claimed, computed: key.id });
        }
        Ok(key)
    }
}

/// What an Ed25519 witness signs: the time, then the checkpoint's whole text (tlog-cosignature, "Ed25519").
pub(super) fn cosigned_message(timestamp: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {timestamp}\n{text}")
}

/// SHA-256(name ‖ newline ‖ type byte ‖ public key), cut to four bytes (signed-note, "Signatures").
pub(super) fn key_id(name: &KeyName, type_byte: u8, public_key: &[u8; PUBLIC_KEY_LENGTH]) -> KeyId {
    let digest = Sha256::new()
        .chain_update(name.as_str())
        .chain_update([b'\n', type_byte])
        .chain_update(public_key)
        .finalize();
    let [a, b, c, d, ..] = <[u8; 32]>::from(digest);
    [a, b, c, d]
}

pub(super) fn parse_key_id(text: &str) -> Option<KeyId> {
    let lower = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let mut id = KeyId::default();
    (lower && hex::decode_to_slice(text, &mut id).is_ok()).then_some(id)
}

/// Whether the y coordinate is below the field's prime, 2^255 - 19. Decompression reduces silently, which would give one
/// point two encodings and one key two ids.
fn is_canonical(key: &[u8; PUBLIC_KEY_LENGTH]) -> bool {
    let [lowest, middle @ .., highest] = key;
    *lowest < 0xed || highest & 0x7f != 0x7f || middle.iter().any(|b| *b != 0xff)
}

/// What signed-note assigns a type byte to.
const fn type_name(byte: u8) -> &'static str {
    match byte {
        0x01 => "Ed25519",
        0x02 => "ECDSA",
        0x04 => "Ed25519 cosignature",
        0x05 => "RFC 6962 tree head signature",
        0x06 => "ML-DSA-44 cosignature",
        0xfa..=0xfe => "reserved",
        0xff => "private",
        _ => "unassigned",
    }
}
