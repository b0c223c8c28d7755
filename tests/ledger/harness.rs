//! A ledger in a test's hands: its disk, its clock, its agents, and a model to hold it against.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use foreseal::disk::{Disk, FaultyDisk, read_file};
use foreseal::evidence::verify::{ReceiptEvidence, verify_receipt};
use foreseal::evidence::{Receipt, Verdict};
use foreseal::journal::{JournalOptions, Position, Preparation, frames_from};
use foreseal::ledger::clock::Clock;
use foreseal::ledger::layout::Layout;
use foreseal::ledger::state::CredentialDigest;
use foreseal::ledger::{
    Accepted, Admin, Admitted, Change, Ledger, LedgerError, LedgerOptions, NewPolicy, OpenError, OpenReport,
    SealedLeaf, init,
};
use foreseal::merkle::{Hash, TileKind, TilePath, verify_consistency, verify_inclusion};
use foreseal::note::{Checkpoint, SignedNote, TrustPolicy};
use foreseal::policy::{Bundle, Engine};
use foreseal::record::chain::Chain;
use foreseal::record::entry::{Entry, call_digest};
use foreseal::record::field_tree::{FieldTree, Seed};
use foreseal::record::intent::Intent;
use foreseal::record::time::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) const ORIGIN: &str = "log.example/agents";
pub(crate) const START: i64 = 1_800_000_000_000;
/// The leaf of the first operator.
pub(crate) const OPERATOR: u64 = 0;
/// Nothing takes this long; what does hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A clock that stands until it is moved.
#[derive(Debug)]
pub(crate) struct ManualClock {
    wall_ms: AtomicI64,
    passed_ms: AtomicI64,
}

impl ManualClock {
    pub(crate) fn new(millis: i64) -> Self {
        Self { wall_ms: AtomicI64::new(millis), passed_ms: AtomicI64::new(0) }
    }

    /// Time passes; or, to a negative number, the clock is set back.
    pub(crate) fn step(&self, millis: i64) {
        // In this order a reading in between sees a clock ahead, which is waited for, and never one behind.
        self.jump(millis);
        self.passed_ms.fetch_add(millis.max(0), Ordering::SeqCst);
    }

    /// The clock is set, and no time passes.
    pub(crate) fn jump(&self, millis: i64) {
        self.wall_ms.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn millis(&self) -> i64 {
        self.wall_ms.load(Ordering::SeqCst)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.passed_ms.load(Ordering::SeqCst).unsigned_abs())
    }
}

/// An agent and its credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) index: u64,
    pub(crate) credential: CredentialDigest,
}

/// What an intent's submitter was told.
pub(crate) type Told<T> = Result<T, LedgerError>;

/// A ledger's surroundings; the ledger itself comes and goes.
pub(crate) struct Rig {
    pub(crate) disk: FaultyDisk,
    pub(crate) layout: Layout,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) options: LedgerOptions,
}

impl Rig {
    /// An initialised ledger on a disk in memory.
    pub(crate) fn new(seed: u64) -> Self {
        let rig = Self::bare(FaultyDisk::new(seed));
        let disk: Arc<dyn Disk> = Arc::new(rig.disk.clone());
        init(&disk, &rig.layout, ORIGIN, &rig.options).unwrap();
        rig
    }

    /// The same surroundings around another disk.
    pub(crate) fn bare(disk: FaultyDisk) -> Self {
        let clock = Arc::new(ManualClock::new(START));
        let mut options = LedgerOptions::new(Arc::clone(&clock) as Arc<dyn Clock>);
        options.journal = JournalOptions {
            segment_bytes: 256 << 10,
            segments_ahead: 1,
            zero_step_bytes: 256 << 10,
            preparation: Preparation::Inline,
        };
        options.marker_after = None;
        options.snapshot_bytes = 64 << 10;
        Self { disk, layout: Layout::new(Path::new("/data"), None), clock, options }
    }

