//! The formats of `docs/format.md` are the bytes of `tests/vectors`, which `tools/models/formats.py` computes and the
//! code under test never writes: intents and what is signed of them, evaluations, entries and their links, records,
//! keys and payloads at rest, and the files of a data directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::disk::{DirMode, Disk, FaultyDisk, FileMode, OpenMode};
use foreseal::journal::{
    AES_256_GCM, Frame, FrameKey, FrameView, Position, SealedPayload, XCHACHA20_POLY1305,
};
use foreseal::ledger::checked_file::CheckedFile;
use foreseal::ledger::keyring::{Ciphertext, Keyring, KeyringError};
use foreseal::ledger::layout::Layout;
use foreseal::ledger::packs::Packs;
use foreseal::ledger::payload::Payload;
use foreseal::ledger::state::{CredentialDigest, FoldKey, Holder, Sealed, State};
use foreseal::merkle::{Hash, Tile, leaf_hash};
use foreseal::record::canonical::to_jcs;
use foreseal::record::chain::Chain;
use foreseal::record::entry::{Entry, call_digest};
use foreseal::record::field_tree::{FieldTree, Seed};
use foreseal::record::intent::Intent;
use foreseal::record::json;
use foreseal::record::statement::{
    AgentKey, STATEMENT_TYPE, parse_signature_header, pre_authentication_encoding, statement,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn vector(path: &str) -> Value {
    let bytes = std::fs::read(format!("{ROOT}/tests/vectors/{path}")).unwrap();
    json::parse(&bytes).unwrap()
}

fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}"))
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number at {pointer}"))
}

fn list<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no list at {pointer}"))
}

fn base64(value: &Value, pointer: &str) -> Vec<u8> {
    STANDARD.decode(text(value, pointer)).unwrap()
}

fn fixed<const N: usize>(value: &Value, pointer: &str) -> [u8; N] {
    base64(value, pointer).try_into().unwrap()
}

fn seed(value: &Value, pointer: &str) -> Seed {
    Seed::from_base64(text(value, pointer)).unwrap()
}

fn hex_sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn parsed(entry: &Value) -> Entry {
    Entry::parse(text(entry, "").as_bytes()).unwrap()
}

#[test]
fn a_declared_document_has_its_commitment_and_its_calls_have_their_digests() {
    for name in ["unsigned", "signed"] {
        let v = vector(&format!("intent/{name}.json"));
        let intent = Intent::parse(text(&v, "/document").as_bytes()).unwrap();
        let seed = seed(&v, "/seed");
        let tree = FieldTree::of_document(&intent.document, &seed).unwrap();
        assert_eq!(serde_json::to_value(tree.commitment()).unwrap(), v["commitment"], "{name}");
        assert_eq!(intent.calls.len(), list(&v, "/calls").len());
        for ((i, call), wanted) in (0u32..).zip(&intent.calls).zip(list(&v, "/calls")) {
            let named = json!({"args": call.args, "server": call.server, "tool": call.tool});
            assert_eq!(to_jcs(&named).unwrap(), text(wanted, "/canonical").as_bytes(), "{name} {i}");
            assert_eq!(
                call_digest(&seed, i, call).unwrap().to_string(),
                text(wanted, "/digest"),
                "{name} {i}"
            );
        }
    }
}

