//! The frame as it is read: strict, positions in errors, no copies of its parts.

use std::ops::Range;

use sha2::{Digest, Sha256};

use super::Position;
use super::errors::{BadFrame, FrameFault};
use super::frame::{
    CHECKPOINT_BYTES_MAX, CRC_BYTES, FRAME_BYTES_MAX, Frame, FrameHash, HEADER_BYTES, MAGIC,
    PAYLOAD_FIXED_BYTES, SealedPayload, VERSION, known_cipher, padded,
};
use super::tag::{FrameKey, TAG_BYTES};

const HEADER_CRC_AT: usize = HEADER_BYTES - CRC_BYTES;

/// A frame's header, without magic, version, flags and checksum, which have one value each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// The place that the frame was written for.
    pub position: Position,
    /// The writer's epoch.
    pub epoch: u64,
    /// The first entry's index.
    pub first_index: u64,
    /// How many entries.
    pub entries: u32,
    /// How many payloads.
    pub payloads: u32,
    /// The body's length in bytes, without its checksum.
    pub body_len: u32,
    /// The hash of the frame before.
    pub previous: FrameHash,
}

impl FrameHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&0_u16.to_be_bytes());
        for field in [self.position.segment, self.position.offset, self.epoch, self.first_index] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        for field in [self.entries, self.payloads, self.body_len] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&self.previous);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_be_bytes());
        bytes.try_into().unwrap_or([0; HEADER_BYTES])
    }

    /// Reads a header that should stand at `at`; of `bytes` only the first [`HEADER_BYTES`] are looked at.
    ///
    /// # Errors
    /// Anything but a sound header of this version and place. `Magic` and `HeaderChecksum` are all that bytes
    /// which were never a header give, but for a chance in 2^64.
    pub fn parse(bytes: &[u8], at: Position) -> Result<Self, BadFrame> {
        let bad = |at: u64, fault| Err(BadFrame { at, fault });
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return bad(0, FrameFault::TooLong) };
        let mut cursor = Cursor { rest: header, at: 0 };
        if cursor.array::<4>()? != MAGIC {
            return bad(0, FrameFault::Magic);
        }
        let (covered, crc) = header.split_at(HEADER_CRC_AT);
        if crc32c::crc32c(covered).to_be_bytes() != crc {
            return bad(HEADER_CRC_AT as u64, FrameFault::HeaderChecksum);
        }
        let version = u16::from_be_bytes(cursor.array()?);
        if version != VERSION {
            return bad(4, FrameFault::Version(version));
        }
        if cursor.array::<2>()? != [0; 2] {
            return bad(6, FrameFault::Flags);
        }
        let parsed = Self {
            position: Position { segment: cursor.u64()?, offset: cursor.u64()? },
            epoch: cursor.u64()?,
            first_index: cursor.u64()?,
            entries: cursor.u32()?,
            payloads: cursor.u32()?,
            body_len: cursor.u32()?,
            previous: cursor.array()?,
        };
        if parsed.position != at {
            return bad(8, FrameFault::Place(parsed.position));
        }
        if parsed.first_index.checked_add(u64::from(parsed.entries)).is_none() {
            return bad(32, FrameFault::IndexOverflow);
        }
        if parsed.padded_len().is_none_or(|len| len as u64 > FRAME_BYTES_MAX) {
            return bad(48, FrameFault::TooLong);
        }
        Ok(parsed)
    }

    /// Header, body and body checksum, in bytes.
    pub(super) fn unpadded_len(&self) -> usize {
        (self.body_len as usize).saturating_add(HEADER_BYTES + CRC_BYTES)
    }

    /// The whole frame with its padding, in bytes.
    pub(super) fn padded_len(&self) -> Option<usize> {
        padded(self.unpadded_len())
    }

    /// The index that the next entry has.
    #[must_use]
    pub fn next_index(&self) -> u64 {
        // Parsing has refused what overflows.
        self.first_index.saturating_add(u64::from(self.entries))
    }
}

/// A frame read from disk. It owns its bytes and lends out their parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameView {
    bytes: Vec<u8>,
    header: FrameHeader,
    hash: FrameHash,
    /// SHA-256 of what the tag covers.
    digest: [u8; 32],
    tag: Range<usize>,
    checkpoint: Range<usize>,
    entries: Vec<Range<usize>>,
    payloads: Vec<PayloadSpan>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PayloadSpan {
    entry: u32,
    key_epoch: u32,
    aead: u8,
    kid: [u8; 16],
    ciphertext: Range<usize>,
}