    pub(crate) fn try_open(&self) -> Result<(Ledger, OpenReport), OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        Ledger::open(&disk, &self.layout, &self.options)
    }

    pub(crate) fn open(&self) -> Ledger {
        self.try_open().unwrap_or_else(|error| panic!("it must open: {error}")).0
    }

    /// What the next process finds.
    pub(crate) fn restart(&mut self) {
        self.disk = self.disk.restart();
    }

    pub(crate) fn trust(&self) -> TrustPolicy {
        let text = self.disk.contents(&self.layout.trust()).unwrap();
        TrustPolicy::parse(std::str::from_utf8(&text).unwrap()).unwrap()
    }

    pub(crate) fn files_in(&self, directory: &Path) -> Vec<std::path::PathBuf> {
        self.disk
            .paths()
            .into_iter()
            .map(|path| Path::new("/").join(path))
            .filter(|path| path.starts_with(directory))
            .collect()
    }

    pub(crate) fn remove_all(&self, directory: &Path) {
        let files = self.files_in(directory);
        assert!(!files.is_empty(), "{} holds nothing", directory.display());
        files.iter().for_each(|file| self.disk.remove(file).unwrap());
    }
}

/// A permit for everything; `n` makes bundles that differ.
pub(crate) fn permit_all(n: u64) -> Change {
    static MADE: Mutex<BTreeMap<u64, Arc<Engine>>> = Mutex::new(BTreeMap::new());
    let text = format!("// {n}\n@id(\"all\") permit (principal, action, resource);\n");
    let files = BTreeMap::from([("all.cedar".to_owned(), text.into_bytes())]);
    let mut made = MADE.lock().unwrap();
    let engine = made.entry(n).or_insert_with(|| {
        let bundle = Bundle::load(files.clone()).unwrap_or_else(|error| panic!("{error}"));
        Arc::new(Engine::new(bundle).unwrap())
    });
    let bundle = NewPolicy::of(engine.bundle(), files, "test".to_owned());
    Change::ActivatePolicy { engine: Arc::clone(engine), bundle, restores: None }
}

/// Waits for an answer; a dropped one is what the service reports as not known. None in time is a hang.
pub(crate) fn wait<T>(answer: &Receiver<Told<T>>) -> Told<T> {
    match answer.recv_timeout(PATIENCE) {
        Ok(told) => told,
        Err(RecvTimeoutError::Disconnected) => Err(LedgerError::OutcomeUnknown("dropped".to_owned())),
        Err(RecvTimeoutError::Timeout) => panic!("no answer within {PATIENCE:?}: the ledger hangs"),
    }
}

pub(crate) fn administer_later(ledger: &Ledger, change: Change) -> Receiver<Told<SealedLeaf>> {
    let (told, answer) = channel();
    let admin = Admin { by: Some(OPERATOR), change };
    ledger.administer(admin, Box::new(move |sealed| drop(told.send(sealed))));
    answer
}

pub(crate) fn administer(ledger: &Ledger, change: Change) -> Told<SealedLeaf> {
    wait(&administer_later(ledger, change))
}

pub(crate) fn credential(n: u64) -> CredentialDigest {
    CredentialDigest::of(&format!("fsk_{n}"))
}

pub(crate) fn add_agent(ledger: &Ledger, name: &str, n: u64) -> Told<(Agent, SealedLeaf)> {
    let change = Change::RegisterAgent {
        name: name.to_owned(),
        roles: vec!["worker".to_owned()],
        credential: credential(n),
        key: None,
    };
    let leaf = administer(ledger, change)?;
    Ok((Agent { name: name.to_owned(), index: leaf.index, credential: credential(n) }, leaf))
}

/// A UUIDv7 that stands for `n`.
pub(crate) fn id(n: u64) -> Uuid {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    uuid::Builder::from_unix_timestamp_millis(START as u64, &random).into_uuid()
}

