//! Handing out evidence: what a bundle needs of the ledger, read and proven; the key that signs it; and the two entries
//! that say so.

use std::num::NonZeroU8;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::admin::{Admin, Change};
use super::error::LedgerError;
use super::find::{Kept, ciphertext_of};
use super::keyring::{KeyringError, random};
use super::payload::Payload;
use super::running::Ledger;
use super::sequencer::{Made, Sequencer};
use crate::disk::{FileMode, read_file, write_file_atomically};
use crate::evidence::bundle::{BundleSigner, ProvenLeaf, Scope};
use crate::journal::{Position, SegmentReader};
use crate::merkle::{
    Hash, TILE_WIDTH, TileKind, TilePath, inclusion_proof, leaf_hash, parse_bundle, range_proof,
    verify_inclusion,
};
use crate::note::Checkpoint;
use crate::record::canonical::to_jcs;
use crate::record::entry::{ENTRY_VERSION, Entry, ExportEntry, ExportKind, KeyEntry, KeyKind, KeyPurpose};
use crate::record::field_tree::{FieldTree, Seed};
use crate::record::time::Timestamp;

/// Told a leaf's index and bytes.
pub type TakeLeaf<'a, E> = dyn FnMut(u64, &[u8]) -> Result<(), E> + 'a;

const KEY_FILE_MAX_BYTES: u64 = 64;

impl Sequencer {
    /// The entry of a hand-out, or of the key that signs it.
    pub(super) fn make_hand_out(
        &mut self,
        admin: &Admin,
        id: Uuid,
        at: Timestamp,
    ) -> Result<Made, LedgerError> {
        let by = admin.by.unwrap_or_default();
        let (scope, record) = match &admin.change {
            Change::AnnounceBundleKey { key } => {
                let (purpose, replaces) = (KeyPurpose::Bundle, self.state.chain.bundle_key());
                let entry = KeyEntry {
                    v: ENTRY_VERSION,
                    kind: KeyKind::It,
                    id,
                    at,
                    by,
                    purpose,
                    key: Hash(*key),
                    replaces,
                };
                return self.make(Entry::Key(entry), id, at, None, None);
            }
            Change::Export { scope, record } => (scope, record),
            _ => return Err(LedgerError::Damaged("what was to be sealed is no hand-out".to_owned())),
        };
        let too_large = |problem: String| LedgerError::TooLarge(problem);
        let seed = Seed::from_bytes(*random::<32>()?);
        let tree = FieldTree::of_document(record, &seed).map_err(|e| too_large(e.to_string()))?;
        let entry = ExportEntry {
            v: ENTRY_VERSION,
            kind: ExportKind::It,
            id,
            at,
            by,
            from: scope.from,
            to: scope.to,
            declared: tree.commitment(),
        };
        let payload = Payload {
            declared: to_jcs(record).map_err(|e| too_large(e.to_string()))?,
            evaluation: Vec::new(),
            declared_seed: seed,
            evaluation_seed: Seed::from_bytes([0; 32]),
            signature: None,
        };
        self.make(Entry::Export(entry), id, at, Some(&payload), None)
    }
}

