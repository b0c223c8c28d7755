//! A ledger on a simulated disk, with a clock that is set by hand: what the tests of the ledger stand on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use foreseal::disk::{Disk, FaultyDisk};
use foreseal::evidence::verify::{ReceiptEvidence, verify_receipt};
use foreseal::evidence::{Receipt, Report, Verdict};
use foreseal::journal::{JournalOptions, Preparation};
use foreseal::ledger::clock::Clock;
use foreseal::ledger::fsck::{Keys, check};
use foreseal::ledger::layout::Layout;
use foreseal::ledger::state::{CredentialDigest, PartyKind};
use foreseal::ledger::{
    Accepted, Admin, Admitted, Change, Heard, Ledger, LedgerError, LedgerOptions, NewPolicy, OpenError,
    OpenReport, SealedLeaf, Testimony, Told, init,
};
use foreseal::note::{Checkpoint, SignedNote, TrustPolicy};
use foreseal::policy::{Bundle, Engine};
use foreseal::record::entry::call_digest;
use foreseal::record::field_tree::{FieldTree, Seed};
use foreseal::record::intent::Intent;
use foreseal::record::time::Timestamp;
use serde_json::{Value, json};

pub const ORIGIN: &str = "test.example/ledger";
/// 2026-11-21T10:00:00Z.
const START_MS: i64 = 1_795_255_200_000;
/// No reply takes this long, however slow the machine: a test that waits longer has found a reply that never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    passed_ms: AtomicI64,
}

impl ManualClock {
    pub fn new(millis: i64) -> Self {
        Self { wall_ms: AtomicI64::new(millis), passed_ms: AtomicI64::new(0) }
    }

    /// Time passes; or, to a negative number, the clock is set back.
    pub fn step(&self, millis: i64) {
        // In this order a reading in between sees a clock ahead, which is waited for, and never one behind.
        self.jump(millis);
        self.passed_ms.fetch_add(millis.max(0), Ordering::SeqCst);
    }

    /// The clock is set, and no time passes.
    pub fn jump(&self, millis: i64) {
        self.wall_ms.fetch_add(millis, Ordering::SeqCst);
    }

    pub fn millis(&self) -> i64 {
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

/// A disk, a place on it, a clock, and how ledgers are opened here.
#[derive(Clone)]
pub struct Site {
    pub faulty: FaultyDisk,
    pub layout: Layout,
    pub clock: Arc<ManualClock>,
    pub options: LedgerOptions,
}

impl Site {
    /// An empty disk.
    pub fn new(seed: u64) -> Self {
        Self::on(FaultyDisk::new(seed), Arc::new(ManualClock::new(START_MS)))
    }

    /// A disk that holds something already.
    pub fn on(faulty: FaultyDisk, clock: Arc<ManualClock>) -> Self {
        let mut options = LedgerOptions::new(clock.clone());
        options.journal = JournalOptions {
            segment_bytes: 64 << 10,
            segments_ahead: 1,
            zero_step_bytes: 64 << 10,
            preparation: Preparation::Inline,
        };
        options.marker_after = None;
        let layout = Layout::new(Path::new("/ledger"), None);
        Self { faulty, layout, clock, options }
    }

    /// The same site on another disk.
    pub fn moved_to(&self, faulty: FaultyDisk) -> Self {
        Self { faulty, ..self.clone() }
    }

    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.faulty.clone())
    }

    pub fn init(&self) {
        init(&self.disk(), &self.layout, ORIGIN, &self.options).unwrap();
    }

    pub fn try_open(&self) -> Result<(Desk, OpenReport), OpenError> {
        let (ledger, report) = Ledger::open(&self.disk(), &self.layout, &self.options)?;
        Ok((Desk { ledger }, report))
    }

    pub fn open(&self) -> Desk {
        self.try_open().unwrap().0
    }

