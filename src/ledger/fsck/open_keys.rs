//! What the ledger's keys open: payloads against their commitments, the head, snapshots, and the index's rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::head;
#[cfg(feature = "server")]
use super::super::index::Index;
use super::super::keyring::{Ciphertext, Keyring};
use super::super::layout::Layout;
use super::super::log_key::{own_checkpoint, read_signer};
use super::super::payload::Payload;
use super::super::snapshot::{self, Snapshot};
use super::super::state::{FoldKey, Sealed, State};
use super::commitments::{check_payload, check_signature};
use crate::disk::Disk;
use crate::journal::{FrameKey, FrameView, Position};
use crate::merkle::{Frontier, Hash};
use crate::note::{Checkpoint, TrustPolicy};
use crate::record::chain::Chain;
use crate::record::entry::{Entry, IntentEntry};
use crate::record::intent::Intent;

/// The ledger's keys, and what they can be held against.
pub(super) struct OpenKeys {
    keyring: Keyring,
    fold_key: FoldKey,
    trust: TrustPolicy,
    head: Option<Checkpoint>,
    snapshots: BTreeMap<u64, Snapshot>,
    #[cfg(feature = "server")]
    index: Option<Index>,
}

/// What was opened so far.
#[derive(Default)]
pub(super) struct Opened {
    state: State,
    payloads: u64,
    signatures: u64,
    rows: u64,
    head_root: Option<Hash>,
    snapshots: u64,
}

impl Opened {
    pub(super) fn summary(&self) -> String {
        format!(
            "{} payloads, {} agents' signatures, {} index rows, {} snapshots",
            self.payloads, self.signatures, self.rows, self.snapshots
        )
    }
}

impl OpenKeys {
    pub(super) fn open(disk: &Arc<dyn Disk>, layout: &Layout) -> Result<Self, String> {
        let signer = read_signer(&**disk, layout).map_err(|e| e.to_string())?;
        let keyring = Keyring::open(Arc::clone(disk), layout, signer.verifier().name().as_str())
            .map_err(|e| e.to_string())?;
        let note = head::read(&**disk, layout).map_err(|e| format!("the head file: {e}"))?;
        let head = note.map(|note| own_checkpoint(&note, signer.verifier())).transpose();
        let mut snapshots = BTreeMap::new();
        for file in snapshot::list(&**disk, &layout.snapshots()).map_err(|e| e.to_string())? {
            // One that is damaged is reported by its checksum.
            if let Ok(snapshot) = snapshot::read(&**disk, &file, &keyring) {
                snapshots.insert(snapshot.edge.size, snapshot);
            }
        }
        Ok(Self {
            fold_key: keyring.fold_key(),
            keyring,
            trust: TrustPolicy::of_log(&signer),
            head: head.map_err(|e| format!("the head file: {e}"))?,
            snapshots,
            #[cfg(feature = "server")]
            index: Index::inspect(disk, &layout.index()).ok(),
        })
    }

    /// Whether there is a head to hold the log against. A backup of the keys has none.
    pub(super) fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// The key that frames are tagged with.
    pub(super) fn frame_key(&self) -> &FrameKey {
        self.keyring.frame_key()
    }

    /// The log key's own trust policy.
    pub(super) fn trust(&self) -> TrustPolicy {
        self.trust.clone()
    }

    /// Checks the last leaf of `log`, which is this entry of this frame.
    pub(super) fn leaf(
        &self,
        opened: &mut Opened,
        log: &Frontier,
        entry: &Entry,
        frame: &FrameView,
        number: u32,
    ) -> Result<(), String> {
        let index = log.size().saturating_sub(1);
        let fail = |what: String| format!("leaf {index}: {what}");
        if self.head.as_ref().is_some_and(|head| head.size == frame.header().first_index) && number == 0 {
            opened.head_root = own_checkpoint_root(frame);
        }
        let payload = match entry.id().filter(|_| entry.declared().is_some()) {
            Some(id) => self.payload(frame, number, id.as_bytes()).map_err(fail)?,
            None => None,
        };
        match &payload {
            Some(payload) => {
                opened.payloads += 1;
                check_payload(entry, payload).map_err(fail)?;
            }
            None if entry.declared().is_some() => return Err(fail("its payload is missing".to_owned())),
            None => {}
        }
        if let (Entry::Intent(intent), Some(payload)) = (entry, &payload) {
            self.check_words(opened, intent, payload).map_err(fail)?;
            opened.signatures += u64::from(payload.signature.is_some());
        }
        let sealed = payload.as_ref().map_or(Sealed::Nothing, Sealed::Payload);
        opened.state.apply(entry, &sealed, &self.fold_key).map_err(|e| e.to_string())?;
        if let Some(snapshot) = self.snapshots.get(&(index + 1)) {
            opened.snapshots += 1;
            let edge = snapshot.edge.frontier.iter().map(|node| Hash(*node));
            if snapshot.state != opened.state || !edge.eq(log.nodes().iter().copied()) {
                return Err(fail(format!("the snapshot of size {} holds another state", index + 1)));
            }
        }
        self.row(opened, index, entry, frame.header().position).map_err(fail)?;
        Ok(())
    }

