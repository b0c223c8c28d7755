//! Reading frames back: all of them from somewhere on, one at a place, or the one that holds an index.

use std::fmt;
use std::iter::FusedIterator;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::Disk;

use super::errors::ReadError;
use super::frame::{FRAME_ALIGNMENT, SealedPayload};
use super::parse::FrameView;
use super::segment::{Found, Segment, Segments};
use super::walk::{Step, Walk};
use super::{PayloadLocator, Position};

/// All frames from `from` on (where a frame begins, or the last one ends), each verified and chained to the one
/// before it; the first is chained to nothing. The iteration ends at the first thing that is not a
/// frame: cleanly where only zeros follow, with one error otherwise. On a
/// journal that is being written, set [`Frames::until`].
///
/// # Errors
/// If segments are missing or strange, or `from` is not a place in them.
pub fn frames_from<'a>(disk: &'a dyn Disk, dir: &'a Path, from: Position) -> Result<Frames<'a>, ReadError> {
    let segments = Segments::list(disk, dir)?;
    check_place(from)?;
    Ok(Frames { walk: Some(Walk::new(segments, from, None)) })
}

/// The iterator of [`frames_from`].
#[derive(Debug)]
pub struct Frames<'a> {
    walk: Option<Walk<'a>>,
}

impl Frames<'_> {
    /// Ends where acknowledged frames end ([`super::Head::end`]), whatever is being written behind.
    #[must_use]
    pub fn until(mut self, end: Position) -> Self {
        if let Some(walk) = &mut self.walk {
            walk.until = Some(end);
        }
        self
    }
}

impl Iterator for Frames<'_> {
    type Item = Result<(Position, FrameView), ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.walk.as_mut()?.step();
        if let Ok(Step::Frame(position, view)) = step {
            return Some(Ok((position, *view)));
        }
        self.walk = None;
        match step {
            Ok(Step::Bad { position, bad, .. }) => Some(Err(ReadError::Bad { position, bad })),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl FusedIterator for Frames<'_> {}

/// The frame that begins at `at`, checksums verified; its chain is not.
///
/// # Errors
/// [`ReadError::NotThere`] where nothing was written or no frame can begin; [`ReadError::Bad`] for anything
/// but that very frame.
pub fn read_frame_at(disk: &dyn Disk, dir: &Path, at: Position) -> Result<FrameView, ReadError> {
    check_place(at)?;
    let segment = Segment::open(disk, dir, at.segment)?;
    if at.offset >= segment.len {
        return Err(ReadError::NotThere(at));
    }
    match segment.found_at(at.offset)? {
        Found::Frame(view) => Ok(*view),
        Found::Empty => Err(ReadError::NotThere(at)),
        Found::Bad { bad, .. } => Err(ReadError::Bad { position: at, bad }),
    }
}

/// The parts of the frame that begins at `at`, whose body is not what its checksum says: to find out which of them was
/// changed. Nothing in it is to be believed. `None` where its parts cannot be told apart.
#[must_use]
pub fn damaged_frame_at(disk: &dyn Disk, dir: &Path, at: Position) -> Option<FrameView> {
    check_place(at).ok()?;
    Segment::open(disk, dir, at.segment).ok()?.damaged_at(at.offset)
}

fn check_place(at: Position) -> Result<(), ReadError> {
    if at.offset.is_multiple_of(FRAME_ALIGNMENT) { Ok(()) } else { Err(ReadError::NotThere(at)) }
}

/// Reads a journal from any thread, beside its writer. Ask only for what was acknowledged: what is being
/// written may look damaged.
#[derive(Clone)]
pub struct SegmentReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

impl SegmentReader {
    /// A reader of the journal in `dir`. Nothing is opened yet.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, dir: &Path) -> Self {
        Self { disk, dir: dir.to_path_buf() }
    }

    /// As [`read_frame_at`].
    ///
    /// # Errors
    /// As there.
    pub fn frame_at(&self, at: Position) -> Result<FrameView, ReadError> {
        read_frame_at(&*self.disk, &self.dir, at)
    }

    /// As [`frames_from`].
    ///
    /// # Errors
    /// As there.
    pub fn frames_from(&self, from: Position) -> Result<Frames<'_>, ReadError> {
        frames_from(&*self.disk, &self.dir, from)
    }

    /// One sealed payload; the whole frame is read and verified for it.
    ///
    /// # Errors
    /// As for [`read_frame_at`], and [`ReadError::NoSuchPayload`].
    pub fn payload(&self, locator: &PayloadLocator) -> Result<SealedPayload, ReadError> {
        let view = self.frame_at(locator.frame)?;
        let payload = view.payload(locator.payload as usize).map(super::PayloadView::to_sealed);
        payload.ok_or(ReadError::NoSuchPayload { frame: locator.frame, payload: locator.payload })
    }

    /// Where the frame begins that holds the entry of this index; `None` if no frame before `end` does (yet, or
    /// any more). `end` is where acknowledged frames end ([`super::Head::end`]).
    /// Looks at one header per segment asked, then at the headers of one segment: they are believed by
    /// their checksum; the frame itself is verified when it is read.
    ///
    /// # Errors
    /// If a header on the way is damaged or cannot be read.
    pub fn find(&self, index: u64, end: Position) -> Result<Option<Position>, ReadError> {
        let segments = Segments::list(&*self.disk, &self.dir)?;
        // Binary search for the last segment whose first frame begins at or before the index. Segments that hold
        // nothing yet lie behind every index.
        let behind = end.segment.saturating_add(u64::from(end.offset > 0));
        let (mut low, mut high) = (segments.first, segments.last.saturating_add(1).min(behind));
        while low < high {
            let middle = low + (high - low) / 2;
            let first = segments.open(middle)?.header_at(0)?;
            if first.is_some_and(|header| header.first_index <= index) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        if low <= segments.first {
            return Ok(None);
        }
        let segment = segments.open(low - 1)?;
        let mut offset = 0;
        while offset < segment.len && (Position { segment: segment.number, offset }) < end {
            let Some(header) = segment.header_at(offset)? else { break };
            if header.first_index > index {
                break;
            }
            if index < header.next_index() {
                return Ok(Some(Position { segment: segment.number, offset }));
            }
            offset += header.padded_len().unwrap_or(usize::MAX) as u64;
        }
        Ok(None)
    }
}

impl fmt::Debug for SegmentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentReader").field("dir", &self.dir).finish_non_exhaustive()
    }
}