    /// The trust policy that `init` wrote.
    pub fn trust(&self) -> TrustPolicy {
        let text = self.faulty.contents(&self.layout.trust()).unwrap();
        String::from_utf8(text).unwrap().parse().unwrap()
    }
}

/// A registered agent and its credential.
#[derive(Debug, Clone)]
pub struct TestAgent {
    pub name: String,
    pub index: u64,
    pub credential: CredentialDigest,
}

/// An open ledger, asked one thing at a time.
pub struct Desk {
    pub ledger: Ledger,
}

fn wait<T>(answer: &Receiver<T>) -> T {
    answer.recv_timeout(PATIENCE).expect("every reply comes")
}

/// Files of a bundle that permits everything; `number` makes bundles differ.
pub fn permit_all(number: u32) -> BTreeMap<String, Vec<u8>> {
    let text = format!("@id(\"all-{number}\")\npermit (principal, action, resource);\n");
    BTreeMap::from([("all.cedar".to_owned(), text.into_bytes())])
}

/// Makes an intent ready as the service does.
pub fn admit(agent: &TestAgent, document: &Value, seed: [u8; 32]) -> Admitted {
    let body = serde_json::to_vec(document).unwrap();
    let intent = Intent::parse(&body).unwrap();
    let seed = Seed::from_bytes(seed);
    Admitted {
        agent: agent.index,
        credential: agent.credential,
        declared: FieldTree::of_document(&intent.document, &seed).unwrap().commitment(),
        call_digests: (0..)
            .zip(&intent.calls)
            .map(|(i, call)| call_digest(&seed, i, call).unwrap())
            .collect(),
        intent,
        body,
        seed,
        signature: None,
        signals: None,
    }
}

/// An intent with one call. `number` makes bodies differ.
pub fn intent(agent: &str, id: Option<uuid::Uuid>, number: u64) -> Value {
    let mut document = json!({
        "agent": agent, "session": format!("s-{}", number % 3), "goal": "sort the mail",
        "reasoning": ["first", format!("then number {number}")],
        "calls": [{"id": "c1", "server": "mail", "tool": "send", "args": {"to": format!("{number}@example.com"), "n": number}}],
    });
    if let Some(id) = id {
        document["id"] = id.to_string().into();
    }
    document
}

/// The `number`-th id: a UUIDv7.
pub fn id(number: u64) -> uuid::Uuid {
    uuid::Builder::from_unix_timestamp_millis(START_MS.unsigned_abs() + number, &[7; 10]).into_uuid()
}

impl Desk {
    pub fn administer(&self, by: Option<u64>, change: Change) -> Result<SealedLeaf, LedgerError> {
        let (tell, answer) = channel();
        self.ledger.administer(Admin { by, change }, Box::new(move |sealed| drop(tell.send(sealed))));
        wait(&answer)
    }

    pub fn try_add_agent(&self, name: &str) -> Result<TestAgent, LedgerError> {
        let credential = CredentialDigest::of(&format!("token of {name}"));
        let change = Change::RegisterAgent {
            name: name.to_owned(),
            roles: vec!["mail".to_owned()],
            credential,
            key: None,
        };
        let leaf = self.administer(Some(0), change)?;
        Ok(TestAgent { name: name.to_owned(), index: leaf.index, credential })
    }

    pub fn add_agent(&self, name: &str) -> TestAgent {
        self.try_add_agent(name).unwrap()
    }

    /// Registers an application or a tool server.
    pub fn add_party(&self, kind: PartyKind, name: &str) -> TestAgent {
        let credential = CredentialDigest::of(&format!("token of {} {name}", kind.as_str()));
        let change = Change::RegisterParty { kind, name: name.to_owned(), credential };
        let leaf = self.administer(Some(0), change).unwrap();
        TestAgent { name: name.to_owned(), index: leaf.index, credential }
    }

