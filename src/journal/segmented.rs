//! The journal in segment files: one writer, one write and one fdatasync a frame.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{DirMode, Disk, DiskFile, OpenMode, create_dir_durably, remove_stale_temporaries};

use super::errors::{FrameError, JournalError, OptionsError, Poisoned, ReadError, RecoverError};
use super::frame::{FRAME_ALIGNMENT, Frame, FrameHash, SealedPayload};
use super::parse::FrameView;
use super::prepare::{Mould, Preparation, Supply};
use super::read::{Frames, SegmentReader, frames_from, read_frame_at};
use super::recover::{Recovered, Resume, VisitError, recover};
use super::segment::{SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Segments, segment_numbers, segment_path};
use super::tag::FrameKey;
use super::{Append, Expected, Head, Journal, PayloadLocator, Position, tail};

/// How segments are made. What exists keeps its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalOptions {
    /// A segment's length in bytes: a multiple of 4 KiB from 64 KiB to 1 GiB; 16 MiB unless said otherwise.
    /// No frame can be longer.
    pub segment_bytes: u64,
    /// How many prepared segments should lie ahead of the writer: 2, at most 64.
    pub segments_ahead: u64,
    /// How many zeros are written and synced at once: 256 KiB. More disturbs the writer's syncs.
    pub zero_step_bytes: u64,
    /// Who prepares.
    pub preparation: Preparation,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 16 << 20,
            segments_ahead: 2,
            zero_step_bytes: 256 << 10,
            preparation: Preparation::Background,
        }
    }
}

impl JournalOptions {
    fn check(&self) -> Result<(), OptionsError> {
        let aligned = |bytes: u64| bytes > 0 && bytes.is_multiple_of(FRAME_ALIGNMENT);
        if !aligned(self.segment_bytes)
            || !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes)
        {
            return Err(OptionsError::SegmentBytes(self.segment_bytes));
        }
        if !aligned(self.zero_step_bytes) {
            return Err(OptionsError::ZeroStep(self.zero_step_bytes));
        }
        if self.segments_ahead > 64 {
            return Err(OptionsError::Ahead(self.segments_ahead));
        }
        Ok(())
    }
}

/// How often the writer outran the preparation of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PreparationCounts {
    /// The writer waited for the thread to finish a segment.
    pub waits: u64,
    /// The writer made a segment itself, because the thread was not at it or had failed.
    pub inline: u64,
}

/// A journal of segment files, open for appending. One per directory and machine: the caller holds the lock.
#[derive(Debug)]
pub struct SegmentedJournal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment_bytes: u64,
    supply: Supply,
    key: FrameKey,
    head: Head,
    file: Arc<dyn DiskFile>,
    file_len: u64,
    /// Reused by every append.
    buffer: Vec<u8>,
    poisoned: bool,
}

