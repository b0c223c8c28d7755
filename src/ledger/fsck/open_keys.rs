//! What the ledger's keys open: payloads against their commitments, the head, snapshots, and the index's rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::head;
use super::super::keyring::{Ciphertext, Keyring};
use super::super::layout::Layout;
use super::super::log_key::{own_checkpoint, read_signer};
use super::super::payload::Payload;
use super::super::snapshot::{self, Snapshot};
use super::super::state::State;
use crate::disk::Disk;
use crate::journal::{FrameView, Position};
use crate::merkle::{Frontier, Hash};
use crate::note::{Checkpoint, TrustPolicy};
use crate::record::chain::Chain;
use crate::record::entry::{Entry, IntentEntry, call_digest};
use crate::record::evaluation::groups_of;
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::json::{JsonLimits, parse_with};

/// The ledger's keys, and what they can be held against.
pub(super) struct OpenKeys {
    keyring: Keyring,
    trust: TrustPolicy,
    head: Option<Checkpoint>,
    snapshots: BTreeMap<u64, Snapshot>,
    #[cfg(feature = "server")]
    index: Option<super::super::index::Index>,
}

/// What was opened so far.
#[derive(Default)]
pub(super) struct Opened {
    state: State,
    payloads: u64,
    rows: u64,
    head_root: Option<Hash>,
    snapshots: u64,
}

