//! The frame as it is written.

use sha2::{Digest, Sha256};

use super::errors::FrameError;
use super::tag::{FrameKey, TAG_BYTES};
use super::{Position, parse::FrameHeader};

/// Frames begin at multiples of this many bytes and are padded to it with zeros.
pub const FRAME_ALIGNMENT: u64 = 4096;
/// The header's length.
pub const HEADER_BYTES: usize = 88;
/// The longest checkpoint: a signed note with hundreds of cosignatures.
pub const CHECKPOINT_BYTES_MAX: usize = 1 << 20;
/// The longest frame, padding included, whatever the segment's size.
pub const FRAME_BYTES_MAX: u64 = 64 << 20;
/// [`SealedPayload::aead`] for AES-256-GCM.
pub const AES_256_GCM: u8 = 1;
/// [`SealedPayload::aead`] for XChaCha20-Poly1305.
pub const XCHACHA20_POLY1305: u8 = 2;

pub(super) const MAGIC: [u8; 4] = *b"FSJ1";
pub(super) const VERSION: u16 = 2;
pub(super) const CRC_BYTES: usize = 4;
/// A payload's fields before its ciphertext: entry, key epoch, cipher, kid, length.
pub(super) const PAYLOAD_FIXED_BYTES: usize = 4 + 4 + 1 + 16 + 4;

/// SHA-256 of a whole frame, header to body checksum, without padding. Zeros stand for "no frame before".
pub type FrameHash = [u8; 32];

/// A batch as the committer hands it over. Without entries it is a marker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The writer's epoch.
    pub epoch: u64,
    /// The index of the first entry; of a marker, the index that the next entry will have.
    pub first_index: u64,
    /// The last signed checkpoint, at most [`CHECKPOINT_BYTES_MAX`] bytes.
    pub checkpoint: Vec<u8>,
    /// The entries in order, each at most 65,535 bytes.
    pub entries: Vec<Vec<u8>>,
    /// Sealed payloads in the order of their entries.
    pub payloads: Vec<SealedPayload>,
}

/// One entry's payload, encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedPayload {
    /// Which entry of the frame it belongs to, from 0.
    pub entry: u32,
    /// The keyring epoch its key is derived from.
    pub key_epoch: u32,
    /// The cipher: [`AES_256_GCM`] or [`XCHACHA20_POLY1305`].
    pub aead: u8,
    /// The random id its key is derived with.
    pub kid: [u8; 16],
    /// The ciphertext with its tag.
    pub ciphertext: Vec<u8>,
}

impl Frame {
    /// Whether it holds no entries: written when idle, so that the frame before it is followed by something.
    #[must_use]
    pub fn is_marker(&self) -> bool {
        self.entries.is_empty()
    }

    /// The frame's length on disk in bytes, padding included.
    ///
    /// # Errors
    /// [`FrameError`] if it cannot be written at all.
    pub fn encoded_len(&self) -> Result<usize, FrameError> {
        let body = self.checked_body_len()?;
        padded(HEADER_BYTES + body + CRC_BYTES)
            .filter(|bytes| *bytes as u64 <= FRAME_BYTES_MAX)
            .ok_or(FrameError::TooLarge { bytes: body, limit: FRAME_BYTES_MAX })
    }

    /// Everything that can be wrong with the frame's parts; the body's length with its tag, without checksum.
    fn checked_body_len(&self) -> Result<usize, FrameError> {
        let entries = self.entries.len();
        let last = u64::try_from(entries).ok().and_then(|count| self.first_index.checked_add(count));
        if last.is_none() {
            return Err(FrameError::IndexOverflow);
        }
        if self.checkpoint.len() > CHECKPOINT_BYTES_MAX {
            let (bytes, limit) = (self.checkpoint.len(), CHECKPOINT_BYTES_MAX);
            return Err(FrameError::CheckpointTooLong { bytes, limit });
        }
        let mut len = TAG_BYTES + 4 + self.checkpoint.len();
        for (number, entry) in self.entries.iter().enumerate() {
            if u16::try_from(entry.len()).is_err() {
                return Err(FrameError::EntryTooLong { entry: number, bytes: entry.len() });
            }
            len = len.saturating_add(2 + entry.len());
        }
        let mut lowest = 0;
        for (number, payload) in self.payloads.iter().enumerate() {
            if payload.entry as usize >= entries {
                return Err(FrameError::PayloadWithoutEntry {
                    payload: number,
                    entry: payload.entry,
                    entries,
                });
            }
            if payload.entry < lowest {
                return Err(FrameError::PayloadOutOfOrder { payload: number });
            }
            lowest = payload.entry;
            if !known_cipher(payload.aead) {
                return Err(FrameError::UnknownCipher { payload: number, aead: payload.aead });
            }
            len = len.saturating_add(PAYLOAD_FIXED_BYTES).saturating_add(payload.ciphertext.len());
        }
        if len as u64 > FRAME_BYTES_MAX {
            return Err(FrameError::TooLarge { bytes: len, limit: FRAME_BYTES_MAX });
        }
        Ok(len)
    }

    /// Replaces `out` by the frame's bytes for this place, tagged, padding included, with at most one allocation.
    /// Returns the frame's hash, which the next frame carries.
    ///
    /// # Errors
    /// As for [`Frame::encoded_len`].
    pub fn encode(
        &self,
        at: Position,
        previous: &FrameHash,
        key: &FrameKey,
        out: &mut Vec<u8>,
    ) -> Result<FrameHash, FrameError> {
        let total = self.encoded_len()?;
        let body_len = self.checked_body_len()?;
        // Lengths and counts are below FRAME_BYTES_MAX, which fits 32 bits: nothing is cut off here.
        let short = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        out.clear();
        out.reserve(total);
        let header = FrameHeader {
            position: at,
            epoch: self.epoch,
            first_index: self.first_index,
            entries: short(self.entries.len()),
            payloads: short(self.payloads.len()),
            body_len: short(body_len),
            previous: *previous,
        };
        out.extend_from_slice(&header.encode());
        out.extend_from_slice(&short(self.checkpoint.len()).to_be_bytes());
        out.extend_from_slice(&self.checkpoint);
        for entry in &self.entries {
            out.extend_from_slice(&u16::try_from(entry.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(entry);
        }
        for payload in &self.payloads {
            out.extend_from_slice(&payload.entry.to_be_bytes());
            out.extend_from_slice(&payload.key_epoch.to_be_bytes());
            out.push(payload.aead);
            out.extend_from_slice(&payload.kid);
            out.extend_from_slice(&short(payload.ciphertext.len()).to_be_bytes());
            out.extend_from_slice(&payload.ciphertext);
        }
        // One pass: the frame's hash goes on where the tag's ends.
        let mut hash = Sha256::new_with_prefix(&*out);
        let tagged = out.len();
        out.extend_from_slice(&key.tag(&hash.clone().finalize().into()));
        let crc = crc32c::crc32c(out.get(HEADER_BYTES..).unwrap_or_default());
        out.extend_from_slice(&crc.to_be_bytes());
        hash.update(out.get(tagged..).unwrap_or_default());
        let hash = hash.finalize().into();
        out.resize(total, 0);
        Ok(hash)
    }
}

pub(super) fn known_cipher(aead: u8) -> bool {
    matches!(aead, AES_256_GCM | XCHACHA20_POLY1305)
}

/// `bytes` rounded up to whole blocks.
pub(super) fn padded(bytes: usize) -> Option<usize> {
    bytes.checked_next_multiple_of(4096)
}