    /// What the declared document says of itself is what the leaf says of it, and its agent signed it if it signs.
    fn check_words(&self, opened: &Opened, entry: &IntentEntry, payload: &Payload) -> Result<(), String> {
        let intent = Intent::parse(&payload.declared).map_err(|e| e.to_string())?;
        let agent = opened.state.registry.agent(entry.agent).map(|agent| agent.name.as_str());
        if agent != Some(intent.agent.as_str()) {
            return Err("it was declared by another agent".to_owned());
        }
        if intent.id.is_some_and(|id| id != entry.id) {
            return Err("it was declared under another id".to_owned());
        }
        if self.keyring.session_tag(entry.agent, &intent.session) != entry.session {
            return Err("it was declared in another session".to_owned());
        }
        let key = opened.state.registry.agent(entry.agent).and_then(|agent| agent.key);
        check_signature(entry, &intent, payload, key, self.keyring.origin())
    }

    fn payload(&self, frame: &FrameView, number: u32, id: &[u8; 16]) -> Result<Option<Payload>, String> {
        let Some(payload) = frame.payloads().find(|payload| payload.entry == number) else { return Ok(None) };
        self.keyring.open_payload(&Ciphertext::of(&payload), id).map(Some).map_err(|e| e.to_string())
    }

    #[cfg(feature = "server")]
    fn row(&self, opened: &mut Opened, index: u64, entry: &Entry, position: Position) -> Result<(), String> {
        use super::super::index::{Row, key_of};
        let Some(key) = key_of(entry) else { return Ok(()) };
        let Some(rows) = &self.index else { return Ok(()) };
        if index >= rows.indexed_to().map_err(|e| e.to_string())? {
            return Ok(());
        }
        let expected = Row { index, frame: Some(position) };
        match rows.get(&key).map_err(|e| e.to_string())? {
            Some(row) if row == expected => {
                opened.rows += 1;
                Ok(())
            }
            Some(_) => Err("the index has it elsewhere".to_owned()),
            None => Err("the index does not have it".to_owned()),
        }
    }

    #[cfg(not(feature = "server"))]
    fn row(&self, _: &mut Opened, _: u64, _: &Entry, _: Position) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn conclude(
        &self,
        opened: &mut Opened,
        chain: &Chain,
        frontier: &Frontier,
    ) -> Result<(), String> {
        if let Some(head) = &self.head {
            if head.size > chain.size() {
                return Err(format!(
                    "the head file is of size {}, the log has {}: this is an older copy, or its end was lost",
                    head.size,
                    chain.size()
                ));
            }
            let root = if head.size == chain.size() { Some(frontier.root()) } else { opened.head_root };
            // A head between two frames cannot be: each frame's end is what gets signed.
            if root != Some(head.root) {
                return Err(format!("the head file's checkpoint of size {} is not of this log", head.size));
            }
        }
        if opened.snapshots != self.snapshots.len() as u64 {
            return Err("a snapshot is of a size that this log never had between two frames".to_owned());
        }
        #[cfg(feature = "server")]
        if let Some(rows) = &self.index {
            let found = rows.row_count().map_err(|e| e.to_string())?;
            if found != opened.rows {
                return Err(format!("the index has {found} rows for {} entries", opened.rows));
            }
        }
        Ok(())
    }
}

/// The root that a frame's own checkpoint, verified by the walk, gives to the log before it.
fn own_checkpoint_root(frame: &FrameView) -> Option<Hash> {
    let note: crate::note::SignedNote = std::str::from_utf8(frame.checkpoint()).ok()?.parse().ok()?;
    Checkpoint::parse(&note.text).ok().map(|checkpoint| checkpoint.root)
}