/// One sealed payload of a [`FrameView`]; the fields are those of [`SealedPayload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadView<'a> {
    /// Which entry of the frame it belongs to.
    pub entry: u32,
    /// The keyring epoch.
    pub key_epoch: u32,
    /// The cipher.
    pub aead: u8,
    /// The key's id.
    pub kid: [u8; 16],
    /// The ciphertext with its tag.
    pub ciphertext: &'a [u8],
}

impl FrameView {
    /// Reads the frame that should stand at `at`. `bytes` must be the whole of it, padding included.
    ///
    /// # Errors
    /// Whatever is not exactly what [`Frame::encode`] writes, but for the chain, which needs the frame before, and the
    /// tag, which needs the key ([`FrameView::is_tagged_by`]).
    pub fn parse(bytes: Vec<u8>, at: Position) -> Result<Self, BadFrame> {
        Self::parse_if(true, bytes, at)
    }

    /// As [`FrameView::parse`], whatever the checksum of the body says.
    pub(super) fn parse_damaged(bytes: Vec<u8>, at: Position) -> Result<Self, BadFrame> {
        Self::parse_if(false, bytes, at)
    }

    fn parse_if(sound: bool, bytes: Vec<u8>, at: Position) -> Result<Self, BadFrame> {
        let header = FrameHeader::parse(&bytes, at)?;
        let bad = |at: usize, fault| Err(BadFrame { at: at as u64, fault });
        let unpadded = header.unpadded_len();
        if header.padded_len() != Some(bytes.len()) {
            return bad(48, FrameFault::TooLong);
        }
        let (frame, padding) = bytes.split_at_checked(unpadded).unwrap_or((&bytes, &[]));
        let body_end = unpadded - CRC_BYTES;
        let (covered, crc) = frame.split_at_checked(body_end).unwrap_or((frame, &[]));
        let body = covered.get(HEADER_BYTES..).unwrap_or_default();
        if sound && crc32c::crc32c(body).to_be_bytes() != crc {
            return bad(body_end, FrameFault::BodyChecksum);
        }
        if let Some(at) = padding.iter().position(|byte| *byte != 0) {
            return bad(unpadded + at, FrameFault::Padding);
        }
        let Parts { checkpoint, entries, payloads, tag } = parse_body(&header, body)?;
        let (before, rest) = frame.split_at_checked(tag.start).unwrap_or((frame, &[]));
        let mut hash = Sha256::new_with_prefix(before);
        let digest = hash.clone().finalize().into();
        hash.update(rest);
        let hash = hash.finalize().into();
        Ok(Self { bytes, header, hash, digest, tag, checkpoint, entries, payloads })
    }

    /// Whether a holder of this key wrote the frame, for this place, behind that frame, with these bytes.
    #[must_use]
    pub fn is_tagged_by(&self, key: &FrameKey) -> bool {
        key.verifies(&self.digest, self.part(&self.tag))
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// The frame's hash, which the next frame carries.
    #[must_use]
    pub fn hash(&self) -> FrameHash {
        self.hash
    }

    /// Whether it holds no entries.
    #[must_use]
    pub fn is_marker(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last checkpoint that was signed before this frame was written.
    #[must_use]
    pub fn checkpoint(&self) -> &[u8] {
        self.part(&self.checkpoint)
    }

    /// The entries in order.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.entries.iter().map(|range| self.part(range))
    }

    /// One entry by its number in the frame.
    #[must_use]
    pub fn entry(&self, number: usize) -> Option<&[u8]> {
        self.entries.get(number).map(|range| self.part(range))
    }

    /// The payloads in order.
    pub fn payloads(&self) -> impl ExactSizeIterator<Item = PayloadView<'_>> {
        self.payloads.iter().map(|span| self.lend(span))
    }

