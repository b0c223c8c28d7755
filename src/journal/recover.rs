//! What the journal's bytes establish after a crash.

use std::path::Path;

use crate::disk::Disk;

use super::Position;
use super::errors::{BadFrame, ReadError, RecoverError};
use super::frame::FrameHash;
use super::parse::FrameView;
use super::read::read_frame_at;
use super::segment::Segments;
use super::tag::FrameKey;
use super::walk::{Link, Step, Walk};

/// Why a caller's visitor refuses a frame.
pub type VisitError = Box<dyn std::error::Error + Send + Sync>;

/// Where recovery begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// At index 0, which must still be there.
    Beginning,
    /// Behind a frame that a snapshot covers. It is read again, so that a journal older than its snapshot shows.
    After {
        /// Where that frame begins.
        frame: Position,
        /// Its hash.
        hash: FrameHash,
    },
}

/// A tail that was not counted: what an unacknowledged write left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TruncatedTail {
    /// Where it begins.
    pub position: Position,
    /// Why it is not a frame.
    pub why: BadFrame,
}

/// What recovery found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// Where the last frame ends; of an empty journal the beginning of its first segment.
    pub end: Position,
    /// Where the last frame begins, if there is one.
    pub last_frame: Option<Position>,
    /// Its hash; zeros if there is none.
    pub last_frame_hash: FrameHash,
    /// How many entries the journal holds: the next one's index.
    pub next_index: u64,
    /// The last frame's epoch; 0 if there is none. A new writer takes the next.
    pub last_epoch: u64,
    /// How many frames were visited.
    pub frames: u64,
    /// What was left behind, if anything.
    pub truncated: Option<TruncatedTail>,
}

/// Verifies all frames from `resume` on, each one's tag under `key` included, and hands them to `visit` in order.
/// Changes nothing on disk. A frame without the tag is never a torn tail: it is refused ([`RecoverError::NotTagged`]).
///
/// # When a bad frame is only a torn tail
/// A frame is written with one write and acknowledged after one sync, and nothing is written behind an
/// unacknowledged one. So a bad frame is left out, and reported, if and only if
/// 1. no valid frame header follows at any aligned place of its segment or of later ones (one would prove that
///    the bad frame was acknowledged), and all later segments are zeros;
/// 2. a write cut short between two sectors can have left it: the space was zeros before, so a sector that should
///    hold bytes is all zeros. Bytes that are wrong in any other way were right once;
/// 3. what remains is at least `known_size`, the largest signed head known from elsewhere.
///
/// Otherwise recovery refuses. What this leaves open, until the marker frame that follows within 100 ms when
/// idle or the next frame under load: if whole sectors of the *last* acknowledged frame turn to
/// zeros, that looks like a torn write; then only `known_size` tells. On a disk that tears within sectors,
/// a torn tail may be refused as damage; nothing is lost by that but an operator's time.
///
/// # Errors
/// [`RecoverError`]; the journal is then as it was.
pub fn recover(
    disk: &dyn Disk,
    dir: &Path,
    key: &FrameKey,
    resume: &Resume,
    known_size: u64,
    visit: &mut dyn FnMut(Position, &FrameView) -> Result<(), VisitError>,
) -> Result<Recovered, RecoverError> {
    let segments = Segments::list(disk, dir)?;
    let (mut walk, mut state) = begin(segments, resume)?;
    loop {
        match walk.step()? {
            Step::Frame(position, view) => {
                if !view.is_tagged_by(key) {
                    return Err(RecoverError::NotTagged { position });
                }
                visit(position, &view).map_err(|source| RecoverError::Visitor { position, source })?;
                state.last_frame = Some(position);
                state.last_frame_hash = view.hash();
                state.next_index = view.header().next_index();
                state.last_epoch = view.header().epoch;
                state.end = view.end();
                state.frames += 1;
            }
            Step::Bad { position, bad, torn } => {
                let followed_by = proof_of_acknowledgement(&segments, position)?;
                if followed_by.is_some() || !torn {
                    return Err(RecoverError::Corrupt { position, bad, followed_by });
                }
                state.truncated = Some(TruncatedTail { position, why: bad });
                break;
            }
            Step::End => break,
        }
    }
    if known_size > state.next_index {
        return Err(RecoverError::HeadAhead { known: known_size, held: state.next_index });
    }
    Ok(state)
}

/// Where the walk begins, and what is known there.
fn begin<'a>(segments: Segments<'a>, resume: &Resume) -> Result<(Walk<'a>, Recovered), RecoverError> {
    let (at, last_frame, link) = match resume {
        Resume::Beginning => {
            if segments.first != 0 {
                return Err(RecoverError::BeginningMissing { first: segments.first });
            }
            (Position { segment: 0, offset: 0 }, None, Link::BEGINNING)
        }
        Resume::After { frame, hash } => {
            let view = read_frame_at(segments.disk, segments.dir, *frame)?;
            if view.hash() != *hash {
                let (position, expected, found) = (*frame, *hash, view.hash());
                return Err(RecoverError::ResumeMismatch { position, expected, found });
            }
            (view.end(), Some(*frame), Link::after(&view))
        }
    };
    let state = Recovered {
        end: at,
        last_frame,
        last_frame_hash: link.hash,
        next_index: link.next_index,
        last_epoch: link.epoch,
        frames: 0,
        truncated: None,
    };
    Ok((Walk::new(segments, at, Some(link)), state))
}

/// What proves that a bad frame was acknowledged: a header behind it, or anything at all in a later segment,
/// which a single torn write cannot have reached.
fn proof_of_acknowledgement(segments: &Segments<'_>, bad: Position) -> Result<Option<Position>, ReadError> {
    match segments.header_behind(bad)? {
        Some(header) => Ok(Some(header)),
        None => segments.first_nonzero(bad.segment.saturating_add(1)),
    }
}