    /// Has a registered party say something.
    pub fn testify(&self, by: &TestAgent, id: Option<uuid::Uuid>, told: Told) -> Result<Heard, LedgerError> {
        let (tell, answer) = channel();
        let testimony = Testimony { by: by.index, credential: by.credential, id, told };
        self.ledger.testify(testimony, Box::new(move |heard| drop(tell.send(heard))));
        wait(&answer)
    }

    pub fn activate(&self, files: BTreeMap<String, Vec<u8>>) -> Result<SealedLeaf, LedgerError> {
        let engine = Arc::new(Engine::new(Bundle::load(files.clone()).unwrap()).unwrap());
        let bundle = NewPolicy::of(engine.bundle(), files, "test".to_owned());
        self.administer(Some(0), Change::ActivatePolicy { engine, bundle, restores: None })
    }

    /// Submits without waiting.
    pub fn send(&self, admitted: Admitted) -> Result<Receiver<Result<Accepted, LedgerError>>, LedgerError> {
        let admission = self.ledger.admit()?;
        let (tell, answer) = channel();
        self.ledger.submit(admission, admitted, Box::new(move |accepted| drop(tell.send(accepted))));
        Ok(answer)
    }

    pub fn submit_with(&self, admitted: Admitted) -> Result<Accepted, LedgerError> {
        wait(&self.send(admitted)?)
    }

    pub fn submit(&self, agent: &TestAgent, document: &Value) -> Result<Accepted, LedgerError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        self.submit_with(admit(agent, document, seed))
    }

    /// Submits an intent that is new; its leaf.
    pub fn seal(&self, agent: &TestAgent, document: &Value) -> SealedLeaf {
        match self.submit(agent, document).unwrap() {
            Accepted::Sealed { leaf, .. } => leaf,
            Accepted::Known { index } => panic!("known at leaf {index}"),
        }
    }

    /// Submits many at once, so that batches form. In order.
    pub fn seal_all(&self, agent: &TestAgent, documents: &[Value]) -> Vec<SealedLeaf> {
        let answers: Vec<_> =
            documents.iter().map(|document| self.send(admit(agent, document, [9; 32])).unwrap()).collect();
        let sealed = answers.iter().map(|answer| match wait(answer).unwrap() {
            Accepted::Sealed { leaf, .. } => leaf,
            Accepted::Known { index } => panic!("known at leaf {index}"),
        });
        sealed.collect()
    }

    /// The receipt for a leaf, as its first answer would carry it.
    pub fn receipt(&self, leaf: &SealedLeaf) -> Receipt {
        self.ledger.receipt(leaf.index, &leaf.entry, leaf.size, &leaf.checkpoint).unwrap()
    }
}

/// What a verifier who holds `trust` says of a receipt.
pub fn verified(receipt: &Receipt, entry: &[u8], trust: &TrustPolicy) -> Report {
    let text = receipt.to_text();
    verify_receipt(&ReceiptEvidence { receipt: &text, entry, answer: None, intent: None }, Some(trust))
}

pub fn assert_verifies(site: &Site, receipt: &Receipt, entry: &[u8]) {
    let report = verified(receipt, entry, &site.trust());
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
}

/// What a signed checkpoint says.
pub fn checkpoint(note: &str) -> Checkpoint {
    let note: SignedNote = note.parse().unwrap();
    Checkpoint::parse(&note.text).unwrap()
}

pub fn checked(site: &Site, keys: Keys) -> Report {
    let trust = site.trust();
    let trust = (keys == Keys::None).then_some(&trust);
    check(&site.disk(), &site.layout, keys, trust, &mut |_, _| {})
}

/// Every byte of a directory at rest is accounted for, by an auditor and by its operator.
pub fn assert_whole(site: &Site, when: &str) {
    for keys in [Keys::None, Keys::Layout] {
        let report = checked(site, keys);
        assert_eq!(report.verdict, Verdict::Valid, "{when}, {keys:?}: {report:#?}");
    }
}
