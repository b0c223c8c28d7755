//! What can be wrong with frames, reads, recovery and options.

use std::io;

use super::recover::VisitError;
use super::{FrameHash, Position};

/// A frame that cannot be written. Nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The checkpoint is longer than [`super::CHECKPOINT_BYTES_MAX`].
    #[error("the frame's checkpoint has {bytes} bytes, the limit is {limit}")]
    CheckpointTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// An entry does not fit its 16-bit length.
    #[error("entry {entry} of the frame has {bytes} bytes, the limit is 65535")]
    EntryTooLong {
        /// Its number in the frame.
        entry: usize,
        /// Its length.
        bytes: usize,
    },
    /// A payload belongs to an entry that the frame does not hold (a marker holds none).
    #[error("payload {payload} belongs to entry {entry}, the frame holds {entries}")]
    PayloadWithoutEntry {
        /// Its number in the frame.
        payload: usize,
        /// The entry it names.
        entry: u32,
        /// How many entries there are.
        entries: usize,
    },
    /// Payloads are not in the order of their entries.
    #[error("payload {payload} belongs to an earlier entry than the one before it")]
    PayloadOutOfOrder {
        /// Its number in the frame.
        payload: usize,
    },
    /// A cipher that the format does not know.
    #[error("payload {payload} names cipher {aead}, which the format does not know")]
    UnknownCipher {
        /// Its number in the frame.
        payload: usize,
        /// The number given.
        aead: u8,
    },
    /// The whole frame is too long for a segment.
    #[error("the frame needs {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its length with padding.
        bytes: usize,
        /// The limit.
        limit: u64,
    },
    /// The frame's own epoch or first index is not the expected one.
    #[error(
        "the frame says epoch {epoch} and first index {first_index}, expected were {expected_epoch} and {expected_index}"
    )]
    NotNext {
        /// The frame's epoch.
        epoch: u64,
        /// The frame's first index.
        first_index: u64,
        /// The writer's epoch.
        expected_epoch: u64,
        /// The journal's size.
        expected_index: u64,
    },
    /// The journal's index would pass 2^64.
    #[error("the frame's entries would pass the last index there is")]
    IndexOverflow,
}

/// Bytes that are not the frame they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} (byte {at} from the frame's beginning)")]
pub struct BadFrame {
    /// Where, in bytes from the frame's beginning.
    pub at: u64,
    /// What.
    pub fault: FrameFault,
}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameFault {
    /// The magic is missing.
    #[error("no frame begins here")]
    Magic,
    /// The header's checksum does not match.
    #[error("header checksum does not match")]
    HeaderChecksum,
    /// A sound header of a version that this software does not know.
    #[error("frame version {0} is not known")]
    Version(u16),
    /// Reserved bits are set.
    #[error("reserved flags are set")]
    Flags,
    /// The header names another place: the frame was moved or a write went astray.
    #[error("the frame says it belongs to {0}")]
    Place(Position),
    /// The frame would reach beyond the segment, or the bytes given.
    #[error("the frame is longer than what is there")]
    TooLong,
    /// The body's checksum does not match.
    #[error("body checksum does not match")]
    BodyChecksum,
    /// A count or length says more than the body holds.
    #[error("the body ends early")]
    BodyEnds,
    /// The body goes on behind its tag.
    #[error("the body goes on behind its tag")]
    BodyTrailing,
    /// The checkpoint is longer than allowed.
    #[error("the checkpoint is too long")]
    CheckpointTooLong,
    /// A payload names an entry the frame does not hold, or an earlier one than the payload before it.
    #[error("the payload names entry {0}")]
    PayloadEntry(u32),
    /// A payload names a cipher the format does not know.
    #[error("the payload names cipher {0}")]
    PayloadCipher(u8),
    /// The padding is not zero.
    #[error("padding is not zero")]
    Padding,
    /// The indexes would pass 2^64.
    #[error("the frame's indexes overflow")]
    IndexOverflow,
    /// The frame does not carry the hash of the one before.
    #[error("the frame does not continue the one before it")]
    Chain,
    /// The frame begins at another index than the one before it ended.
    #[error("the frame begins at index {found}, the one before ended at {expected}")]
    Index {
        /// Where it should begin.
        expected: u64,
        /// Where it begins.
        found: u64,
    },
    /// The frame was written by an older writer than the one before it.
    #[error("the frame's epoch {found} is before {previous}")]
    Epoch {
        /// The epoch of the frame before.
        previous: u64,
        /// Its epoch.
        found: u64,
    },
    /// Behind the last frame there is something else than zeros.
    #[error("behind the last frame, {0} is not zero")]
    NotZero(Position),
}

