//! Recovery's fold: frames become state and tree again, by the rules that made them; and the index catches up.

use std::sync::Arc;

use super::index::{Index, IntentKey, RUN_ROWS, Row, key_of};
use super::keyring::{Ciphertext, Keyring};
use super::layout::Layout;
use super::log_key::own_checkpoint;
use super::open_error::OpenError;
use super::payload::Payload;
use super::state::{FoldKey, Sealed, State};
use super::tiles::{Tiles, WAITING_BUNDLES_MAX};
use crate::disk::Disk;
use crate::journal::{FrameView, Position, SegmentReader, VisitError};
use crate::note::VerifierKey;
use crate::record::entry::Entry;

/// The fold over recovered frames.
pub(super) struct Replay<'a> {
    pub(super) state: State,
    pub(super) tiles: Tiles,
    pub(super) keyring: &'a Keyring,
    pub(super) fold_key: FoldKey,
    pub(super) key: &'a VerifierKey,
    /// Bytes of the frames so far.
    pub(super) bytes: u64,
}

impl Replay<'_> {
    pub(super) fn frame(&mut self, frame: &FrameView) -> Result<(), VisitError> {
        self.check_checkpoint(frame)?;
        self.bytes += frame.as_bytes().len() as u64;
        let mut entries: Vec<Arc<[u8]>> = Vec::with_capacity(frame.entries().len());
        for (number, bytes) in (0u32..).zip(frame.entries()) {
            let entry = Entry::parse(bytes)?;
            if let Entry::Unknown { kind, version } = &entry {
                // It may be a kill switch or a revocation: deciding on without it would not be the fold.
                return Err(format!(
                    "an entry of type \"{kind}\" version {version}: a newer foreseal wrote it"
                )
                .into());
            }
            let payload = match entry.id().filter(|_| self.state.reads_payload_of(&entry)) {
                Some(id) => self.payload(frame, number, id.as_bytes())?,
                None => None,
            };
            let sealed = payload.as_ref().map_or(Sealed::Nothing, Sealed::Payload);
            self.state.apply(&entry, &sealed, &self.fold_key)?;
            entries.push(bytes.into());
        }
        if self.tiles.append(&entries)? > WAITING_BUNDLES_MAX {
            self.tiles.write_behind()?;
        }
        Ok(())
    }

    /// The checkpoint in a frame is the last one signed before it: it must be of the log as it was then.
    fn check_checkpoint(&self, frame: &FrameView) -> Result<(), VisitError> {
        let note = std::str::from_utf8(frame.checkpoint())?;
        let checkpoint = own_checkpoint(note, self.key)?;
        if checkpoint.size != self.tiles.size() || checkpoint.root != self.tiles.root() {
            return Err(format!(
                "its checkpoint, of size {}, is not of the entries before it",
                checkpoint.size
            )
            .into());
        }
        Ok(())
    }

    fn payload(&self, frame: &FrameView, number: u32, id: &[u8; 16]) -> Result<Option<Payload>, VisitError> {
        let Some(payload) = frame.payloads().find(|payload| payload.entry == number) else { return Ok(None) };
        Ok(Some(self.keyring.open_payload(&Ciphertext::of(&payload), id)?))
    }
}

/// Indexes the durable leaves that the index does not have yet.
pub(super) fn catch_up(
    disk: &Arc<dyn Disk>,
    layout: &Layout,
    index: &Index,
    size: u64,
    end: Position,
) -> Result<u64, OpenError> {
    let from = index.indexed_to()?;
    if from == size {
        return Ok(0);
    }
    let damaged = |what: String| OpenError::Damaged(what);
    let reader = SegmentReader::new(Arc::clone(disk), &layout.journal());
    let first = reader.find(from, end).map_err(|e| damaged(e.to_string()))?;
    let first = first.ok_or_else(|| damaged(format!("leaf {from} is in no frame of the journal")))?;
    let mut rows = Vec::new();
    let mut count = 0;
    for frame in reader.frames_from(first).map_err(|e| damaged(e.to_string()))?.until(end) {
        let (position, frame) = frame.map_err(|e| damaged(e.to_string()))?;
        rows.extend(rows_of(position, &frame).filter(|(_, row)| row.index >= from));
        if rows.len() >= RUN_ROWS {
            count += rows.len() as u64;
            index.insert(&rows, frame.header().next_index())?;
            rows.clear();
        }
    }
    count += rows.len() as u64;
    index.insert(&rows, size)?;
    Ok(count)
}

/// The index rows of a frame's entries.
pub(super) fn rows_of(position: Position, frame: &FrameView) -> impl Iterator<Item = (IntentKey, Row)> {
    let entries = (frame.header().first_index..).zip(frame.entries());
    entries.filter_map(move |(index, bytes)| {
        let key = key_of(&Entry::parse(bytes).ok()?)?;
        Some((key, Row { index, frame: Some(position) }))
    })
}
