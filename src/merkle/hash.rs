//! One hash value, and the three ways the tree makes one.

use std::fmt;
use std::str::FromStr;

use base64::DecodeSliceError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// Bytes of a [`Hash`](struct@Hash).
pub const HASH_BYTES: usize = 32;

/// Base64 characters of a [`Hash`](struct@Hash), padding included.
const HASH_BASE64: usize = 44;

const LEAF_PREFIX: [u8; 1] = [0x00];
const NODE_PREFIX: [u8; 1] = [0x01];

/// A SHA-256 value of the tree: a leaf hash, an interior node, or a root. Public, so compared in plain time.
///
/// Text form, in `Display`, `Debug`, serde and every C2SP format: standard base64 with padding.
#[derive(Copy, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub [u8; HASH_BYTES]);

/// Why a text is not a [`Hash`](struct@Hash).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HashError {
    /// Not standard base64 in its one canonical form.
    #[error("a hash is not canonical standard base64: {0}")]
    Base64(base64::DecodeError),
    /// Base64, but of another number of bytes than 32.
    #[error("a hash has 32 bytes, which are 44 base64 characters, and this one has {characters} characters")]
    Length {
        /// Length of the text.
        characters: usize,
    },
}

impl Hash {
    /// Reads standard base64 (RFC 4648 §4) of exactly 32 bytes. Only the canonical form is taken: padding present,
    /// unused bits zero, nothing around it.
    ///
    /// # Errors
    /// [`HashError::Length`] for any other length, else [`HashError::Base64`].
    pub fn from_base64(text: &str) -> Result<Hash, HashError> {
        let length = || HashError::Length { characters: text.len() };
        if text.len() != HASH_BASE64 {
            return Err(length());
        }
        // One more than a hash: what 44 characters can hold at most.
        let mut decoded = [0; HASH_BYTES + 1];
        match STANDARD.decode_slice(text, &mut decoded) {
            Ok(HASH_BYTES) => decoded.first_chunk().map(|bytes| Hash(*bytes)).ok_or_else(length),
            Ok(_) | Err(DecodeSliceError::OutputSliceTooSmall) => Err(length()),
            Err(DecodeSliceError::DecodeError(error)) => Err(HashError::Base64(error)),
        }
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        base64::display::Base64Display::new(&self.0, &STANDARD).fmt(f)
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Hash, HashError> {
        Hash::from_base64(text)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; HASH_BASE64];
        let written = STANDARD.encode_slice(self.0, &mut text).ok();
        match written.and_then(|length| std::str::from_utf8(text.get(..length)?).ok()) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Hash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("32 bytes in standard base64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Hash, E> {
                Hash::from_base64(text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

/// The root of the tree without leaves: SHA-256 of nothing (RFC 9162 §2.1.1).
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// The hash of an entry: SHA-256(0x00 ‖ entry).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update(LEAF_PREFIX).chain_update(entry).finalize().into())
}

/// The hash of an interior node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let digest = Sha256::new().chain_update(NODE_PREFIX).chain_update(left.0).chain_update(right.0);
    Hash(digest.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(empty_root().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn a_leaf_is_never_a_node() {
        let (l, r) = (leaf_hash(b"l"), leaf_hash(b"r"));
        let both = [l.0, r.0].concat();
        assert_ne!(leaf_hash(&both), node_hash(&l, &r));
        assert_ne!(node_hash(&l, &r), node_hash(&r, &l));
    }

    #[test]
    fn only_the_canonical_text_of_32_bytes_is_read() {
        let text = leaf_hash(b"x").to_string();
        assert_eq!(Hash::from_base64(&text).unwrap(), leaf_hash(b"x"));
        let unpadded = text.trim_end_matches('=');
        let (head, _) = text.split_at(42);
        for bad in [
            String::new(),
            unpadded.to_owned(),
            format!(" {text}"),
            format!("{text}\n"),
            format!("{unpadded}A"),
            // 33 and 31 bytes.
            "A".repeat(44),
            format!("{}==", "A".repeat(42)),
            // The two unused bits of the last character are not zero.
            format!("{}B=", "A".repeat(42)),
            // URL-safe alphabet.
            format!("{}_=", "A".repeat(42)),
            format!("é{head}"),
        ] {
            assert!(Hash::from_base64(&bad).is_err(), "{bad:?} was read");
        }
    }

    #[test]
    fn json_is_the_base64_string() {
        let hash = leaf_hash(b"json");
        let json = serde_json::to_string(&hash).unwrap();
        assert_eq!(json, format!("\"{hash}\""));
        assert_eq!(serde_json::from_str::<Hash>(&json).unwrap(), hash);
        assert!(serde_json::from_str::<Hash>("\"AAAA\"").is_err());
        assert!(serde_json::from_str::<Hash>("7").is_err());
    }
}
