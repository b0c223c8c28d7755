//! Every byte of every segment accounted for.

use std::path::Path;

use crate::disk::{Disk, TEMPORARY_SUFFIX};

use super::Position;
use super::errors::{BadFrame, ReadError};
use super::frame::FrameHash;
use super::parse::FrameView;
use super::segment::{Segments, segment_file_name};
use super::walk::{Link, Step, Walk};

/// What [`verify`] found. The journal is sound if `problems` and `strange_files` are empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// The lowest segment's number; above 0 if earlier ones were retired.
    pub first_segment: u64,
    /// The highest segment's number, prepared ones included.
    pub last_segment: u64,
    /// Frames, markers included.
    pub frames: u64,
    /// Frames without entries.
    pub markers: u64,
    /// Entries in all frames.
    pub entries: u64,
    /// Payloads in all frames.
    pub payloads: u64,
    /// Index of the first entry, if there is a frame.
    pub first_index: Option<u64>,
    /// Index that the next entry will have.
    pub next_index: u64,
    /// The last frame's hash; zeros if there is none.
    pub last_frame_hash: FrameHash,
    /// Bytes in all segments.
    pub total_bytes: u64,
    /// Of these, bytes of frames, checked by checksum and chain.
    pub frame_bytes: u64,
    /// Of these, padding behind frames, all zeros.
    pub padding_bytes: u64,
    /// Of these, zeros behind the last frame of a segment.
    pub zero_bytes: u64,
    /// Of these, bytes that are none of it.
    pub unaccounted_bytes: u64,
    /// What is wrong, in order.
    pub problems: Vec<Problem>,
    /// Files that are neither segments nor unfinished ones.
    pub strange_files: Vec<String>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// Where the bad frame begins.
    pub position: Position,
    /// What is wrong with it.
    pub bad: BadFrame,
    /// Where the next sound header stands; verification went on there.
    pub followed_by: Option<Position>,
    /// A crash in the middle of the last write can have left it, and recovery would cut it off.
    pub torn_tail: bool,
}

/// Reads all segments and accounts for every byte: frames (checksums, chain, indexes, epochs), padding,
/// zeros. Goes on behind damage at the next sound header. Reads only; run it on a journal nobody writes to.
///
/// # Errors
/// If files cannot be read, are missing, or have a length no segment has.
pub fn verify(disk: &dyn Disk, dir: &Path) -> Result<VerifyReport, ReadError> {
    let segments = Segments::list(disk, dir)?;
    let lengths = (segments.first..=segments.last)
        .map(|number| segments.open(number).map(|segment| segment.len))
        .collect::<Result<Vec<_>, _>>()?;
    let mut report = VerifyReport {
        first_segment: segments.first,
        last_segment: segments.last,
        total_bytes: lengths.iter().sum(),
        strange_files: strange_files(&segments)?,
        ..VerifyReport::default()
    };
    // Bytes before a position, counted from the first segment.
    let before = |at: Position| {
        let whole = usize::try_from(at.segment.saturating_sub(segments.first)).unwrap_or(usize::MAX);
        lengths.iter().take(whole).sum::<u64>() + at.offset
    };
    let mut at = Position { segment: segments.first, offset: 0 };
    let link = (segments.first == 0).then_some(Link::BEGINNING);
    let mut walk = Walk::new(segments, at, link);
    loop {
        match walk.step()? {
            Step::Frame(position, view) => {
                report.zero_bytes += before(position).saturating_sub(before(at));
                report.count(&view);
                at = view.end();
            }
            Step::Bad { position, bad, torn } => {
                report.zero_bytes += before(position).saturating_sub(before(at));
                let followed_by = segments.header_behind(position)?;
                let beyond = segments.first_nonzero(position.segment.saturating_add(1))?;
                let torn_tail = torn && followed_by.is_none() && beyond.is_none();
                report.problems.push(Problem { position, bad, followed_by, torn_tail });
                let Some(next) = followed_by else { break };
                at = next;
                walk = Walk::new(segments, at, None);
            }
            Step::End => {
                report.zero_bytes += report.total_bytes.saturating_sub(before(at));
                break;
            }
        }
    }
    let accounted = report.frame_bytes + report.padding_bytes + report.zero_bytes;
    report.unaccounted_bytes = report.total_bytes.saturating_sub(accounted);
    Ok(report)
}

impl VerifyReport {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems.is_empty() && self.strange_files.is_empty() && self.unaccounted_bytes == 0
    }

    fn count(&mut self, view: &FrameView) {
        let header = view.header();
        let unpadded = header.unpadded_len() as u64;
        self.frames += 1;
        self.markers += u64::from(view.is_marker());
        self.entries += u64::from(header.entries);
        self.payloads += u64::from(header.payloads);
        self.first_index.get_or_insert(header.first_index);
        self.next_index = header.next_index();
        self.last_frame_hash = view.hash();
        self.frame_bytes += unpadded;
        self.padding_bytes += view.as_bytes().len() as u64 - unpadded;
    }
}

fn strange_files(segments: &Segments<'_>) -> Result<Vec<String>, ReadError> {
    let names = segments
        .disk
        .read_dir(segments.dir)
        .map_err(|source| ReadError::Disk { what: segments.dir.display().to_string(), source })?;
    let known = |name: &String| {
        name.ends_with(TEMPORARY_SUFFIX)
            || (segments.first..=segments.last).any(|number| segment_file_name(number) == **name)
    };
    Ok(names.into_iter().filter(|name| !known(name)).collect())
}