    /// One payload by its number in the frame.
    #[must_use]
    pub fn payload(&self, number: usize) -> Option<PayloadView<'_>> {
        self.payloads.get(number).map(|span| self.lend(span))
    }

    /// Where the frame ends, padding included: where the next begins, if it fits there.
    #[must_use]
    pub fn end(&self) -> Position {
        let Position { segment, offset } = self.header.position;
        Position { segment, offset: offset.saturating_add(self.bytes.len() as u64) }
    }

    /// The bytes on disk, padding included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A copy that can be written again.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        Frame {
            epoch: self.header.epoch,
            first_index: self.header.first_index,
            checkpoint: self.checkpoint().to_vec(),
            entries: self.entries().map(<[u8]>::to_vec).collect(),
            payloads: self.payloads().map(PayloadView::to_sealed).collect(),
        }
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        // Ranges were taken from these bytes while parsing.
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    fn lend<'a>(&'a self, span: &PayloadSpan) -> PayloadView<'a> {
        let PayloadSpan { entry, key_epoch, aead, kid, ref ciphertext } = *span;
        PayloadView { entry, key_epoch, aead, kid, ciphertext: self.part(ciphertext) }
    }
}

impl PayloadView<'_> {
    /// A copy of its own.
    #[must_use]
    pub fn to_sealed(self) -> SealedPayload {
        let Self { entry, key_epoch, aead, kid, ciphertext } = self;
        SealedPayload { entry, key_epoch, aead, kid, ciphertext: ciphertext.to_vec() }
    }
}

struct Parts {
    checkpoint: Range<usize>,
    entries: Vec<Range<usize>>,
    payloads: Vec<PayloadSpan>,
    tag: Range<usize>,
}

/// The body's parts, as ranges of the frame.
fn parse_body(header: &FrameHeader, body: &[u8]) -> Result<Parts, BadFrame> {
    let mut cursor = Cursor { rest: body, at: HEADER_BYTES };
    let length_at = cursor.at;
    let checkpoint_len = cursor.u32()? as usize;
    if checkpoint_len > CHECKPOINT_BYTES_MAX {
        return Err(BadFrame { at: length_at as u64, fault: FrameFault::CheckpointTooLong });
    }
    let checkpoint = cursor.range(checkpoint_len)?;
    let (entry_count, payload_count) = (header.entries as usize, header.payloads as usize);
    // Counts are believed only as far as the body can hold that many, before anything is allocated for them.
    let least = entry_count.checked_mul(2).zip(payload_count.checked_mul(PAYLOAD_FIXED_BYTES));
    if least.and_then(|(a, b)| a.checked_add(b)).is_none_or(|least| least > cursor.rest.len()) {
        return Err(BadFrame { at: 40, fault: FrameFault::BodyEnds });
    }
    let mut entries = Vec::with_capacity(entry_count);
    for _ in 0..entry_count {
        let len = u16::from_be_bytes(cursor.array()?);
        entries.push(cursor.range(usize::from(len))?);
    }
    let mut payloads = Vec::with_capacity(payload_count);
    let mut lowest = 0;
    for _ in 0..payload_count {
        let at = cursor.at as u64;
        let (entry, key_epoch) = (cursor.u32()?, cursor.u32()?);
        if entry < lowest || entry >= header.entries {
            return Err(BadFrame { at, fault: FrameFault::PayloadEntry(entry) });
        }
        lowest = entry;
        let [aead] = cursor.array()?;
        if !known_cipher(aead) {
            return Err(BadFrame { at: at + 8, fault: FrameFault::PayloadCipher(aead) });
        }
        let kid = cursor.array()?;
        let len = cursor.u32()? as usize;
        payloads.push(PayloadSpan { entry, key_epoch, aead, kid, ciphertext: cursor.range(len)? });
    }
    let tag = cursor.range(TAG_BYTES)?;
    if !cursor.rest.is_empty() {
        return Err(BadFrame { at: cursor.at as u64, fault: FrameFault::BodyTrailing });
    }
    Ok(Parts { checkpoint, entries, payloads, tag })
}

/// Reads on, knowing how far it is from the frame's beginning.
struct Cursor<'a> {
    rest: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadFrame> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(self.ends())?;
        self.rest = rest;
        self.at += N;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, BadFrame> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, BadFrame> {
        self.array().map(u64::from_be_bytes)
    }

    fn range(&mut self, len: usize) -> Result<Range<usize>, BadFrame> {
        let (_, rest) = self.rest.split_at_checked(len).ok_or(self.ends())?;
        self.rest = rest;
        let start = self.at;
        self.at += len;
        Ok(start..self.at)
    }

    fn ends(&self) -> BadFrame {
        BadFrame { at: self.at as u64, fault: FrameFault::BodyEnds }
    }
}
