//! Segment files: their names, their lengths, and reading blocks and frames from them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, OpenMode};

use super::Position;
use super::errors::{BadFrame, FrameFault, ReadError};
use super::frame::{CRC_BYTES, FRAME_ALIGNMENT, HEADER_BYTES};
use super::parse::{FrameHeader, FrameView};

/// The shortest segment.
pub const SEGMENT_BYTES_MIN: u64 = 64 << 10;
/// The longest segment.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

pub(super) const BLOCK: usize = 4096;
/// What a disk writes whole or not at all ([`crate::disk::RealDisk`], assumption 2).
const SECTOR: usize = 512;
/// How much is read at once where only zeros are looked for.
const SCAN_BYTES: u64 = 256 << 10;
const SUFFIX: &str = ".seg";

/// The name of a segment's file: its number in at least eight digits, `.seg`.
#[must_use]
pub fn segment_file_name(segment: u64) -> String {
    format!("{segment:08}{SUFFIX}")
}

pub(super) fn segment_path(dir: &Path, segment: u64) -> PathBuf {
    dir.join(segment_file_name(segment))
}

pub(super) fn disk_error(what: &Path, source: io::Error) -> ReadError {
    ReadError::Disk { what: what.display().to_string(), source }
}

/// The segments of a journal: numbered without gaps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segments<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) dir: &'a Path,
    pub(super) first: u64,
    /// The highest one.
    pub(super) last: u64,
}

impl<'a> Segments<'a> {
    pub(super) fn list(disk: &'a dyn Disk, dir: &'a Path) -> Result<Self, ReadError> {
        let none = || ReadError::NoSegments { dir: dir.display().to_string() };
        let numbers = match segment_numbers(disk, dir) {
            Err(ReadError::Disk { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(none());
            }
            listed => listed?,
        };
        let (Some(first), Some(last)) = (numbers.first().copied(), numbers.last().copied()) else {
            return Err(none());
        };
        if let Some((missing, _)) = (first..=last).zip(&numbers).find(|(wanted, found)| wanted != *found) {
            return Err(ReadError::SegmentMissing { segment: missing });
        }
        Ok(Self { disk, dir, first, last })
    }

    pub(super) fn open(&self, segment: u64) -> Result<Segment, ReadError> {
        Segment::open(self.disk, self.dir, segment)
    }

    /// The first valid header at any aligned place behind `after`.
    pub(super) fn header_behind(&self, after: Position) -> Result<Option<Position>, ReadError> {
        let mut from = after.offset.saturating_add(FRAME_ALIGNMENT);
        for number in after.segment..=self.last {
            if let Some(offset) = self.open(number)?.find_header(from)? {
                return Ok(Some(Position { segment: number, offset }));
            }
            from = 0;
        }
        Ok(None)
    }

    /// The first byte that is not zero in the segments from `segment` on.
    pub(super) fn first_nonzero(&self, segment: u64) -> Result<Option<Position>, ReadError> {
        for number in segment..=self.last {
            if let Some(offset) = self.open(number)?.first_nonzero(0)? {
                return Ok(Some(Position { segment: number, offset }));
            }
        }
        Ok(None)
    }
}

/// The numbers of all segment files, sorted; names that are not quite segments' are refused.
pub(super) fn segment_numbers(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, ReadError> {
    let mut numbers = Vec::new();
    for name in disk.read_dir(dir).map_err(|error| disk_error(dir, error))? {
        let Some(digits) = name.strip_suffix(SUFFIX) else { continue };
        let number = digits.parse::<u64>().ok().filter(|number| segment_file_name(*number) == name);
        numbers.push(number.ok_or(ReadError::StrangeName { name })?);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// What stands at an aligned place.
#[derive(Debug)]
pub(super) enum Found {
    Frame(Box<FrameView>),
    /// A block of zeros.
    Empty,
    /// Anything else. `torn`: the last write can have left it (see [`Segment::may_be_torn`]).
    Bad {
        bad: BadFrame,
        torn: bool,
    },
}

/// One open segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) len: u64,
    path: Arc<Path>,
    file: Arc<dyn DiskFile>,
}

impl Segment {
    pub(super) fn open(disk: &dyn Disk, dir: &Path, number: u64) -> Result<Self, ReadError> {
        Self::open_file(disk, &segment_path(dir, number), number)
    }

    /// A segment under another name, as long as it is a copy being made.
    pub(super) fn open_file(disk: &dyn Disk, path: &Path, number: u64) -> Result<Self, ReadError> {
        let opened = disk.open(path, OpenMode::Read).and_then(|file| Ok((file.len()?, file)));
        let (len, file) = opened.map_err(|error| disk_error(path, error))?;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&len) || !len.is_multiple_of(FRAME_ALIGNMENT) {
            return Err(ReadError::SegmentLength { segment: number, bytes: len });
        }
        Ok(Self { number, len, path: path.into(), file })
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), ReadError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| disk_error(&self.path, error))
    }