/// The body of an intent.
pub(crate) fn body(agent: &str, id: Option<Uuid>, n: u64) -> Vec<u8> {
    let mut document = serde_json::json!({
        "agent": agent, "session": format!("s{}", n % 3), "goal": format!("goal {n}"),
        "calls": [{"id": "c1", "server": "mail", "tool": "send", "args": {"n": n, "to": "a@example.org"}}],
    });
    if let Some(id) = id {
        document["id"] = id.to_string().into();
    }
    serde_json::to_vec(&document).unwrap()
}

/// What the service makes of a body before the intent's turn comes.
pub(crate) fn admitted(agent: &Agent, body: &[u8]) -> Admitted {
    let intent = Intent::parse(body).unwrap();
    let seed = Seed::from_bytes(Sha256::digest(body).into());
    let declared = FieldTree::of_document(&intent.document, &seed).unwrap().commitment();
    let digests = intent.calls.iter().zip(0..).map(|(call, n)| call_digest(&seed, n, call).unwrap());
    Admitted {
        agent: agent.index,
        credential: agent.credential,
        call_digests: digests.collect(),
        intent,
        body: body.to_vec(),
        seed,
        declared,
        signature: None,
        signals: None,
    }
}

pub(crate) fn submit_later(ledger: &Ledger, agent: &Agent, body: &[u8]) -> Receiver<Told<Accepted>> {
    let (told, answer) = channel();
    match ledger.admit() {
        Ok(admission) => {
            let reply = Box::new(move |accepted| drop(told.send(accepted)));
            ledger.submit(admission, admitted(agent, body), reply);
        }
        Err(error) => told.send(Err(error)).unwrap(),
    }
    answer
}

pub(crate) fn submit(ledger: &Ledger, agent: &Agent, body: &[u8]) -> Told<Accepted> {
    wait(&submit_later(ledger, agent, body))
}

/// The leaf of an intent that must have been sealed now.
pub(crate) fn sealed(accepted: Told<Accepted>) -> SealedLeaf {
    match accepted {
        Ok(Accepted::Sealed { leaf, .. }) => leaf,
        other => panic!("must be sealed: {other:?}"),
    }
}

/// A leaf hash, from the words of RFC 6962 alone.
pub(crate) fn leaf_hash(leaf: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([0]).chain_update(leaf).finalize().into()
}

/// The tree hash, from the words of RFC 6962 alone.
pub(crate) fn tree_hash(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
            let (left, right) = (tree_hash(left), tree_hash(right));
            Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
        }
    }
}

/// Everything the outside was told: leaves at their indexes, checkpoints, receipts.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    pub(crate) leaves: BTreeMap<u64, Arc<[u8]>>,
    pub(crate) checkpoints: BTreeSet<String>,
    pub(crate) receipts: Vec<(Arc<[u8]>, String)>,
}

impl Acknowledged {
    /// Notes a leaf, and takes its receipt as the service does.
    pub(crate) fn leaf(&mut self, ledger: &Ledger, leaf: &SealedLeaf) {
        self.noted(leaf);
        let receipt = ledger.receipt(leaf.index, &leaf.entry, leaf.size, &leaf.checkpoint).unwrap();
        self.receipts.push((Arc::clone(&leaf.entry), receipt.to_text()));
    }

    /// Notes a leaf whose receipt could not be had.
    pub(crate) fn noted(&mut self, leaf: &SealedLeaf) {
        let before = self.leaves.insert(leaf.index, Arc::clone(&leaf.entry));
        assert!(before.is_none_or(|before| before == leaf.entry), "leaf {} given twice", leaf.index);
        self.checkpoints.insert(leaf.checkpoint.to_string());
    }

    /// Notes what the ledger publishes now.
    pub(crate) fn published(&mut self, ledger: &Ledger) {
        self.checkpoints.insert(ledger.published().checkpoint.to_string());
    }

