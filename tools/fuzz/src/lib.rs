//! What must hold of every parser, whatever the bytes: it ends, it does not panic, and what it accepts it writes again as
//! it was. One function a parser; `fuzz_targets/` gives each to libFuzzer.

use std::sync::LazyLock;

use foreseal::evidence::verify::{ReceiptEvidence, verify_receipt};
use foreseal::evidence::{Answer, Receipt, Verdict};
use foreseal::journal::{FrameKey, FrameView, HEADER_BYTES, Position};
use foreseal::merkle::{
    Hash, Tile, TilePath, encode_bundle, leaf_hash, parse_bundle, verify_consistency, verify_inclusion,
};
use foreseal::note::{Checkpoint, SignedNote, TrustPolicy, VerifierKey};
use foreseal::record::canonical::{is_canonical, to_jcs};
use foreseal::record::entry::Entry;
use foreseal::record::field_tree::{FieldOpening, FieldTree, Seed};
use foreseal::record::intent::Intent;
use foreseal::record::json::{self, JsonLimits};
use foreseal::record::statement::parse_signature_header;
use foreseal::record::time::Timestamp;

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

const GOOD_ANSWER: &str = include_str!("../../../examples/receipt/answer.json");
static GOOD: LazyLock<Answer> =
    LazyLock::new(|| serde_json::from_str(GOOD_ANSWER).expect("the example is an answer"));
static TRUST: LazyLock<TrustPolicy> = LazyLock::new(|| {
    TrustPolicy::parse(include_str!("../../../examples/receipt/trust.policy"))
        .expect("the example is a policy")
});

/// Only what the good answer says of the leaf is valid: id, index, leaf, verdicts.
pub fn answer(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(answer) = serde_json::from_str::<Answer>(text) else { return };
    let Some(entry) = decode(&answer.entry) else { return };
    let evidence =
        ReceiptEvidence { receipt: &answer.receipt, entry: &entry, answer: Some(&answer), intent: None };
    if verify_receipt(&evidence, Some(&TRUST)).verdict != Verdict::Valid {
        return;
    }
    let good = &*GOOD;
    assert_eq!(
        (&answer.id, answer.index, &answer.entry),
        (&good.id, good.index, &good.entry),
        "a forged answer is valid"
    );
    assert_eq!(answer.decision.outcome, good.decision.outcome, "a forged verdict is valid");
    let verdicts =
        |answer: &Answer| answer.decision.calls.iter().map(|call| call.outcome).collect::<Vec<_>>();
    assert_eq!(verdicts(&answer), verdicts(good), "a forged verdict of a call is valid");
}

/// Standard base64 with padding.
fn decode(text: &str) -> Option<Vec<u8>> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => Some(u32::from(byte - b'A')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(byte - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let mut bits = 0;
        for byte in group {
            bits = bits << 6 | value(*byte)?;
        }
        bits <<= 6 * (4 - group.len());
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(out)
}

/// Entry bundles write themselves again.
pub fn bundle(bytes: &[u8]) {
    if let Ok(entries) = parse_bundle(bytes) {
        assert_eq!(encode_bundle(entries).expect("it was one"), bytes);
    }
}

/// Checkpoints write themselves again.
pub fn checkpoint(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.body(), text);
    }
}

/// Entries are canonical JSON and write themselves again.
pub fn entry(bytes: &[u8]) {
    if let Ok(entry) = Entry::parse(bytes) {
        assert!(is_canonical(bytes), "an entry that is not canonical");
        if let Some(again) = entry.encode().expect("it was one") {
            assert_eq!(again, bytes);
        }
    }
}

/// Frames carry a tag, so what was accepted is written again under another key and read once more: the same parts.
pub fn frame(bytes: &[u8]) {
    // The header names the place that the frame was written for; anything else is refused at once.
    let Some(places) = bytes.get(8..24) else { return };
    let number = |at: usize| u64::from_be_bytes(places[at..at + 8].try_into().expect("8 bytes"));
    let at = Position { segment: number(0), offset: number(8) };
    let parsed = FrameView::parse(bytes.to_vec(), at).or_else(|_| FrameView::parse(resealed(bytes), at));
    let Ok(view) = parsed else { return };
    let frame = view.to_frame();
    let key = FrameKey::from_bytes([7; 32]);
    let mut again = Vec::new();
    frame.encode(at, &view.header().previous, &key, &mut again).expect("it was one");
    let read = FrameView::parse(again, at).expect("what is written is read");
    assert!(read.is_tagged_by(&key) && read.to_frame() == frame && read.end() == view.end());
}