impl SegmentedJournal {
    /// Makes a new, empty journal; durable when this returns. The writer's epoch is 1.
    ///
    /// # Errors
    /// [`JournalError::AlreadyThere`] if the directory holds a segment: use [`SegmentedJournal::open`], which
    /// also takes what a crash left of a creation, unless there is no segment yet
    /// ([`ReadError::NoSegments`]): then create again.
    pub fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: &JournalOptions,
        key: &FrameKey,
    ) -> Result<Self, JournalError> {
        options.check()?;
        create_dir_durably(&*disk, dir, DirMode::Private)?;
        if !segment_numbers(&*disk, dir).map_err(RecoverError::Read)?.is_empty() {
            return Err(JournalError::AlreadyThere { dir: dir.display().to_string() });
        }
        remove_stale_temporaries(&*disk, dir)?;
        let head =
            Head { epoch: 1, size: 0, end: Position { segment: 0, offset: 0 }, last_frame_hash: [0; 32] };
        Self::start(disk, dir, options, key, head, 0)
    }

    /// Recovers a journal ([`recover`] has the rules and the parameters), makes its last segment anew, and
    /// begins the next writer's epoch. As long as recovery refuses, nothing is changed.
    ///
    /// # Errors
    /// Whatever recovery refuses, and disk errors: then nothing was appended, and it may be tried again after a
    /// restart.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: &JournalOptions,
        key: &FrameKey,
        resume: &Resume,
        known_size: u64,
        visit: &mut dyn FnMut(Position, &FrameView) -> Result<(), VisitError>,
    ) -> Result<(Self, Recovered), JournalError> {
        options.check()?;
        let recovered = recover(&*disk, dir, key, resume, known_size, visit)?;
        let epoch = recovered.last_epoch.checked_add(1).ok_or(JournalError::EpochsExhausted)?;
        remove_stale_temporaries(&*disk, dir)?;
        let segments = Segments::list(&*disk, dir).map_err(RecoverError::Read)?;
        let next = tail::discard_behind(&segments, &recovered, options.segment_bytes)?;
        tail::rewrite(&*disk, dir, &recovered, options.zero_step_bytes)?;
        let head = Head {
            epoch,
            size: recovered.next_index,
            end: recovered.end,
            last_frame_hash: recovered.last_frame_hash,
        };
        Ok((Self::start(disk, dir, options, key, head, next)?, recovered))
    }

    /// Begins to append at `head`; segments below `prepared` are there.
    fn start(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: &JournalOptions,
        key: &FrameKey,
        head: Head,
        prepared: u64,
    ) -> Result<Self, JournalError> {
        let mould = Mould {
            disk: Arc::clone(&disk),
            dir: dir.to_path_buf(),
            segment_bytes: options.segment_bytes,
            step_bytes: options.zero_step_bytes,
        };
        let supply = Supply::start(mould, prepared, options.segments_ahead, options.preparation)?;
        supply.enter(head.end.segment)?;
        let file = disk.open(&segment_path(dir, head.end.segment), OpenMode::ReadWrite)?;
        let file_len = file.len()?;
        Ok(Self {
            disk,
            dir: dir.to_path_buf(),
            segment_bytes: options.segment_bytes,
            supply,
            key: key.clone(),
            head,
            file,
            file_len,
            buffer: Vec::new(),
            poisoned: false,
        })
    }

    /// A reader for other threads.
    #[must_use]
    pub fn reader(&self) -> SegmentReader {
        SegmentReader::new(Arc::clone(&self.disk), &self.dir)
    }

    /// How often the writer outran the preparation of segments since the journal was opened.
    #[must_use]
    pub fn preparation_counts(&self) -> PreparationCounts {
        let (waits, inline) = self.supply.counts();
        PreparationCounts { waits, inline }
    }

    /// Whether an append ended as unknown. Nothing is written any more.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The frame's length on disk, if it may be written now.
    fn admit(&self, frame: &Frame) -> Result<u64, FrameError> {
        if frame.epoch != self.head.epoch || frame.first_index != self.head.size {
            return Err(FrameError::NotNext {
                epoch: frame.epoch,
                first_index: frame.first_index,
                expected_epoch: self.head.epoch,
                expected_index: self.head.size,
            });
        }
        let bytes = frame.encoded_len()?;
        if bytes as u64 > self.segment_bytes {
            return Err(FrameError::TooLarge { bytes, limit: self.segment_bytes });
        }
        Ok(bytes as u64)
    }

    /// Where a frame of this length goes: here, or at the beginning of the next segment.
    fn make_room(&mut self, bytes: u64) -> io::Result<Position> {
        let end = self.head.end;
        if end.offset.checked_add(bytes).is_some_and(|end| end <= self.file_len) {
            return Ok(end);
        }
        let next = Position { segment: end.segment + 1, offset: 0 };
        self.supply.enter(next.segment)?;
        self.file = self.disk.open(&segment_path(&self.dir, next.segment), OpenMode::ReadWrite)?;
        self.file_len = self.segment_bytes;
        Ok(next)
    }

    /// One write, one sync.
    fn write(&mut self, at: Position) -> io::Result<()> {
        self.file.write_all_at(&self.buffer, at.offset)?;
        self.file.sync_data()
    }

    fn poison(&mut self, error: io::Error) -> Append {
        self.poisoned = true;
        Append::Unknown(error)
    }

    fn wrote(&mut self, at: Position, frame: &Frame, hash: FrameHash) -> Append {
        self.head.size += frame.entries.len() as u64;
        self.head.end = Position { segment: at.segment, offset: at.offset + self.buffer.len() as u64 };
        self.head.last_frame_hash = hash;
        Append::Appended(at)
    }
}

impl Journal for SegmentedJournal {
    fn head(&self) -> Head {
        self.head
    }

    fn append(&mut self, expected: &Expected, frame: &Frame) -> Append {
        if self.poisoned {
            return Append::Unknown(io::Error::other(Poisoned));
        }
        if (expected.epoch, expected.size) != (self.head.epoch, self.head.size) {
            return Append::Conflict { head: self.head };
        }
        let bytes = match self.admit(frame) {
            Ok(bytes) => bytes,
            Err(error) => return Append::Refused(error),
        };
        let at = match self.make_room(bytes) {
            Ok(at) => at,
            Err(error) => return self.poison(error),
        };
        let hash = match frame.encode(at, &self.head.last_frame_hash, &self.key, &mut self.buffer) {
            Ok(hash) => hash,
            Err(error) => return Append::Refused(error),
        };
        match self.write(at) {
            Ok(()) => self.wrote(at, frame, hash),
            Err(error) => self.poison(error),
        }
    }

    fn frame(&self, at: Position) -> Result<FrameView, ReadError> {
        if at >= self.head.end {
            return Err(ReadError::NotThere(at));
        }
        read_frame_at(&*self.disk, &self.dir, at)
    }

    fn read(&self, from: Position) -> Result<Frames<'_>, ReadError> {
        Ok(frames_from(&*self.disk, &self.dir, from)?.until(self.head.end))
    }

    fn payload(&self, locator: &PayloadLocator) -> Result<SealedPayload, ReadError> {
        if locator.frame >= self.head.end {
            return Err(ReadError::NotThere(locator.frame));
        }
        self.reader().payload(locator)
    }
}