impl Ledger {
    /// Reads the key that signs bundles; makes it if there is none yet. One caller at a time.
    ///
    /// # Errors
    /// [`LedgerError::Keyring`]
    pub fn bundle_signer(&self) -> Result<BundleSigner, LedgerError> {
        let path = self.layout().bundle_key();
        let file = || "bundle.key".to_owned();
        let io = |source| LedgerError::Keyring(KeyringError::Io { file: file(), source });
        let disk = &*self.shared.disk;
        if !disk.exists(&path).map_err(io)? {
            let seed = random::<32>()?;
            let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(STANDARD.encode(*seed))));
            write_file_atomically(disk, &path, text.as_bytes(), FileMode::Private).map_err(io)?;
        }
        let text = Zeroizing::new(read_file(disk, &path, KEY_FILE_MAX_BYTES).map_err(io)?);
        let mut seed = Zeroizing::new([0; 32]);
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        match STANDARD.decode(text).map(Zeroizing::new) {
            Ok(bytes) if bytes.len() == seed.len() => seed.copy_from_slice(&bytes),
            _ => return Err(LedgerError::Keyring(KeyringError::Damaged(file()))),
        }
        Ok(BundleSigner::from_seed(&seed))
    }

    /// Hands out the published leaves of a range in order, reading one entry bundle at a time.
    ///
    /// # Errors
    /// [`LedgerError::Read`], [`LedgerError::Damaged`], or what `take` answers.
    pub fn for_each_entry<E: From<LedgerError>>(
        &self,
        scope: Scope,
        take: &mut TakeLeaf<'_, E>,
    ) -> Result<(), E> {
        let width = u64::from(TILE_WIDTH);
        let size = self.published().size;
        for number in scope.from / width..scope.to.div_ceil(width) {
            let first = number * width;
            let there = u8::try_from((size - first).min(width)).ok().and_then(NonZeroU8::new);
            let path = TilePath { kind: TileKind::Entries, index: number, width: there };
            let damaged = |problem: String| LedgerError::Damaged(format!("{path}: {problem}"));
            let bytes = self.resource(&path)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
            let entries = parse_bundle(&bytes).map_err(|e| damaged(e.to_string()))?;
            for (index, entry) in (first..).zip(entries) {
                if (scope.from..scope.to).contains(&index) {
                    take(index, entry)?;
                }
            }
        }
        Ok(())
    }

    /// A published leaf that has a payload, with that payload.
    ///
    /// # Errors
    /// [`LedgerError`]: it cannot be read, opened, or does not fit.
    pub fn leaf_with_payload(&self, index: u64) -> Result<(Arc<[u8]>, Payload), LedgerError> {
        self.kept(index).map(|kept| (kept.bytes, kept.payload))
    }

    /// A published leaf that has a payload, read and opened.
    ///
    /// # Errors
    /// [`LedgerError`]: it cannot be read, opened, or does not fit.
    pub fn kept(&self, index: u64) -> Result<Kept, LedgerError> {
        let damaged = |what: String| LedgerError::Damaged(format!("leaf {index}: {what}"));
        let bytes = self.entry(index)?.ok_or_else(|| damaged("it is not published".to_owned()))?;
        let entry = Entry::parse(&bytes).map_err(|e| damaged(e.to_string()))?;
        let id = entry.id().filter(|_| entry.declared().is_some());
        let id = id.ok_or_else(|| damaged("it has no payload".to_owned()))?;
        let journal = SegmentReader::new(Arc::clone(&self.shared.disk), &self.layout().journal());
        // What lies behind the frame that holds a published leaf is not looked at.
        let end = Position { segment: u64::MAX, offset: 0 };
        let position = journal.find(index, end).map_err(|e| damaged(e.to_string()))?;
        let position = position.ok_or_else(|| damaged("it is in no frame of the journal".to_owned()))?;
        let frame = journal.frame_at(position).map_err(|e| damaged(e.to_string()))?;
        let ciphertext = ciphertext_of(&frame, index, &bytes).map_err(|e| damaged(e.to_owned()))?;
        let payload = self.shared.keyring.open_payload(&ciphertext, id.as_bytes())?;
        Ok(Kept { index, entry, bytes, payload, sealed_size: frame.header().next_index() })
    }

    /// A published leaf with its inclusion proof under a checkpoint, verified before it is given.
    ///
    /// # Errors
    /// [`LedgerError::Read`], [`LedgerError::Damaged`].
    pub fn proven_leaf(&self, index: u64, under: &Checkpoint) -> Result<ProvenLeaf, LedgerError> {
        let damaged = |what: String| LedgerError::Damaged(format!("leaf {index}: {what}"));
        let bytes = self.entry(index)?.ok_or_else(|| damaged("it is not published".to_owned()))?;
        let proof =
            inclusion_proof(&self.shared.tiles, index, under.size).map_err(|e| damaged(e.to_string()))?;
        verify_inclusion(&leaf_hash(&bytes), index, under.size, &proof, &under.root)
            .map_err(|e| damaged(format!("the tiles do not prove it: {e}")))?;
        let entry = String::from_utf8(bytes.to_vec()).map_err(|_| damaged("it is not text".to_owned()))?;
        Ok(ProvenLeaf { index, entry, proof, record: None })
    }

    /// The proof that a range of the published log is complete, under a checkpoint. Whoever streams the range verifies it.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`].
    pub fn range_proof(&self, scope: Scope, under: &Checkpoint) -> Result<Vec<Hash>, LedgerError> {
        range_proof(&self.shared.tiles, scope.from, scope.to, under.size)
            .map_err(|e| LedgerError::Damaged(e.to_string()))
    }
}
