//! What comes as lines of text: notes, keys, policies, receipts, headers, times.

use std::sync::LazyLock;

use foreseal::evidence::Receipt;
use foreseal::note::{Checkpoint, SignedNote, TrustPolicy, VerifierKey};
use foreseal::record::field_tree::Seed;
use foreseal::record::statement::parse_signature_header;
use foreseal::record::time::Timestamp;

use crate::edits::{choice, edited};
use crate::{member, text, vector};

/// The vectors' log, the signed checkpoint of its eight leaves, and whom to trust for it.
static LOG: LazyLock<(TrustPolicy, String)> = LazyLock::new(|| {
    let vector = vector!("note/worked-example.json");
    let trust = TrustPolicy::parse(&format!("log {}\nquorum none\n", member(&vector, "/log/vkey")));
    (trust.expect("the vector's key is one"), member(&vector, "/checkpoints/8/note").to_owned())
});

/// Checkpoints write themselves again.
pub fn checkpoint(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.body(), text);
    }
}

/// What comes in headers and in opening members.
pub fn headers(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let _ = parse_signature_header(text);
    if let Ok(seed) = Seed::from_base64(text) {
        assert_eq!(seed.to_base64(), text);
    }
}

/// Signed notes write themselves again. Of an edited checkpoint only what the log signed is ever believed.
pub fn note(bytes: &[u8]) {
    let (trust, signed) = &*LOG;
    if let Some((0, edits)) = choice(bytes) {
        let Some(forged) = edited(signed.as_bytes(), edits).and_then(|forged| String::from_utf8(forged).ok())
        else {
            return;
        };
        verify(trust, &forged);
        return;
    }
    let Some(text) = text(bytes) else { return };
    if let Ok(note) = text.parse::<SignedNote>() {
        assert_eq!(note.to_string(), text);
    }
    verify(trust, text);
}

/// Eight heads of the vectors' log are signed; no other head is ever believed.
fn verify(trust: &TrustPolicy, note: &str) {
    static SIGNED: LazyLock<Vec<String>> = LazyLock::new(|| {
        let vector = vector!("note/worked-example.json");
        let checkpoints = vector["checkpoints"].as_array().expect("the vector lists checkpoints");
        let body = |note: &str| note.split_once("\n\n").map(|(body, _)| format!("{body}\n"));
        checkpoints.iter().filter_map(|row| body(member(row, "/note"))).collect()
    });
    if let Ok(verified) = trust.verify(note) {
        let body = verified.checkpoint.body();
        assert!(SIGNED.contains(&body), "a head is believed that was never signed: {body:?}");
    }
}

/// Receipts write themselves again.
pub fn receipt(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(receipt) = Receipt::parse(text) {
        assert_eq!(receipt.to_text(), text);
    }
}

/// Times write themselves again in their one form, and mean what another reader of RFC 3339 takes them to mean.
pub fn time(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(time) = Timestamp::parse_canonical(text) {
        assert_eq!(time.to_string(), text);
    }
    let Ok(time) = Timestamp::parse(text) else { return };
    assert_eq!(Timestamp::parse_canonical(&time.to_string()).expect("its own form"), time);
    // It reads no "-00:00" and ends a day before year 9999 does.
    if let Ok(theirs) = text.parse::<jiff::Timestamp>() {
        assert_eq!(theirs.as_nanosecond().div_euclid(1_000_000), i128::from(time.as_millis()), "{text}");
    }
}

/// Trust policies mean the same once more, and one that names no key of a log believes nothing of it.
pub fn trust(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    let Ok(policy) = TrustPolicy::parse(text) else { return };
    let again = policy.to_string();
    let reread = TrustPolicy::parse(&again).expect("its own form");
    assert_eq!(reread.to_string(), again);
    let (trusted, note) = &*LOG;
    let verdict = policy.verify(note).map(|verified| (verified.checkpoint, verified.quorum));
    assert_eq!(
        reread.verify(note).map(|verified| (verified.checkpoint, verified.quorum)).ok(),
        verdict.as_ref().ok().cloned()
    );
    if verdict.is_ok() {
        let key = trusted.logs().first().map(|log| &log.key);
        assert!(policy.logs().iter().any(|log| Some(&log.key) == key), "a head of a log that is not trusted");
    }
}

/// Verifier keys write themselves again.
pub fn vkey(bytes: &[u8]) {
    let Some(text) = text(bytes) else { return };
    if let Ok(key) = text.parse::<VerifierKey>() {
        assert_eq!(key.to_string(), text);
    }
}