impl Opened {
    pub(super) fn summary(&self) -> String {
        format!(
            "{} payloads, {} index rows, {} snapshots, the head",
            self.payloads, self.rows, self.snapshots
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
            keyring,
            trust: TrustPolicy::of_log(&signer),
            head: head.map_err(|e| format!("the head file: {e}"))?,
            snapshots,
            #[cfg(feature = "server")]
            index: open_index(&**disk, layout),
        })
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
        let payload = match id_of(entry) {
            Some(id) => self.payload(frame, number, id).map_err(fail)?,
            None => None,
        };
        match &payload {
            Some(payload) => {
                opened.payloads += 1;
                check_payload(entry, payload).map_err(fail)?;
            }
            None if commits(entry) => return Err(fail("its payload is missing".to_owned())),
            None => {}
        }
        if let (Entry::Intent(intent), Some(payload)) = (entry, &payload) {
            self.check_words(opened, intent, payload).map_err(fail)?;
        }
        let record = payload.as_ref().map(|payload| payload.declared.as_slice());
        opened.state.apply(entry, record).map_err(|e| e.to_string())?;
        if let Some(snapshot) = self.snapshots.get(&(index + 1)) {
            opened.snapshots += 1;
            let edge = snapshot.edge.frontier.iter().map(|node| Hash(*node));
            if snapshot.state != opened.state || !edge.eq(log.nodes().iter().copied()) {
                return Err(fail(format!("the snapshot of size {} holds another state", index + 1)));
            }
        }
        if let Entry::Intent(intent) = entry {
            self.row(opened, index, intent, frame.header().position).map_err(fail)?;
        }
        Ok(())
    }

    /// What the declared document says of itself is what the leaf says of it.
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
        Ok(())
    }

    fn payload(&self, frame: &FrameView, number: u32, id: &[u8; 16]) -> Result<Option<Payload>, String> {
        let Some(payload) = frame.payloads().find(|payload| payload.entry == number) else { return Ok(None) };
        let sealed =
            Ciphertext { epoch: payload.key_epoch, kid: payload.kid, bytes: payload.ciphertext.to_vec() };
        self.keyring.open_payload(&sealed, id).map(Some).map_err(|e| e.to_string())
    }

    #[cfg(feature = "server")]
    fn row(
        &self,
        opened: &mut Opened,
        index: u64,
        intent: &IntentEntry,
        position: Position,
    ) -> Result<(), String> {
        use super::super::index::{IntentKey, Row};
        let Some(rows) = &self.index else { return Ok(()) };
        if index >= rows.indexed_to().map_err(|e| e.to_string())? {
            return Ok(());
        }
        let key = IntentKey { id: intent.id, agent: intent.agent };
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
    fn row(&self, _: &mut Opened, _: u64, _: &IntentEntry, _: Position) -> Result<(), String> {
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
                return Err(format!("the index has {found} rows for {} intents", opened.rows));
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

/// The index's rows, read from a copy in memory: opening a database writes to it.
#[cfg(feature = "server")]
fn open_index(disk: &dyn Disk, layout: &Layout) -> Option<super::super::index::Index> {
    use crate::disk::{FaultyDisk, read_file};
    /// 10 million rows take less.
    const INDEX_MAX_BYTES: u64 = 4 << 30;
    let bytes = read_file(disk, &layout.index(), INDEX_MAX_BYTES).ok()?;
    let memory = FaultyDisk::new(0);
    let path = std::path::Path::new("/index.redb");
    memory.place(path, &bytes).ok()?;
    let memory: Arc<dyn Disk> = Arc::new(memory);
    super::super::index::Index::open(&memory, path, u64::MAX).ok()
}

fn id_of(entry: &Entry) -> Option<&[u8; 16]> {
    match entry {
        Entry::Intent(entry) => Some(entry.id.as_bytes()),
        Entry::Operator(entry) => Some(entry.id.as_bytes()),
        Entry::Agent(entry) => Some(entry.id.as_bytes()),
        Entry::Policy(entry) => Some(entry.id.as_bytes()),
        Entry::Export(entry) => Some(entry.id.as_bytes()),
        _ => None,
    }
}

/// Whether an entry commits to a payload.
fn commits(entry: &Entry) -> bool {
    match entry {
        Entry::Intent(_) | Entry::Operator(_) | Entry::Policy(_) | Entry::Export(_) => true,
        Entry::Agent(entry) => entry.declared.is_some(),
        _ => false,
    }
}

fn check_payload(entry: &Entry, payload: &Payload) -> Result<(), String> {
    let declared = match entry {
        Entry::Intent(intent) => return check_intent(intent, payload),
        Entry::Operator(entry) => Some(entry.declared),
        Entry::Agent(entry) => entry.declared,
        Entry::Policy(entry) => Some(entry.declared),
        Entry::Export(entry) => Some(entry.declared),
        _ => None,
    };
    let limits = JsonLimits { max_bytes: payload.declared.len(), ..JsonLimits::default() };
    let document = parse_with(&payload.declared, &limits).map_err(|e| e.to_string())?;
    let tree = FieldTree::of_document(&document, &payload.declared_seed).map_err(|e| e.to_string())?;
    equal(declared, tree.commitment(), "declared document")
}

fn check_intent(entry: &IntentEntry, payload: &Payload) -> Result<(), String> {
    let intent = Intent::parse(&payload.declared).map_err(|e| e.to_string())?;
    let seed: &Seed = &payload.declared_seed;
    let tree = FieldTree::of_document(&intent.document, seed).map_err(|e| e.to_string())?;
    equal(Some(entry.declared), tree.commitment(), "declared document")?;
    let digests = intent.calls.iter().zip(0u32..).map(|(call, i)| call_digest(seed, i, call).ok());
    if !digests.eq(entry.calls.iter().map(|call| Some(call.digest))) {
        return Err("a call's digest is not that of the declared call".to_owned());
    }
    let limits = JsonLimits { max_bytes: payload.evaluation.len(), ..JsonLimits::default() };
    let evaluation = parse_with(&payload.evaluation, &limits).map_err(|e| e.to_string())?;
    let tree =
        FieldTree::of_groups(groups_of(&evaluation), &payload.evaluation_seed).map_err(|e| e.to_string())?;
    equal(Some(entry.evaluation), tree.commitment(), "evaluation")?;
    let verdicts = evaluation.get("verdicts").and_then(serde_json::Value::as_array);
    let outcome = |verdict: &serde_json::Value| verdict.get("outcome")?.as_str().map(str::to_owned);
    let verdicts = verdicts.into_iter().flatten().map(outcome);
    if verdicts.eq(entry.calls.iter().map(|call| Some(call.outcome.as_str().to_owned()))) {
        Ok(())
    } else {
        Err("its verdicts are not those of the sealed evaluation".to_owned())
    }
}

fn equal(sealed: Option<Commitment>, computed: Commitment, what: &str) -> Result<(), String> {
    if sealed == Some(computed) { Ok(()) } else { Err(format!("its payload's {what} is not the sealed one")) }
}