/// With both checksums made to fit, as far as the lengths allow: behind a wrong one nothing is looked at.
fn resealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(length) = bytes.get(48..52).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes)
    {
        let end = HEADER_BYTES.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if let Some(body) = bytes.get(HEADER_BYTES..end).map(crc32c::crc32c)
            && let Some(place) = bytes.get_mut(end..end + 4)
        {
            place.copy_from_slice(&body.to_be_bytes());
        }
        let header = crc32c::crc32c(bytes.get(..HEADER_BYTES - 4).unwrap_or_default());
        if let Some(place) = bytes.get_mut(HEADER_BYTES - 4..HEADER_BYTES) {
            place.copy_from_slice(&header.to_be_bytes());
        }
    }
    bytes
}

/// What comes in headers and in opening members.
pub fn headers(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = parse_signature_header(text);
    if let Ok(seed) = Seed::from_base64(text) {
        assert_eq!(seed.to_base64(), text);
    }
}

/// An intent that is accepted is JSON that is accepted, commits, and is the document it was.
pub fn intent(bytes: &[u8]) {
    let Ok(_) = Intent::parse(bytes) else { return };
    let document = json::parse(bytes).expect("an intent is strict JSON");
    let seed = Seed::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("32 zeros");
    let tree = FieldTree::of_document(&document, &seed).expect("an intent has a field tree");
    assert!(tree.commitment().matches_document(&document, &seed));
}

/// Strict JSON is JSON, with one canonical form.
pub fn strict_json(bytes: &[u8]) {
    let Ok(value) = json::parse(bytes) else { return };
    let loose: serde_json::Value = serde_json::from_slice(bytes).expect("what is strict is JSON");
    let canonical = to_jcs(&value).expect("what is strict has a canonical form");
    assert_eq!(to_jcs(&loose).expect("it is the same"), canonical, "another reader sees another document");
    assert!(is_canonical(&canonical));
    let again = json::parse(&canonical).expect("the canonical form is strict");
    assert_eq!(to_jcs(&again).expect("it has one"), canonical);
}

/// Signed notes write themselves again.
pub fn note(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(note) = text.parse::<SignedNote>() {
        assert_eq!(note.to_string(), text);
    }
    let _ = TRUST.verify(text);
}

/// Openings of a field.
pub fn opening(bytes: &[u8]) {
    let _ = FieldOpening::parse(bytes, &JsonLimits::default());
}

/// Structured: an index, two sizes, hashes. No proof of made-up hashes verifies, however they are chosen.
pub fn proof(bytes: &[u8]) {
    let Some((numbers, hashes)) = bytes.split_at_checked(24) else { return };
    let number = |at: usize| {
        u64::from_be_bytes(numbers[at..at + 8].try_into().expect("8 bytes")) >> (numbers[at] % 64)
    };
    let hashes: Vec<Hash> = hashes.as_chunks::<32>().0.iter().map(|hash| Hash(*hash)).collect();
    let root = leaf_hash(b"a root that nobody hashed to");
    let (first, second) = (number(0), number(8));
    assert!(verify_inclusion(&leaf_hash(b"leaf"), first, second, &hashes, &root).is_err());
    let other = leaf_hash(b"another root");
    assert!(verify_consistency(first, &root, second, &other, &hashes).is_err());
}

/// Receipts write themselves again.
pub fn receipt(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(receipt) = Receipt::parse(text) {
        assert_eq!(receipt.to_text(), text);
    }
}

/// Tiles and their paths write themselves again.
pub fn tile(bytes: &[u8]) {
    if let Ok(tile) = Tile::from_bytes(bytes) {
        assert_eq!(tile.to_bytes(), bytes);
    }
    let Some(text) = text(bytes) else { return };
    if let Ok(path) = text.parse::<TilePath>() {
        assert_eq!(path.to_string(), text);
    }
}

/// Times write themselves again in their one form.
pub fn time(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(time) = Timestamp::parse_canonical(text) {
        assert_eq!(time.to_string(), text);
    }
    if let Ok(time) = Timestamp::parse(text) {
        assert_eq!(Timestamp::parse_canonical(&time.to_string()).expect("its own form"), time);
    }
}

/// Trust policies mean the same once more.
pub fn trust(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(policy) = TrustPolicy::parse(text) {
        let again = policy.to_string();
        assert_eq!(TrustPolicy::parse(&again).expect("its own form").to_string(), again);
    }
}

/// Verifier keys write themselves again.
pub fn vkey(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
}
