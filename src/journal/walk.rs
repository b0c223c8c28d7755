//! One walk over the frames, used by recovery, audit and fsck alike.

use super::Position;
use super::errors::{BadFrame, FrameFault, ReadError};
use super::frame::FrameHash;
use super::parse::FrameView;
use super::segment::{Found, Segment, Segments};

/// What the next frame must continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) hash: FrameHash,
    pub(super) next_index: u64,
    pub(super) epoch: u64,
}

impl Link {
    /// What the very first frame continues.
    pub(super) const BEGINNING: Self = Self { hash: [0; 32], next_index: 0, epoch: 0 };

    pub(super) fn after(view: &FrameView) -> Self {
        let header = view.header();
        Self { hash: view.hash(), next_index: header.next_index(), epoch: header.epoch }
    }

    /// What keeps the frame from continuing this.
    pub(super) fn refuses(&self, view: &FrameView) -> Option<BadFrame> {
        let header = view.header();
        let bad = |at, fault| Some(BadFrame { at, fault });
        if header.previous != self.hash {
            return bad(52, FrameFault::Chain);
        }
        if header.first_index != self.next_index {
            let (expected, found) = (self.next_index, header.first_index);
            return bad(32, FrameFault::Index { expected, found });
        }
        if header.epoch < self.epoch {
            return bad(24, FrameFault::Epoch { previous: self.epoch, found: header.epoch });
        }
        None
    }
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Step {
    Frame(Position, Box<FrameView>),
    /// Something that is neither a frame nor the zeros behind the last one. `torn`: the last write can have
    /// left it. The walk ends here.
    Bad {
        position: Position,
        bad: BadFrame,
        torn: bool,
    },
    /// All frames were seen, all else is zeros.
    End,
}

#[derive(Debug)]
pub(super) struct Walk<'a> {
    pub(super) segments: Segments<'a>,
    /// Where the next frame is looked for.
    at: Position,
    open: Option<Segment>,
    /// `None`: the first frame is taken as it comes.
    pub(super) link: Option<Link>,
    /// Where to stop without looking, if the caller knows.
    pub(super) until: Option<Position>,
    /// There is nothing more to come.
    ended: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(segments: Segments<'a>, at: Position, link: Option<Link>) -> Self {
        Self { segments, at, open: None, link, until: None, ended: false }
    }

    pub(super) fn step(&mut self) -> Result<Step, ReadError> {
        loop {
            if self.ended || self.until == Some(self.at) {
                return Ok(Step::End);
            }
            let segment = self.segment()?;
            if self.at.offset >= segment.len {
                self.next_segment();
                continue;
            }
            match segment.found_at(self.at.offset)? {
                Found::Frame(view) => return Ok(self.frame(view)),
                Found::Bad { bad, torn } => return Ok(self.bad(self.at, bad, torn)),
                Found::Empty => {
                    if let Some(step) = self.empty(&segment)? {
                        return Ok(step);
                    }
                }
            }
        }
    }

    fn frame(&mut self, view: Box<FrameView>) -> Step {
        let position = self.at;
        if let Some(bad) = self.link.and_then(|link| link.refuses(&view)) {
            return self.bad(position, bad, false);
        }
        self.link = Some(Link::after(&view));
        self.at = view.end();
        Step::Frame(position, view)
    }

    fn bad(&mut self, position: Position, bad: BadFrame, torn: bool) -> Step {
        self.ended = true;
        Step::Bad { position, bad, torn }
    }

    /// Zeros: the rest of the segment must be, and if it holds nothing at all, all later segments too.
    fn empty(&mut self, segment: &Segment) -> Result<Option<Step>, ReadError> {
        let not_zero = |at: Position| BadFrame { at: 0, fault: FrameFault::NotZero(at) };
        if let Some(offset) = segment.first_nonzero(self.at.offset)? {
            // The frame's first sector is zeros, so a torn write is possible.
            let at = Position { segment: segment.number, offset };
            return Ok(Some(self.bad(self.at, not_zero(at), true)));
        }
        if self.at.offset == 0 {
            let later = self.segments.first_nonzero(segment.number + 1)?;
            if let Some(at) = later {
                // Writers do not pass over an empty segment.
                return Ok(Some(self.bad(self.at, not_zero(at), false)));
            }
            self.ended = true;
            return Ok(Some(Step::End));
        }
        self.next_segment();
        Ok(None)
    }

    fn next_segment(&mut self) {
        if self.at.segment >= self.segments.last {
            self.ended = true;
            return;
        }
        self.at = Position { segment: self.at.segment + 1, offset: 0 };
    }

    fn segment(&mut self) -> Result<Segment, ReadError> {
        match &self.open {
            Some(open) if open.number == self.at.segment => Ok(open.clone()),
            _ => {
                if !(self.segments.first..=self.segments.last).contains(&self.at.segment) {
                    return Err(ReadError::NotThere(self.at));
                }
                Ok(self.open.insert(self.segments.open(self.at.segment)?).clone())
            }
        }
    }
}
