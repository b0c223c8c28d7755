//! Promise: `fsck` and `audit` account for every byte of a data directory. A clean one passes; any flipped bit, in any
//! file, is proven.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]
#![cfg(feature = "server")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use foreseal::disk::{DirMode, Disk, FaultyDisk};
use foreseal::evidence::{Report, Verdict};
use foreseal::journal::{JournalOptions, Preparation};
use foreseal::ledger::clock::SystemClock;
use foreseal::ledger::fsck::{Keys, check};
use foreseal::ledger::layout::Layout;
use foreseal::ledger::{Ledger, LedgerOptions, init};
use foreseal::note::TrustPolicy;
use foreseal::service::{Caller, NewAgent, Service, SubmissionHeaders};

const ORIGIN: &str = "example.com/fsck";

fn layout() -> Layout {
    Layout::new(Path::new("/d"), None)
}

fn options() -> LedgerOptions {
    LedgerOptions {
        journal: JournalOptions {
            segment_bytes: 256 << 10,
            segments_ahead: 1,
            zero_step_bytes: 64 << 10,
            preparation: Preparation::Inline,
        },
        snapshot_bytes: 600 << 10,
        ..LedgerOptions::new(Arc::new(SystemClock))
    }
}

/// A ledger with 300 intents, more than one segment, a full bundle, a snapshot and an index; stopped.
fn ledger() -> FaultyDisk {
    let faulty = FaultyDisk::new(7);
    let disk: Arc<dyn Disk> = Arc::new(faulty.clone());
    init(&disk, &layout(), ORIGIN, &options()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (ledger, _) = Ledger::open(&disk, &layout(), &options()).unwrap();
    let service = Service::new(Arc::new(ledger), false);
    runtime.block_on(async {
        let operator = Caller::Operator(0);
        let rules = b"@id(\"all\") permit (principal, action, resource);".to_vec();
        let bundle = BTreeMap::from([("all.cedar".to_owned(), rules)]);
        service.activate_policy(&operator, bundle, None).await.unwrap();
        let new = NewAgent { name: "bot".into(), roles: vec!["r".into()], public_key: None };
        let token = service.register_agent(&operator, new).await.unwrap().token.unwrap();
        let caller = service.authenticate(Some(&token)).unwrap();
        for i in 0..300 {
            let body = serde_json::json!({
                "agent": "bot", "session": format!("s{}", i % 7), "goal": "g", "reasoning": ["why"],
                "calls": [{"id": "c", "tool": "t", "args": {"n": i}}],
            });
            service
                .submit(&caller, body.to_string().into_bytes(), &SubmissionHeaders::default())
                .await
                .unwrap();
        }
    });
    service.ledger().stop();
    drop(service);
    faulty.restart()
}

fn fsck(disk: &FaultyDisk, keys: Keys, trust: Option<&TrustPolicy>) -> Report {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    check(&disk, &layout(), keys, trust, &mut |_, _| {})
}

fn trust(disk: &FaultyDisk) -> TrustPolicy {
    let text = disk.contents(&layout().trust()).unwrap();
    TrustPolicy::parse(std::str::from_utf8(&text).unwrap()).unwrap()
}

#[test]
fn a_clean_ledger_passes_with_and_without_its_keys() {
    let disk = ledger();
    let trust = trust(&disk);
    let auditor = fsck(&disk, Keys::None, Some(&trust));
    assert_eq!(auditor.verdict, Verdict::Valid, "{auditor:#?}");
    let operator = fsck(&disk, Keys::Layout, None);
    assert_eq!(operator.verdict, Verdict::Valid, "{operator:#?}");
    let opened = operator.checks.iter().find(|check| check.name.contains("keys open")).unwrap();
    assert!(
        opened.detail.starts_with("303 payloads, 0 agents' signatures, 300 index rows,"),
        "{}",
        opened.detail
    );
    assert_eq!(fsck(&disk, Keys::None, None).verdict, Verdict::Undecided, "no trust, no verdict");
    let files: Vec<String> = disk.paths().iter().map(|path| path.display().to_string()).collect();
    for part in ["index.redb", ".snap", "00000001.seg", "entries.pack", "hashes-0.pack"] {
        assert!(files.iter().any(|file| file.contains(part)), "{part} is missing from {files:?}");
    }
}

#[test]
fn any_flipped_bit_of_the_data_directory_is_proven_without_keys() {
    let disk = ledger();
    let trust = trust(&disk);
    let mut flips = 0;
    for path in disk.paths() {
        let path = Path::new("/").join(path);
        let bytes = disk.contents(&path).unwrap_or_default();
        if !path.starts_with("/d/") || bytes.is_empty() {
            continue;
        }
        // Small files byte by byte; of large ones the first page and a sample, at places that no stride repeats.
        let stride = (bytes.len() / 24).max(1) | 1;
        let dense = if bytes.len() < 2_048 { bytes.len() } else { 40 };
        for at in (0..dense).chain((dense..bytes.len()).step_by(stride)) {
            let bit = u8::try_from((at * 5 + 3) % 8).unwrap();
            let copy = disk.snapshot();
            assert!(copy.flip_bit(&path, at as u64, bit), "{}", path.display());
            let report = fsck(&copy, Keys::None, Some(&trust));
            assert_eq!(
                report.verdict,
                Verdict::Invalid,
                "{} byte {at} bit {bit}: {report:#?}",
                path.display()
            );
            flips += 1;
        }
    }
    assert!(flips > 600, "only {flips} bits were flipped");
}

#[test]
fn a_foreign_key_a_truncated_pack_and_a_strange_file_do_not_pass() {
    let disk = ledger();
    let trust_policy = trust(&disk);
    let other = trust(&ledger());
    assert_ne!(fsck(&disk, Keys::None, Some(&other)).verdict, Verdict::Valid);
    let with = |path: &str, bytes: &[u8]| {
        let copy = disk.snapshot();
        copy.place(Path::new(path), bytes).unwrap();
        fsck(&copy, Keys::None, Some(&trust_policy)).verdict
    };
    assert_eq!(with("/d/tiles/hashes-0.pack", b""), Verdict::Undecided, "it can be written again");
    assert_eq!(with("/d/tiles/hashes-9.pack", b"x"), Verdict::Invalid);
    assert_eq!(with("/d/notes.txt", b"x"), Verdict::Invalid);
}

/// What a file system and a person put there is no tampering.
#[test]
fn a_note_in_the_trust_policy_and_the_root_of_a_file_system_pass() {
    let disk = ledger();
    let trust_policy = trust(&disk);
    let text = String::from_utf8(disk.contents(&layout().trust()).unwrap()).unwrap();
    let noted = format!("# made on Monday\n\n{text}# ask the operator\n");
    disk.place(&layout().trust(), noted.as_bytes()).unwrap();
    disk.create_dir_all(Path::new("/d/lost+found"), DirMode::Shared).unwrap();
    let report = fsck(&disk, Keys::None, Some(&trust_policy));
    assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
    disk.place(&layout().trust(), format!("#{text}").as_bytes()).unwrap();
    assert_eq!(fsck(&disk, Keys::None, Some(&trust_policy)).verdict, Verdict::Invalid, "its key is gone");
    let file = ledger();
    let trust_policy = trust(&file);
    file.place(Path::new("/d/lost+found"), b"x").unwrap();
    assert_eq!(fsck(&file, Keys::None, Some(&trust_policy)).verdict, Verdict::Invalid, "a file of that name");
}

#[test]
fn a_changed_head_does_not_pass() {
    let disk = ledger();
    let text = String::from_utf8(disk.contents(&layout().head()).unwrap()).unwrap();
    assert!(text.contains("\n303\n"));
    let copy = disk.snapshot();
    copy.place(&layout().head(), text.replace("\n303\n", "\n999\n").as_bytes()).unwrap();
    assert_ne!(fsck(&copy, Keys::Layout, None).verdict, Verdict::Valid);
}

/// A verifier once said VALID to an answer made up around the proven leaf of an operator's registration.
#[test]
fn an_allow_around_a_leaf_that_is_no_intent_is_a_forgery() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use foreseal::evidence::verify::{ReceiptEvidence, verify_receipt};
    let disk = ledger();
    let trust = trust(&disk);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let (ledger, _) = Ledger::open(&disk, &layout(), &options()).unwrap();
    let published = ledger.published();
    let entry = ledger.entry(0).unwrap().unwrap();
    let receipt = ledger.receipt(0, &entry, published.size, &published.checkpoint).unwrap().to_text();
    let forged = serde_json::json!({
        "id": "019aa000-0000-7000-8000-000000000001", "index": 0, "receipt": receipt, "entry": STANDARD.encode(&entry),
        "decision": {"outcome": "allow", "reasons": [], "conditions": [], "calls": []},
        "opening": {"declared": {"seed": STANDARD.encode([0; 32])}}, "permits": [],
    });
    let forged = serde_json::from_value(forged).unwrap();
    let evidence = ReceiptEvidence { receipt: &receipt, entry: &entry, answer: Some(&forged), intent: None };
    assert_eq!(verify_receipt(&evidence, Some(&trust)).verdict, Verdict::Invalid);
    let bare = ReceiptEvidence { answer: None, ..evidence };
    assert_eq!(verify_receipt(&bare, Some(&trust)).verdict, Verdict::Valid, "the leaf itself is proven");
}
