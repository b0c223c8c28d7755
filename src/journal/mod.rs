//! Durable frames: an append-only chain of batches in pre-zeroed segment files.
//!
//! **Does**: put one [`Frame`] (a checkpoint, entries, sealed payloads, all opaque bytes) on disk with one write
//! and one fdatasync, read frames back, find the frame that holds an index, and after a crash decide
//! what the log's bytes establish ([`recover`]).
//!
//! **Does not**: know what an entry, a checkpoint or a ciphertext means, verify signatures, keep the key that frames are
//! tagged with ([`FrameKey`], the ledger's keyring does), take the
//! data directory's lock (the ledger does), or retry. Segments are not retired yet.
//!
//! **May use**: `disk`.
//!
//! **Invariants**
//! - [`Append::Appended`] means durable. After [`Append::Unknown`] the journal is poisoned: nothing is ever
//!   written behind a frame whose fate is unknown, so whatever a valid frame follows was acknowledged.
//! - Frames are written only into space that was zeros and synced before, never over anything.
//! - Each frame names its own place and carries the hash of the one before: nothing can be moved, dropped in
//!   the middle or mixed in from another journal without showing.
//! - Each frame carries a tag under the journal's key, and recovery takes none without: who can write the directory
//!   and holds no key can add nothing.
//! - The parser accepts exactly what the encoder writes; accepted frames re-encode to themselves.
//! - Recovery cuts off only what can have been torn by the last, unacknowledged write ([`recover`] has the rules).
//!
//! The bytes are specified in `docs/format.md`, section "Journal frame".

mod errors;
mod frame;
mod parse;
mod prepare;
mod read;
mod recover;
mod segment;
mod segmented;
mod tag;
mod tail;
#[cfg(test)]
mod tests;
mod verify;
mod walk;

use std::fmt;
use std::io;

pub use errors::{
    BadFrame, FrameError, FrameFault, JournalError, OptionsError, Poisoned, ReadError, RecoverError,
};
pub use frame::{
    AES_256_GCM, CHECKPOINT_BYTES_MAX, FRAME_ALIGNMENT, FRAME_BYTES_MAX, Frame, FrameHash, HEADER_BYTES,
    SealedPayload, XCHACHA20_POLY1305,
};
pub use parse::{FrameHeader, FrameView, PayloadView};
pub use prepare::Preparation;
pub use read::{Frames, SegmentReader, damaged_frame_at, frames_from, read_frame_at};
pub use recover::{Recovered, Resume, TruncatedTail, VisitError, recover};
pub use segment::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, segment_file_name};
pub use segmented::{JournalOptions, PreparationCounts, SegmentedJournal};
pub use tag::FrameKey;
pub use verify::{Problem, VerifyReport, verify};

/// A place in the journal: a byte offset in a numbered segment. Frames begin at multiples of 4,096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment's number.
    pub segment: u64,
    /// The offset in bytes from its beginning.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {:08} offset {}", self.segment, self.offset)
    }
}

/// Where one sealed payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadLocator {
    /// The frame that carries it.
    pub frame: Position,
    /// Which of the frame's payloads, from 0.
    pub payload: u32,
}

/// What the writer believes the journal to be; a fence against a second writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The writer's epoch, as [`Journal::head`] gave it.
    pub epoch: u64,
    /// How many entries the journal holds: the next frame's first index.
    pub size: u64,
}

/// Where the journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The epoch whose holder may append. Each opening begins a new one.
    pub epoch: u64,
    /// How many entries the journal holds.
    pub size: u64,
    /// Where the last frame ends. The next one begins here or in the next segment.
    pub end: Position,
    /// The hash of the last frame; zeros if there is none.
    pub last_frame_hash: FrameHash,
}

/// What became of an append.
#[derive(Debug)]
#[must_use]
pub enum Append {
    /// The frame is durable.
    Appended(Position),
    /// Somebody else's epoch, or another size. Nothing was written.
    Conflict {
        /// Where the journal really stands.
        head: Head,
    },
    /// The frame cannot be written by anybody. Nothing was written.
    Refused(FrameError),
    /// A write or sync failed: the frame may be durable or not, and only recovery can tell. The journal is
    /// poisoned; this and every later append answers `Unknown` and writes nothing. Exit, restart, recover.
    Unknown(io::Error),
}

/// A journal with one active writer. Several implementations are to come; none may retry a failed sync.
pub trait Journal: Send {
    /// Where the journal stands, for [`Expected`].
    fn head(&self) -> Head;

    /// Makes one frame durable behind the last one; returns when it is, or when that is unknown.
    fn append(&mut self, expected: &Expected, frame: &Frame) -> Append;

    /// The frame that begins at a position, all checksums verified.
    ///
    /// # Errors
    /// [`ReadError`]: unreadable, not there, or not what was written.
    fn frame(&self, at: Position) -> Result<FrameView, ReadError>;

    /// All frames from a position on, up to the present end.
    ///
    /// # Errors
    /// [`ReadError`] if the journal cannot be listed.
    fn read(&self, from: Position) -> Result<Frames<'_>, ReadError>;

    /// One sealed payload.
    ///
    /// # Errors
    /// As for [`Journal::frame`]; [`ReadError::NoSuchPayload`].
    fn payload(&self, locator: &PayloadLocator) -> Result<SealedPayload, ReadError>;
}
