//! Keyed fingerprints: what a session's memory keeps instead of text.

use std::fmt;
use std::hash::Hasher as _;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use siphasher::sip::SipHasher24;

use super::kind::ValueType;

/// The key of a log's fingerprints. Who has it can test guesses against a memory, who has not cannot.
#[derive(Clone)]
pub struct FingerprintKey {
    values: Hmac<Sha256>,
    grams: [u8; 16],
}

/// A value of one kind, as HMAC-SHA-256 over kind and canonical spelling, cut to 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Fingerprint([u8; 16]);

impl FingerprintKey {
    /// The key made of 32 secret bytes.
    #[must_use]
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(secret) {
            *to = *from;
        }
        let values = Hmac::<Sha256>::new((&block).into());
        let mut grams = [0; 16];
        let made = mac(&values, &[b"foreseal/grams/v1"]);
        grams.copy_from_slice(&made.0);
        Self { values, grams }
    }

    pub(super) fn value(&self, kind: ValueType, canonical: &str) -> Fingerprint {
        mac(&self.values, &[b"v", kind.compared_as().name().as_bytes(), &[0], canonical.as_bytes()])
    }

    /// A value that a plan's binding passes on, in canonical JSON.
    pub(in crate::policy) fn bound(&self, canonical: &[u8]) -> [u8; 16] {
        mac(&self.values, &[b"p", canonical]).0
    }

    /// A word, never 0. Cheaper than a value's fingerprint, because a text has many; that two words have the same has a
    /// chance of one in 2^64, and who has no key cannot look for them.
    pub(super) fn word(&self, word: &str) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.grams);
        hasher.write_u8(u8::MAX);
        hasher.write(word.as_bytes());
        hasher.finish().max(1)
    }

    /// 32 bits for a piece of text: enough for what only ever raises severity.
    pub(super) fn gram(&self, domain: u8, bytes: &[u8]) -> u32 {
        let mut hasher = SipHasher24::new_with_key(&self.grams);
        hasher.write_u8(domain);
        hasher.write(bytes);
        let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
        u32::from_le_bytes([a, b, c, d])
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FingerprintKey(secret)")
    }
}

fn mac(keyed: &Hmac<Sha256>, parts: &[&[u8]]) -> Fingerprint {
    let mut mac = keyed.clone();
    for part in parts {
        mac.update(part);
    }
    let whole = mac.finalize().into_bytes();
    let mut cut = [0; 16];
    for (to, from) in cut.iter_mut().zip(whole) {
        *to = from;
    }
    Fingerprint(cut)
}