    /// What was told is still so: each leaf in its place, each receipt and checkpoint true of the leaves there are.
    pub(crate) fn holds(&self, leaves: &[Vec<u8>], trust: &TrustPolicy) {
        for (index, leaf) in &self.leaves {
            let found = leaves.get(*index as usize).map(Vec::as_slice);
            assert_eq!(found, Some(&**leaf), "leaf {index} was acknowledged");
        }
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
        for note in &self.checkpoints {
            agrees(note, &hashes, trust);
        }
        for (entry, receipt) in &self.receipts {
            let evidence = ReceiptEvidence { receipt, entry, answer: None, intent: None };
            let report = verify_receipt(&evidence, Some(trust));
            assert_eq!(report.verdict, Verdict::Valid, "{report:?}");
            let checkpoint = Receipt::parse(receipt).unwrap().checkpoint;
            assert!(self.checkpoints.contains(&checkpoint), "a receipt under a head of its own");
        }
    }
}

/// A checkpoint is signed by the log and true of these leaves.
pub(crate) fn agrees(note: &str, hashes: &[[u8; 32]], trust: &TrustPolicy) -> Checkpoint {
    let checkpoint = trust.verify(note).unwrap_or_else(|error| panic!("{error}: {note}")).checkpoint;
    let covered = hashes.get(..checkpoint.size as usize);
    let covered = covered.unwrap_or_else(|| panic!("{} leaves, signed {}", hashes.len(), checkpoint.size));
    assert_eq!(checkpoint.root, Hash(tree_hash(covered)), "the head of size {}", checkpoint.size);
    checkpoint
}

/// All leaves in the journal; their chain and every checkpoint between them are checked.
pub(crate) fn journal_leaves(disk: &FaultyDisk, layout: &Layout, trust: &TrustPolicy) -> Vec<Vec<u8>> {
    let directory = layout.journal();
    let mut leaves: Vec<Vec<u8>> = Vec::new();
    let mut hashes = Vec::new();
    let mut chain = Chain::default();
    for frame in frames_from(disk, &directory, Position { segment: 0, offset: 0 }).unwrap() {
        let (position, frame) = frame.unwrap();
        assert_eq!(frame.header().first_index, leaves.len() as u64);
        let note = std::str::from_utf8(frame.checkpoint()).unwrap();
        let checkpoint = agrees(note, &hashes, trust);
        assert_eq!(checkpoint.size, leaves.len() as u64, "the checkpoint in the frame at {position}");
        for leaf in frame.entries() {
            let entry = Entry::parse(leaf).unwrap();
            assert_eq!(entry.encode().unwrap().as_deref(), Some(leaf));
            chain.apply(&entry).unwrap();
            hashes.push(leaf_hash(leaf));
            leaves.push(leaf.to_vec());
        }
    }
    leaves
}

/// The head file's checkpoint agrees with the leaves, if there is one.
pub(crate) fn head_agrees(
    disk: &FaultyDisk,
    layout: &Layout,
    leaves: &[Vec<u8>],
    trust: &TrustPolicy,
) -> u64 {
    let Ok(note) = read_file(disk, &layout.head(), 1 << 20) else { return 0 };
    let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    agrees(std::str::from_utf8(&note).unwrap(), &hashes, trust).size
}

/// The tree over leaves, level by level of tiles, from hashes alone.
pub(crate) struct Tree {
    leaves: Vec<Vec<u8>>,
    /// Roots over 256^level leaves each.
    pub(crate) levels: Vec<Vec<[u8; 32]>>,
}

impl Tree {
    pub(crate) fn over(leaves: &[Vec<u8>]) -> Self {
        let mut levels = vec![leaves.iter().map(|leaf| leaf_hash(leaf)).collect::<Vec<_>>()];
        while let Some(row) = levels.last().filter(|row| row.len() >= 256) {
            let above = row.chunks_exact(256).map(tree_hash).collect();
            levels.push(above);
        }
        Self { leaves: leaves.to_vec(), levels }
    }

    pub(crate) fn root(&self, size: usize) -> Hash {
        Hash(tree_hash(&self.levels[0][..size]))
    }

