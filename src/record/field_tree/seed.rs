//! The secret of a document's field tree, and the salts that come from it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, ZeroizeOnDrop};

const SALT_TAG: &[u8] = b"foreseal.salt.v1\0";

/// 32 random bytes, one seed a document: the opening of the whole of it.
///
/// Wiped when dropped, compared in constant time, never printed. Drawing the bytes is the caller's business.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Seed([u8; 32]);

/// The text is not the base64 of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a seed is 32 bytes in standard base64 with padding (44 characters)")]
pub struct SeedError;

impl Seed {
    /// Takes 32 bytes that must come from a cryptographic random source.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes. They open the whole document.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 44 characters of standard base64 with padding.
    ///
    /// # Errors
    /// [`SeedError`], which does not repeat the text.
    pub fn from_base64(text: &str) -> Result<Self, SeedError> {
        decode_32(text).map(Self).ok_or(SeedError)
    }

    /// The seed as 44 characters of base64. They open the whole document.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The salt of field `index`: SHA-256("foreseal.salt.v1\0" ‖ seed ‖ u32be(index)).
    #[must_use]
    pub fn salt(&self, index: u32) -> Salt {
        let hash =
            Sha256::new().chain_update(SALT_TAG).chain_update(self.0).chain_update(index.to_be_bytes());
        Salt(hash.finalize().into())
    }
}

impl PartialEq for Seed {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Seed {}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// The salt of one field. Showing it opens that field to guessing and no other. As JSON: base64.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// Takes 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl Serialize for Salt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Salt {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_32(&text).map(Self).ok_or_else(|| D::Error::custom("a salt is 32 bytes in base64"))
    }
}

fn decode_32(text: &str) -> Option<[u8; 32]> {
    let mut decoded = STANDARD.decode(text).ok()?;
    let bytes = decoded.as_slice().try_into().ok();
    decoded.zeroize();
    bytes
}