    /// Reads what stands at `offset`, which must be aligned and inside.
    pub(super) fn found_at(&self, offset: u64) -> Result<Found, ReadError> {
        let at = Position { segment: self.number, offset };
        let mut bytes = vec![0; BLOCK];
        self.read(&mut bytes, offset)?;
        if is_zero(&bytes) {
            return Ok(Found::Empty);
        }
        let header = match FrameHeader::parse(&bytes, at) {
            Ok(header) => header,
            Err(bad) => return Ok(Found::Bad { bad, torn: Self::may_be_torn(&bytes, &bad) }),
        };
        let total = header.padded_len().unwrap_or(usize::MAX);
        if offset.checked_add(total as u64).is_none_or(|end| end > self.len) {
            return Ok(Found::Bad { bad: BadFrame { at: 48, fault: FrameFault::TooLong }, torn: false });
        }
        if total > BLOCK {
            bytes = vec![0; total];
            self.read(&mut bytes, offset)?;
        }
        // A bad frame's bytes are needed once more, to judge them; good ones are not copied.
        match FrameView::parse(bytes, at) {
            Ok(view) => Ok(Found::Frame(Box::new(view))),
            Err(bad) => {
                let mut written = vec![0; header.unpadded_len()];
                self.read(&mut written, offset)?;
                Ok(Found::Bad { bad, torn: Self::may_be_torn(&written, &bad) })
            }
        }
    }

    /// The parts of a frame whose body is not what its checksum says.
    pub(super) fn damaged_at(&self, offset: u64) -> Option<FrameView> {
        let at = Position { segment: self.number, offset };
        let mut bytes = vec![0; BLOCK];
        self.read(&mut bytes, offset).ok()?;
        let total = FrameHeader::parse(&bytes, at).ok()?.padded_len()?;
        bytes.resize(total, 0);
        self.read(&mut bytes, offset).ok()?;
        FrameView::parse_damaged(bytes, at).ok()
    }

    /// Whether a write that was cut short can have left these bytes. Frames go into space that was zeros, in
    /// whole sectors: so a torn frame shows at least one sector of zeros where it should have bytes. Bytes
    /// without one, or with sound checksums and wrong contents, were changed afterwards.
    fn may_be_torn(bytes: &[u8], bad: &BadFrame) -> bool {
        match bad.fault {
            FrameFault::Magic | FrameFault::HeaderChecksum => {
                bytes.chunks(SECTOR).next().is_some_and(is_zero)
            }
            FrameFault::BodyChecksum => lacks_a_sector(bytes),
            _ => false,
        }
    }

    pub(super) fn header_at(&self, offset: u64) -> Result<Option<FrameHeader>, ReadError> {
        let at = Position { segment: self.number, offset };
        let mut bytes = vec![0; BLOCK];
        self.read(&mut bytes, offset)?;
        if is_zero(&bytes) {
            return Ok(None);
        }
        FrameHeader::parse(&bytes, at).map(Some).map_err(|bad| ReadError::Bad { position: at, bad })
    }

    /// The first byte that is not zero from `from` on.
    pub(super) fn first_nonzero(&self, from: u64) -> Result<Option<u64>, ReadError> {
        self.scan(from, |chunk, offset| {
            if is_zero(chunk) {
                return None;
            }
            chunk.iter().position(|byte| *byte != 0).map(|at| offset + at as u64)
        })
    }

    fn find_header(&self, from: u64) -> Result<Option<u64>, ReadError> {
        self.scan(from, |chunk, offset| {
            let mut places = chunk.chunks(BLOCK).zip((offset..).step_by(BLOCK));
            places
                .find(|(block, offset)| {
                    FrameHeader::parse(block, Position { segment: self.number, offset: *offset }).is_ok()
                })
                .map(|(_, offset)| offset)
        })
    }

    fn scan<T>(
        &self,
        from: u64,
        mut look: impl FnMut(&[u8], u64) -> Option<T>,
    ) -> Result<Option<T>, ReadError> {
        let most = SCAN_BYTES.min(self.len.saturating_sub(from));
        let mut buffer = vec![0; usize::try_from(most).unwrap_or(BLOCK)];
        let mut offset = from;
        while offset < self.len {
            let rest = usize::try_from(self.len - offset).unwrap_or(usize::MAX);
            buffer.truncate(rest);
            self.read(&mut buffer, offset)?;
            if let Some(found) = look(&buffer, offset) {
                return Ok(Some(found));
            }
            offset += buffer.len() as u64;
        }
        Ok(None)
    }
}

/// Whether one of a frame's sectors is all zeros, where a frame has other bytes. The last one may hold nothing
/// but the end of the checksum, which is zeros by itself now and then: it counts as lost only if the rest of the
/// checksum fits the body.
fn lacks_a_sector(frame: &[u8]) -> bool {
    let last_len = match frame.len() % SECTOR {
        0 => SECTOR,
        len => len,
    };
    let (before, last) = frame.split_at_checked(frame.len().saturating_sub(last_len)).unwrap_or((frame, &[]));
    if before.chunks(SECTOR).any(is_zero) || last_len >= CRC_BYTES {
        return frame.chunks(SECTOR).any(is_zero);
    }
    let (covered, crc) =
        frame.split_at_checked(frame.len().saturating_sub(CRC_BYTES)).unwrap_or((frame, &[]));
    let expected = crc32c::crc32c(covered.get(HEADER_BYTES..).unwrap_or_default()).to_be_bytes();
    is_zero(last)
        && expected.iter().zip(crc).take(CRC_BYTES - last_len).all(|(wanted, found)| wanted == found)
}

pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Words first: this looks at whole segments.
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_be_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
