//! The tag of a frame: says that whoever holds the journal's key wrote it.
//!
//! Checksums and the chain of hashes can be made by anybody who can write the directory. A checkpoint that the log signed
//! vouches for all frames before the one that carries it, but nothing but the tag vouches for the last.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The tag's length in bytes.
pub(super) const TAG_BYTES: usize = 32;
const CONTEXT: &[u8] = b"foreseal.frame.v2\0";

/// The secret that tags a journal's frames: 32 random bytes, kept where the journal is not.
#[derive(Clone)]
pub struct FrameKey(Zeroizing<[u8; 32]>);

impl FrameKey {
    /// A key from its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The tag over SHA-256 of everything in a frame before the tag.
    pub(super) fn tag(&self, digest: &[u8; 32]) -> [u8; TAG_BYTES] {
        self.mac(digest).finalize().into_bytes().into()
    }

    /// Whether a tag is this key's, in constant time.
    pub(super) fn verifies(&self, digest: &[u8; 32], tag: &[u8]) -> bool {
        self.mac(digest).verify_slice(tag).is_ok()
    }

    fn mac(&self, digest: &[u8; 32]) -> Hmac<Sha256> {
        // HMAC takes keys of any length; 32 bytes are padded to its block, as RFC 2104 says.
        let mut block = Zeroizing::new([0; 64]);
        block.iter_mut().zip(self.0.iter()).for_each(|(out, byte)| *out = *byte);
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(CONTEXT);
        mac.update(digest);
        mac
    }
}

impl fmt::Debug for FrameKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameKey(…)")
    }
}
