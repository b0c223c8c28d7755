//! One simulated file: what reads show, what the disk holds, and what lies between.

use std::collections::BTreeSet;
use std::ops::Range;

use super::plan::Survival;

pub(super) const PAGE: usize = 4096;
pub(super) const SECTOR: usize = 512;

/// The part of a file that a decision about survival is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Length,
    Page(usize),
}

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    /// What reads show.
    cached: Vec<u8>,
    /// What is on the disk.
    durable: Vec<u8>,
    /// Pages of `cached` that the next sync writes. A page that differs from the disk and is not in here is
    /// the victim of a failed sync.
    dirty: BTreeSet<usize>,
    /// The lowest length since the last sync, if the file was cut: what lay beyond must not come back.
    cut_to: Option<usize>,
    length_dirty: bool,
}

impl Inode {
    /// A file whose bytes are on the disk already.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        Self { cached: bytes.to_vec(), durable: bytes.to_vec(), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(super) fn shown(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn on_disk(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn read(&self, range: Range<usize>) -> Option<&[u8]> {
        self.cached.get(range)
    }

    pub(super) fn write(&mut self, bytes: &[u8], offset: usize) {
        if bytes.is_empty() {
            return;
        }
        let end = offset.saturating_add(bytes.len());
        if end > self.cached.len() {
            set_len(&mut self.cached, end);
            self.length_dirty = true;
        }
        if let Some(target) = self.cached.get_mut(offset..end) {
            target.copy_from_slice(bytes);
        }
        self.dirty.extend(offset / PAGE..end.div_ceil(PAGE));
    }

    pub(super) fn set_len(&mut self, len: usize) {
        if len == self.cached.len() {
            return;
        }
        if len < self.cached.len() {
            self.cut_to = Some(self.cut_to.map_or(len, |lowest| lowest.min(len)));
            self.dirty.retain(|page| page * PAGE < len);
        }
        set_len(&mut self.cached, len);
        self.length_dirty = true;
    }

    /// A sync that worked.
    pub(super) fn sync(&mut self) {
        self.settle(&mut |_| Survival::Kept);
    }

    /// Whatever part survives, by `decide`, is on the disk now; the rest is clean and lost. Reads go on showing
    /// all of it.
    pub(super) fn settle(&mut self, decide: &mut dyn FnMut(Part) -> Survival) {
        let mut len = self.durable.len();
        if self.length_dirty {
            let survival = decide(Part::Length);
            if survival != Survival::Lost {
                if let Some(cut) = self.cut_to {
                    self.durable.truncate(cut);
                    len = len.min(cut);
                }
                len = match survival {
                    Survival::Sectors(sectors) if self.cached.len() > len => {
                        let pages = (self.cached.len() - len) / PAGE;
                        len + pages * usize::from(sectors) / 256 * PAGE
                    }
                    _ => self.cached.len(),
                };
            }
        }
        for page in std::mem::take(&mut self.dirty) {
            let sectors = match decide(Part::Page(page)) {
                Survival::Kept => 0xff,
                Survival::Lost => 0,
                Survival::Sectors(sectors) => sectors,
            };
            self.keep_sectors(page, sectors);
        }
        set_len(&mut self.durable, len);
        self.cut_to = None;
        self.length_dirty = false;
    }

    fn keep_sectors(&mut self, page: usize, sectors: u8) {
        for sector in (0..PAGE / SECTOR).filter(|bit| sectors & (1 << bit) != 0) {
            let start = page * PAGE + sector * SECTOR;
            let end = (start + SECTOR).min(self.cached.len());
            let Some(bytes) = self.cached.get(start..end) else { continue };
            if self.durable.len() < end {
                set_len(&mut self.durable, end);
            }
            if let Some(target) = self.durable.get_mut(start..end) {
                target.copy_from_slice(bytes);
            }
        }
    }

    /// Power is gone: reads show the disk again.
    pub(super) fn forget_cache(&mut self) {
        self.cached.clone_from(&self.durable);
        self.dirty.clear();
        self.cut_to = None;
        self.length_dirty = false;
    }

    /// The system drops clean pages from its cache and reads them from the disk again: what a failed sync lost
    /// shows now. The length stays.
    pub(super) fn evict_clean(&mut self) {
        // While a cut is not durable, what lies beyond it is a hole, whatever the disk still holds.
        let readable = self.durable.len().min(self.cut_to.unwrap_or(usize::MAX));
        for (page, shown) in self.cached.chunks_mut(PAGE).enumerate() {
            if self.dirty.contains(&page) {
                continue;
            }
            let start = (page * PAGE).min(readable);
            let end = (page * PAGE + shown.len()).min(readable);
            let held = self.durable.get(start..end).unwrap_or_default();
            let (from_disk, hole) = shown.split_at_mut(held.len());
            from_disk.copy_from_slice(held);
            hole.fill(0);
        }
    }

    pub(super) fn volatile_parts(&self) -> Vec<Part> {
        let length = self.length_dirty.then_some(Part::Length);
        length.into_iter().chain(self.dirty.iter().map(|page| Part::Page(*page))).collect()
    }

    /// Turns one bit over, in memory and on the disk. False if the file has no such byte.
    pub(super) fn flip_bit(&mut self, at: usize, bit: u8) -> bool {
        let mask = 1_u8 << (bit % 8);
        let mut found = false;
        for bytes in [&mut self.cached, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= mask;
                found = true;
            }
        }
        found
    }
}

/// As `resize`, which fills byte by byte when it is not optimised: thousands of test runs notice.
fn set_len(bytes: &mut Vec<u8>, len: usize) {
    match len.checked_sub(bytes.len()) {
        Some(more) => bytes.extend_from_slice(&vec![0; more]),
        None => bytes.truncate(len),
    }
}