    /// What a path must give; `None` where such a log has no such resource.
    pub(crate) fn resource(&self, path: &TilePath) -> Option<Vec<u8>> {
        let start = usize::try_from(path.index).ok()?.checked_mul(256)?;
        let end = start + path.width.map_or(256, |width| usize::from(width.get()));
        match path.kind {
            TileKind::Hashes { level } => {
                Some(self.levels.get(usize::from(level))?.get(start..end)?.concat())
            }
            TileKind::Entries => {
                let mut bundle = Vec::new();
                for leaf in self.leaves.get(start..end)? {
                    bundle.extend_from_slice(&u16::try_from(leaf.len()).unwrap().to_be_bytes());
                    bundle.extend_from_slice(leaf);
                }
                Some(bundle)
            }
        }
    }

    /// Every resource the log has at any width, `step` widths apart, and some that it has not.
    pub(crate) fn paths(&self, step: usize) -> Vec<TilePath> {
        let kinds = (0..=self.levels.len() as u8).map(|level| TileKind::Hashes { level });
        let mut paths = Vec::new();
        for kind in kinds.chain([TileKind::Entries]) {
            let count = match kind {
                TileKind::Hashes { level } => self.levels.get(usize::from(level)).map_or(0, Vec::len),
                TileKind::Entries => self.leaves.len(),
            };
            for index in 0..=(count as u64 / 256) {
                let widths = (1..=255u8).step_by(step).chain([254, 255, (count % 256) as u8]);
                paths.extend(widths.map(|width| TilePath { kind, index, width: NonZeroU8::new(width) }));
                paths.push(TilePath { kind, index, width: None });
            }
        }
        paths
    }
}

/// All that is served is what the leaves say.
pub(crate) fn serves(ledger: &Ledger, leaves: &[Vec<u8>], step: usize) {
    let tree = Tree::over(leaves);
    let published = ledger.published();
    assert_eq!((published.size, published.root), (leaves.len() as u64, tree.root(leaves.len())));
    for (index, leaf) in (0..).zip(leaves) {
        assert_eq!(ledger.entry(index).unwrap().as_deref(), Some(leaf.as_slice()), "leaf {index}");
    }
    assert_eq!(ledger.entry(leaves.len() as u64).unwrap(), None);
    for path in tree.paths(step) {
        assert!(ledger.resource(&path).unwrap() == tree.resource(&path), "{path}");
    }
    proofs_hold(ledger, &tree, 97);
}

/// Proofs between sizes and indexes some way apart verify against roots computed here.
pub(crate) fn proofs_hold(ledger: &Ledger, tree: &Tree, apart: usize) {
    let all = tree.levels[0].len();
    let sizes: Vec<usize> = (0..=all).step_by(apart).chain([all]).collect();
    let roots: BTreeMap<usize, Hash> = sizes.iter().map(|size| (*size, tree.root(*size))).collect();
    for size in sizes.iter().copied() {
        for index in (0..all).step_by(apart) {
            let path = ledger.inclusion_proof(index as u64, size as u64).unwrap();
            assert_eq!(path.is_some(), index < size, "leaf {index} of {size}");
            let Some(path) = path else { continue };
            let leaf = Hash(tree.levels[0][index]);
            verify_inclusion(&leaf, index as u64, size as u64, &path, &roots[&size]).unwrap();
        }
        for from in sizes.iter().copied().filter(|from| (1..=size).contains(from)) {
            let proof = ledger.consistency_proof(from as u64, size as u64).unwrap().unwrap();
            verify_consistency(from as u64, &roots[&from], size as u64, &roots[&size], &proof).unwrap();
        }
    }
}

/// Whether a note says it is of the test log; for tests that look at heads on their own.
pub(crate) fn size_of(note: &str) -> u64 {
    let note: SignedNote = note.parse().unwrap();
    Checkpoint::parse(&note.text).unwrap().size
}

/// A disk with an initialised ledger, made once: a bundle of keys costs time.
pub(crate) fn initialised() -> FaultyDisk {
    static MADE: OnceLock<FaultyDisk> = OnceLock::new();
    MADE.get_or_init(|| Rig::new(1).disk.snapshot()).snapshot()
}