/// A read that gave no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The disk failed.
    #[error("reading {what}: {source}")]
    Disk {
        /// The file or directory.
        what: String,
        /// What the disk said.
        source: io::Error,
    },
    /// There is no segment at all, or no directory.
    #[error("no journal segment in {dir}")]
    NoSegments {
        /// The directory.
        dir: String,
    },
    /// A segment between others is missing.
    #[error("journal segment {segment:08} is missing, later ones are there")]
    SegmentMissing {
        /// Its number.
        segment: u64,
    },
    /// A file that looks like a segment but is not named like one.
    #[error("{name} is not a journal segment's name")]
    StrangeName {
        /// The name.
        name: String,
    },
    /// A segment's length is not one that this software gives.
    #[error("journal segment {segment:08} has {bytes} bytes, which no segment has")]
    SegmentLength {
        /// Its number.
        segment: u64,
        /// Its length.
        bytes: u64,
    },
    /// Nothing was written there, or the position cannot be one.
    #[error("no frame at {0}")]
    NotThere(Position),
    /// What is there is not the frame that was written.
    #[error("bad frame at {position}: {bad}")]
    Bad {
        /// Where the frame begins.
        position: Position,
        /// What is wrong.
        bad: BadFrame,
    },
    /// The frame has fewer payloads.
    #[error("the frame at {frame} has no payload {payload}")]
    NoSuchPayload {
        /// The frame.
        frame: Position,
        /// The number asked for.
        payload: u32,
    },
}

/// A journal that recovery refuses to go on with. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// It cannot be read, or segments are missing.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something that was acknowledged, or may have been, is damaged.
    #[error("the journal is damaged at {position}: {bad}{}", follower(followed_by.as_ref()))]
    Corrupt {
        /// Where the bad frame begins.
        position: Position,
        /// What is wrong with it.
        bad: BadFrame,
        /// A valid frame header behind it, which proves that the bad frame was acknowledged. `None`: the damage
        /// is none that a torn write leaves.
        followed_by: Option<Position>,
    },
    /// A head known from elsewhere covers more than the journal holds: an older copy was restored, or the end
    /// was lost.
    #[error("a signed head of size {known} is known, the journal holds {held}")]
    HeadAhead {
        /// The known head's size.
        known: u64,
        /// How many entries are there.
        held: u64,
    },
    /// The journal begins behind index 0 (segments were retired), and no place to resume from was given.
    #[error("the journal begins at segment {first:08}; a snapshot is needed to resume from")]
    BeginningMissing {
        /// The lowest segment there is.
        first: u64,
    },
    /// The frame to resume after is not the one that was remembered.
    #[error("the frame at {position} is not the one that the snapshot continues")]
    ResumeMismatch {
        /// Where it was expected.
        position: Position,
        /// The hash that was remembered.
        expected: FrameHash,
        /// The hash found.
        found: FrameHash,
    },
    /// A whole frame that no holder of the journal's key wrote: added or changed by hand, or the key is another's.
    #[error("the frame at {position} does not carry this ledger's tag: it was not written with its keys")]
    NotTagged {
        /// The frame.
        position: Position,
    },
    /// The caller's visitor refused a frame.
    #[error("frame at {position} refused: {source}")]
    Visitor {
        /// The frame.
        position: Position,
        /// Why.
        source: VisitError,
    },
}

fn follower(position: Option<&Position>) -> String {
    position.map_or_else(
        || "; no torn write leaves this".to_owned(),
        |position| format!("; a valid frame follows at {position}"),
    )
}

/// A journal that could not be created or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The options make no sense.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The directory already holds a journal.
    #[error("{dir} already holds a journal")]
    AlreadyThere {
        /// The directory.
        dir: String,
    },
    /// What is there was refused.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The disk failed while the journal was being made ready. Recovery can be tried again after a restart.
    #[error("preparing the journal: {0}")]
    Disk(#[from] io::Error),
    /// The copy of the last segment does not read back as what recovery saw: the system's cache and the disk
    /// disagree. Restart.
    #[error("the last segment changed between recovery and its copy, at {position}")]
    TailChanged {
        /// Where the copy differs.
        position: Position,
    },
    /// No writer's epoch is left.
    #[error("the last writer's epoch was the last there is")]
    EpochsExhausted,
}

/// Options that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// Segments must be a multiple of 4 KiB between 64 KiB and 1 GiB.
    #[error("segment_bytes is {0}: a multiple of 4096 from 65536 to 1073741824 is needed")]
    SegmentBytes(u64),
    /// Steps must be a multiple of 4 KiB, at most a segment.
    #[error("zero_step_bytes is {0}: a multiple of 4096, at most segment_bytes, is needed")]
    ZeroStep(u64),
    /// More than 64 segments ahead are a mistake.
    #[error("segments_ahead is {0}: at most 64")]
    Ahead(u64),
}

/// Every append after an unknown one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the journal is poisoned: an earlier write or sync failed; restart to recover from disk")]
pub struct Poisoned;
