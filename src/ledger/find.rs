//! Finding what was sealed, by its id: the index is a hint, checked against leaf and frame.

use std::sync::Arc;

use uuid::Uuid;

use super::error::LedgerError;
use super::index::{IntentKey, Row};
use super::keyring::Ciphertext;
use super::payload::Payload;
use super::running::Ledger;
use crate::journal::{FrameView, ReadError, SegmentReader};
use crate::record::entry::{Entry, IntentEntry, SessionEntry};
use crate::record::limits;

/// A sealed intent, read back and checked.
pub struct Found {
    /// Its leaf index.
    pub index: u64,
    /// Its leaf.
    pub entry: IntentEntry,
    /// The leaf's bytes.
    pub bytes: Arc<[u8]>,
    /// Its payload, decrypted.
    pub payload: Payload,
    /// The size of the checkpoint that its first receipt was under.
    pub sealed_size: u64,
}

/// A sealed entry that has a payload, read back and checked.
pub struct Kept {
    /// Its leaf index.
    pub index: u64,
    /// The entry.
    pub entry: Entry,
    /// The leaf's bytes.
    pub bytes: Arc<[u8]>,
    /// Its payload, decrypted.
    pub payload: Payload,
    /// The size of the checkpoint that its first receipt was under.
    pub sealed_size: u64,
}

impl Ledger {
    /// Finds an agent's intent by its id, once it is durable.
    ///
    /// # Errors
    /// [`LedgerError`]: what it needs cannot be read, opened, or does not fit.
    pub fn find(&self, id: Uuid, agent: u64) -> Result<Option<Found>, LedgerError> {
        let key = IntentKey { id, agent };
        let row = self.shared.index.get(&key).map_err(|e| LedgerError::Damaged(e.to_string()))?;
        row.map(|row| self.load(key, row)).transpose().map(Option::flatten)
    }

    /// Finds every agent's intent with this id.
    ///
    /// # Errors
    /// As [`Ledger::find`].
    pub fn find_all(&self, id: Uuid) -> Result<Vec<Found>, LedgerError> {
        let rows = self.shared.index.with_id(id, limits::PAGE_MAX_ITEMS);
        let rows = rows.map_err(|e| LedgerError::Damaged(e.to_string()))?;
        let registry = Arc::clone(&self.published().registry);
        // What an application said may have the same id.
        let rows = rows.into_iter().filter(|(key, _)| registry.agent(key.agent).is_some());
        rows.filter_map(|(key, row)| self.load(key, row).transpose()).collect()
    }

    /// The session that an application opened under this id, once it is durable: its leaf index and entry.
    ///
    /// # Errors
    /// As [`Ledger::find`].
    pub fn find_session(
        &self,
        id: Uuid,
        application: u64,
    ) -> Result<Option<(u64, SessionEntry)>, LedgerError> {
        let key = IntentKey { id, agent: application };
        let row = self.shared.index.get(&key).map_err(|e| LedgerError::Damaged(e.to_string()))?;
        let Some(row) = row else { return Ok(None) };
        let Some(bytes) = self.entry(row.index)? else { return Ok(None) };
        match Entry::parse(&bytes) {
            Ok(Entry::Session(entry)) if entry.id == id && entry.application == application => {
                Ok(Some((row.index, entry)))
            }
            // A turn may have that id.
            _ => Ok(None),
        }
    }

    /// Reads an intent back. The row is a hint: the leaf in the tree, and the frame, must say the same.
    fn load(&self, key: IntentKey, row: Row) -> Result<Option<Found>, LedgerError> {
        let (Some(position), true) = (row.frame, row.index < self.published().size) else {
            // Pending is not there yet; after a failed write nobody knows.
            return match self.shared.poisoned() {
                Some(reason) => Err(LedgerError::OutcomeUnknown(reason.to_owned())),
                None => Ok(None),
            };
        };
        let damaged =
            |what: &str| LedgerError::Damaged(format!("intent {} at leaf {}: {what}", key.id, row.index));
        let bytes = self.shared.tiles.entry(row.index)?.ok_or_else(|| damaged("the leaf is missing"))?;
        let Ok(Entry::Intent(entry)) = Entry::parse(&bytes) else {
            return Err(damaged("the leaf is no intent"));
        };
        if entry.id != key.id || entry.agent != key.agent {
            return Err(damaged("the leaf is another intent"));
        }
        let journal = SegmentReader::new(Arc::clone(&self.shared.disk), &self.shared.layout.journal());
        let frame = journal.frame_at(position).map_err(|e: ReadError| damaged(&e.to_string()))?;
        let ciphertext = ciphertext_of(&frame, row.index, &bytes).map_err(damaged)?;
        let payload = self.shared.keyring.open_payload(&ciphertext, entry.id.as_bytes())?;
        Ok(Some(Found { index: row.index, entry, bytes, payload, sealed_size: frame.header().next_index() }))
    }
}

pub(super) fn ciphertext_of(frame: &FrameView, index: u64, leaf: &[u8]) -> Result<Ciphertext, &'static str> {
    let number = index.checked_sub(frame.header().first_index).ok_or("its frame begins behind it")?;
    let entry = usize::try_from(number).ok().and_then(|number| frame.entry(number));
    if entry != Some(leaf) {
        return Err("its frame holds another entry in its place");
    }
    let payload = frame.payloads().find(|payload| u64::from(payload.entry) == number);
    let payload = payload.ok_or("its frame holds no payload for it")?;
    Ok(Ciphertext::of(&payload))
}