#[test]
fn a_statement_its_encoding_and_its_signature_are_these_bytes() {
    let v = vector("intent/signed.json");
    let intent = Intent::parse(text(&v, "/document").as_bytes()).unwrap();
    let declared = serde_json::from_value(v["commitment"].clone()).unwrap();
    let bytes = statement(&intent, &declared, text(&v, "/log")).unwrap();
    assert_eq!(String::from_utf8(bytes.clone()).unwrap(), text(&v, "/statement"));
    assert_eq!(pre_authentication_encoding(STATEMENT_TYPE, &bytes), base64(&v, "/pae"));
    let key = AgentKey::from_bytes(&base64(&v, "/agent_key")).unwrap();
    let signature = parse_signature_header(text(&v, "/header")).unwrap();
    assert_eq!(signature.to_vec(), base64(&v, "/signature"));
    assert_eq!(text(&v, "/header").split('"').nth(1), Some(key.key_id().as_str()));
    key.verify(&bytes, &signature).unwrap();
    for bit in 0..512 {
        let mut flipped = signature;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(key.verify(&bytes, &flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn an_evaluation_is_committed_to_by_its_groups() {
    for name in ["two-calls", "eleven-calls"] {
        let v = vector(&format!("evaluation/{name}.json"));
        let groups = list(&v, "/paths").iter().map(|path| {
            let path = path.as_str().unwrap();
            (path.to_owned(), v["document"].pointer(path).unwrap().clone())
        });
        let tree = FieldTree::of_groups(groups.collect(), &seed(&v, "/seed")).unwrap();
        assert_eq!(serde_json::to_value(tree.commitment()).unwrap(), v["commitment"], "{name}");
    }
}

#[test]
fn entries_are_read_as_these_bytes_and_written_as_them() {
    let v = vector("entries/entries.json");
    let mut understood = 0;
    for case in list(&v, "/accepted") {
        let (about, bytes) = (text(case, "/about"), text(case, "/entry").as_bytes());
        let entry = Entry::parse(bytes).unwrap_or_else(|error| panic!("{about}: {error}"));
        assert_eq!(leaf_hash(bytes).to_string(), text(case, "/leaf_hash"), "{about}");
        match entry.encode().unwrap() {
            Some(again) => assert_eq!(again, bytes, "{about}"),
            None => assert!(matches!(entry, Entry::Unknown { .. }), "{about}"),
        }
        understood += usize::from(!matches!(entry, Entry::Unknown { .. }));
    }
    assert_eq!(understood, 30);
    for case in list(&v, "/refused") {
        let bytes = text(case, "/entry").as_bytes();
        assert!(Entry::parse(bytes).is_err(), "{} was taken", text(case, "/about"));
    }
}

#[test]
fn every_broken_link_is_seen_and_a_whole_chain_is_not() {
    let v = vector("entries/chain.json");
    let leaves: Vec<Entry> = list(&v, "/leaves").iter().map(parsed).collect();
    let chain_to = |count: usize| {
        let mut chain = Chain::default();
        leaves[..count].iter().for_each(|entry| chain.apply(entry).unwrap());
        chain
    };
    assert_eq!(chain_to(leaves.len()).not_understood(), 2);
    for case in list(&v, "/broken") {
        let mut chain = chain_to(number(case, "/at") as usize);
        let before = chain.clone();
        assert!(chain.apply(&parsed(&case["entry"])).is_err(), "{} was taken", text(case, "/about"));
        assert_eq!(chain, before, "{}", text(case, "/about"));
    }
}

#[test]
fn records_are_committed_to_and_folded() {
    let v = vector("entries/records.json");
    for row in list(&v, "/records") {
        let record = json::parse(text(row, "/record").as_bytes()).unwrap();
        let tree = FieldTree::of_document(&record, &seed(row, "/seed")).unwrap();
        let commitment = serde_json::to_value(tree.commitment()).unwrap();
        assert_eq!(commitment, row["commitment"], "leaf {}", row["leaf"]);
        let entry = json::parse(text(row, "/entry").as_bytes()).unwrap();
        assert_eq!(commitment, entry["declared"], "leaf {}", row["leaf"]);
    }
    for row in list(&v, "/tokens") {
        assert_eq!(hex::encode(CredentialDigest::of(text(row, "/token")).0), text(row, "/digest"));
    }
    let token = |i: usize| text(&v, &format!("/tokens/{i}/token"));
    let mut state = State::default();
    for (index, leaf) in list(&vector("entries/chain.json"), "/leaves").iter().enumerate() {
        let row = list(&v, "/records").iter().find(|row| number(row, "/leaf") == index as u64);
        let sealed = row.map_or(Sealed::Nothing, |row| Sealed::Declared(text(row, "/record").as_bytes()));
        state.apply(&parsed(leaf), &sealed, &FoldKey::new(&[7; 32])).unwrap();
        let registry = &state.registry;
        assert_eq!(registry.holder(token(0)), Some(Holder::Operator(0)));
        let agent =
            |from: usize, to: usize, agent| (from..to).contains(&index).then_some(Holder::Agent(agent));
        assert_eq!(registry.holder(token(1)), agent(2, 7, 2), "leaf {index}");
        assert_eq!(registry.holder(token(2)), agent(7, usize::MAX, 2), "leaf {index}");
        assert_eq!(registry.holder(token(3)), agent(3, 10, 3), "leaf {index}");
        let application = (14..21).contains(&index).then_some(Holder::Application(14));
        assert_eq!(registry.holder(token(4)), application, "leaf {index}");
        let server = (15..20).contains(&index).then_some(Holder::ToolServer(15));
        assert_eq!(registry.holder(token(5)), server, "leaf {index}");
        let decides = [(1, 1), (23, 23), (25, 25), (26, 26)].iter().rev().find(|(from, _)| index >= *from);
        assert_eq!(registry.policy().map(|policy| policy.index), decides.map(|(_, at)| *at), "leaf {index}");
        let watches = match index {
            22..24 => Some(22),
            24 => Some(24),
            27..29 => Some(27),
            _ => None,
        };
        assert_eq!(registry.shadow().map(|policy| policy.index), watches, "leaf {index}");
        assert_eq!(state.chain.shadow(), watches, "leaf {index}");
    }
    assert_eq!(state.registry.agent(2).unwrap().roles, ["mail", "support"], "sorted when folded");
    assert_eq!(state.registry.policy().unwrap().digest, text(&v, "/bundle/digest"), "restored");
    assert_eq!(
        state.registry.policies().map(|policy| policy.index).collect::<Vec<_>>(),
        [1, 22, 23, 24, 25, 26, 27, 29]
    );
}

#[cfg(feature = "replay")]
#[test]
fn a_bundle_has_its_digest() {
    let v = vector("entries/records.json");
    let files = v["bundle"]["files"].as_object().unwrap();
    let files = files.iter().map(|(name, text)| (name.clone(), text.as_str().unwrap().as_bytes().to_vec()));
    let bundle = foreseal::policy::Bundle::load(files.collect()).unwrap();
    assert_eq!(hex::encode(bundle.digest()), text(&v, "/bundle/digest"));
}

fn payload_of(v: &Value) -> Payload {
    Payload {
        declared: text(v, "/declared").as_bytes().to_vec(),
        evaluation: text(v, "/evaluation").as_bytes().to_vec(),
        declared_seed: seed(v, "/declared_seed"),
        evaluation_seed: seed(v, "/evaluation_seed"),
        signature: (!v["signature"].is_null()).then(|| fixed(v, "/signature")),
    }
}

#[test]
fn key_files_open_and_the_payload_under_them() {
    let (v, journal) = (vector("keys/at-rest.json"), vector("data-directory/journal.json"));
    let layout = Layout::new(Path::new("/ledger"), None);
    let disk = FaultyDisk::new(1);
    for directory in [&layout.keys, &layout.epochs()] {
        disk.create_dir_all(directory, DirMode::Private).unwrap();
    }
    for (name, bytes) in v["files"].as_object().unwrap() {
        disk.place(&layout.keys.join(name), &base64(bytes, "")).unwrap();
    }
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let keyring = Keyring::open(Arc::clone(&disk), &layout, text(&v, "/origin")).unwrap();
    for row in list(&v, "/session_tags") {
        let tag = keyring.session_tag(number(row, "/agent"), text(row, "/session"));
        assert_eq!(serde_json::to_value(tag).unwrap(), row["tag"]);
    }
    let view = {
        let (frame, at) = (list(&journal, "/frames")[0].clone(), Position { segment: 0, offset: 4096 });
        let mut bytes = hex::decode(text(&frame, "/frame")).unwrap();
        bytes.resize(4096, 0);
        FrameView::parse(bytes, at).unwrap()
    };
    assert!(view.is_tagged_by(keyring.frame_key()), "the key file holds the key of the vectors");
    let sealed = |bytes| Ciphertext {
        epoch: number(&v, "/payload/epoch") as u32,
        kid: fixed(&v, "/payload/kid"),
        aead: AES_256_GCM,
        bytes,
    };
    let id = Uuid::parse_str(text(&v, "/payload/id")).unwrap();
    let ciphertext = base64(&v, "/payload/ciphertext");
    let opened = keyring.open_payload(&sealed(ciphertext.clone()), id.as_bytes()).unwrap();
    assert_eq!(opened.encode().to_vec(), base64(&v, "/payload/plaintext"));
    assert_eq!(payload_of(&v["payload"]).encode().to_vec(), base64(&v, "/payload/plaintext"));
    for byte in (0..ciphertext.len()).step_by(97) {
        let mut flipped = ciphertext.clone();
        flipped[byte] ^= 1;
        assert!(keyring.open_payload(&sealed(flipped), id.as_bytes()).is_err(), "byte {byte}");
    }
    // The journal knows a second cipher, which this software does not use: it is named, and not tried as the first.
    let other = Ciphertext { aead: XCHACHA20_POLY1305, ..sealed(ciphertext.clone()) };
    let refused = keyring.open_payload(&other, id.as_bytes()).map(drop);
    assert!(matches!(refused, Err(KeyringError::Cipher(XCHACHA20_POLY1305))), "{refused:?}");
    assert!(keyring.open_payload(&sealed(ciphertext), &[0; 16]).is_err(), "under another id");
    assert!(Keyring::open(disk, &layout, "example.com/another").is_err(), "of another log");
}

#[test]
fn payload_plaintexts_have_this_form_and_their_class() {
    let v = vector("keys/at-rest.json");
    for case in list(&v, "/plaintexts") {
        let plaintext = base64(case, "/plaintext");
        assert_eq!(payload_of(case).encode().to_vec(), plaintext, "{}", text(case, "/about"));
        assert_eq!(Payload::decode(&plaintext).unwrap().encode().to_vec(), plaintext);
    }
    for case in list(&v, "/size_classes") {
        let (length, class) = (number(case, "/0") as usize, number(case, "/1") as usize);
        // Five lengths and two seeds are 84 bytes.
        let Some(rest) = length.checked_sub(84) else { continue };
        let payload = Payload {
            declared: vec![b'x'; rest],
            evaluation: Vec::new(),
            declared_seed: Seed::from_bytes([0; 32]),
            evaluation_seed: Seed::from_bytes([0; 32]),
            signature: None,
        };
        assert_eq!(payload.encode().len(), class, "{length}");
    }
}

#[test]
fn frames_are_these_bytes() {
    let v = vector("data-directory/journal.json");
    let key = FrameKey::from_bytes(fixed(&vector("keys/at-rest.json"), "/journal_key"));
    let hexed = |value: &Value, pointer| hex::decode(text(value, pointer)).unwrap();
    for case in list(&v, "/frames") {
        let payloads: Vec<SealedPayload> = list(case, "/payloads")
            .iter()
            .map(|payload| SealedPayload {
                entry: number(payload, "/entry") as u32,
                key_epoch: number(payload, "/key_epoch") as u32,
                aead: number(payload, "/cipher") as u8,
                kid: hexed(payload, "/kid").try_into().unwrap(),
                ciphertext: hexed(payload, "/ciphertext"),
            })
            .collect();
        let frame = Frame {
            epoch: number(case, "/epoch"),
            first_index: number(case, "/first_index"),
            checkpoint: b"cp".to_vec(),
            entries: payloads.iter().map(|_| b"{}".to_vec()).collect(),
            payloads,
        };
        let at = Position { segment: number(case, "/segment"), offset: number(case, "/offset") };
        let mut bytes = Vec::new();
        let previous = hexed(case, "/previous").try_into().unwrap();
        let hash = frame.encode(at, &previous, &key, &mut bytes).unwrap();
        assert_eq!(hex::encode(hash), text(case, "/hash"), "{}", text(case, "/about"));
        let wanted = hexed(case, "/frame");
        assert_eq!(bytes[..wanted.len()], wanted[..], "{}", text(case, "/about"));
        assert_eq!(bytes.len(), 4096);
        assert!(bytes[wanted.len()..].iter().all(|byte| *byte == 0));
        let view = FrameView::parse(bytes, at).unwrap();
        assert!(view.is_tagged_by(&key) && !view.is_tagged_by(&FrameKey::from_bytes([0; 32])));
    }
}

#[test]
fn packs_are_these_bytes() {
    let v = vector("data-directory/packs.json");
    let disk = FaultyDisk::new(1);
    let packs = Packs::open(Arc::new(disk.clone()), Path::new("/tiles")).unwrap();
    let hashes: Vec<Hash> = (0u32..256).map(|i| Hash(Sha256::digest(i.to_be_bytes()).into())).collect();
    let (level, index) = (number(&v, "/tile/level") as u8, number(&v, "/tile/index"));
    packs.write_tile(level, index, &Tile::from_hashes(&hashes).unwrap()).unwrap();
    let written = disk.contents(Path::new("/tiles/hashes-0.pack")).unwrap();
    let slot = &written[number(&v, "/tile/offset") as usize..];
    assert_eq!(hex_sha256(slot), text(&v, "/tile/slot_sha256"));
    assert_eq!(hex::encode(&slot[8192..]), text(&v, "/tile/checksum"));
    let mut end = 0;
    for index in 0..2 {
        let entries = (256 * index..256 * (index + 1)).map(|i| i.to_string().into_bytes());
        let framed = entries.flat_map(|entry| [(entry.len() as u16).to_be_bytes().to_vec(), entry].concat());
        let bytes: Vec<u8> = framed.collect();
        packs.write_bundle(index, end, &bytes).unwrap();
        end += bytes.len() as u64;
    }
    let contents = |name: &str| disk.contents(&Path::new("/tiles").join(name)).unwrap();
    assert_eq!(hex::encode(contents("entries.offsets")), text(&v, "/entries_offsets"));
    assert_eq!(hex_sha256(&contents("entries.pack")), text(&v, "/entries_pack_sha256"));
}

#[test]
fn blocks_of_the_index_are_these_bytes() {
    let v = vector("data-directory/index-blocks.json");
    let disk = FaultyDisk::new(1);
    let path = Path::new("/index.redb");
    let file = disk.open(path, OpenMode::CreateNew(FileMode::Shared)).unwrap();
    let checked = CheckedFile::new(file).unwrap();
    checked.set_length(8192).unwrap();
    let block: Vec<u8> = (0..4096u32).map(|i| (i % 251) as u8).collect();
    checked.write(0, &[block.clone(), block].concat()).unwrap();
    let stored = disk.contents(path).unwrap();
    assert_eq!(hex_sha256(&stored), text(&v, "/sha256"));
    for (block, checksum) in stored.chunks(4100).zip(list(&v, "/checksums")) {
        assert_eq!(hex::encode(&block[4096..]), text(checksum, ""));
    }
}

/// Codes are stable, and the schema of an error lists every one.
#[cfg(feature = "server")]
#[test]
fn the_schema_of_problems_lists_the_codes() {
    let schema = json::parse(&std::fs::read(format!("{ROOT}/schemas/problem.schema.json")).unwrap()).unwrap();
    let codes: Vec<&str> = foreseal::service::ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(schema["properties"]["code"]["enum"], json!(codes));
}

/// The committed files are what the model computes now.
#[test]
fn the_vectors_are_the_models() {
    let check = std::process::Command::new("python3")
        .args([&format!("{ROOT}/tools/models/formats.py"), "--check", &format!("{ROOT}/tests/vectors")])
        .output();
    match check {
        Ok(check) => assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout)),
        Err(error) => eprintln!("skipped: the Python model needs python3 ({error})"),
    }
}
