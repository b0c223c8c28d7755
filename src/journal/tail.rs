//! The last segment, made anew before the first append.
//!
//! After a failed fsync the system's cache may show bytes that never reached the disk, and calls them clean:
//! syncing again does nothing. So what recovery read is written once more, to a file of its own.

use std::path::Path;

use crate::disk::Disk;

use super::Position;
use super::errors::{JournalError, RecoverError};
use super::prepare::{create_temporary, write_zeros};
use super::recover::Recovered;
use super::segment::{Found, Segment, Segments, segment_path};
use super::walk::Link;

/// Removes what lies behind the last frame's segment and cannot be used: a torn frame, or segments of another
/// size. From the highest down, each durably, so that no gap can ever be seen. Returns the lowest number that
/// is not there.
pub(super) fn discard_behind(
    segments: &Segments<'_>,
    recovered: &Recovered,
    segment_bytes: u64,
) -> Result<u64, JournalError> {
    let torn = recovered.truncated.map(|tail| tail.position.segment);
    let mut keep = recovered.end.segment.saturating_add(1);
    while keep <= segments.last && torn != Some(keep) {
        if segments.open(keep).map_err(RecoverError::Read)?.len != segment_bytes {
            break;
        }
        keep += 1;
    }
    for number in (keep..=segments.last).rev() {
        segments.disk.remove(&segment_path(segments.dir, number))?;
        segments.disk.sync_dir(segments.dir)?;
    }
    Ok(keep)
}

/// Copies the frames of the segment in which `recovered` ends into a fresh file of the same length, zeros
/// behind them, and puts it in the segment's place. The calls, in order:
/// ```text
/// unlink(N.seg.tmp)                    if a crash left one
/// openat(N.seg.tmp, O_CREAT|O_EXCL)
/// pwrite(frames), pwrite(zeros), fsync
/// read back, verify every frame and the last one's hash
/// rename(N.seg.tmp, N.seg)
/// fsync(directory)
/// ```
pub(super) fn rewrite(
    disk: &dyn Disk,
    dir: &Path,
    recovered: &Recovered,
    step_bytes: u64,
) -> Result<(), JournalError> {
    let end = recovered.end;
    let path = segment_path(dir, end.segment);
    let old = Segment::open(disk, dir, end.segment).map_err(RecoverError::Read)?;
    let (temporary, file) = create_temporary(disk, &path)?;
    let mut buffer = Vec::new();
    let mut offset = 0;
    while offset < end.offset {
        let step = usize::try_from(step_bytes.min(end.offset - offset)).unwrap_or(4096);
        buffer.resize(step, 0);
        old.read(&mut buffer, offset).map_err(RecoverError::Read)?;
        file.write_all_at(&buffer, offset)?;
        offset += step as u64;
    }
    write_zeros(&*file, end.offset, old.len, step_bytes, &mut || Ok(()))?;
    file.sync_all()?;
    let copy = Segment::open_file(disk, &temporary, end.segment).map_err(RecoverError::Read)?;
    verify_copy(&copy, recovered)?;
    disk.rename(&temporary, &path)?;
    disk.sync_dir(dir)?;
    Ok(())
}

/// The cache may have dropped a page since recovery looked: what was copied is verified, not what was seen.
fn verify_copy(copy: &Segment, recovered: &Recovered) -> Result<(), JournalError> {
    let mut offset = 0;
    let mut link: Option<Link> = None;
    while offset < recovered.end.offset {
        let position = Position { segment: copy.number, offset };
        let view = match copy.found_at(offset).map_err(RecoverError::Read)? {
            Found::Frame(view) => view,
            Found::Empty => return Err(JournalError::TailChanged { position }),
            Found::Bad { bad, .. } => {
                return Err(RecoverError::Corrupt { position, bad, followed_by: None }.into());
            }
        };
        if let Some(bad) = link.and_then(|link| link.refuses(&view)) {
            return Err(RecoverError::Corrupt { position, bad, followed_by: None }.into());
        }
        link = Some(Link::after(&view));
        offset = view.end().offset;
    }
    if offset != recovered.end.offset || link.is_some_and(|link| link.hash != recovered.last_frame_hash) {
        return Err(JournalError::TailChanged { position: recovered.end });
    }
    Ok(())
}
