#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    missing_docs
)]
//! Promised: keys, notes, checkpoints and cosignatures are those of the C2SP formats, byte for byte, as other
//! implementations write them; what parses prints as it was; no byte of a signed note can be changed unnoticed.

use std::fs;
use std::path::{Path, PathBuf};

use foreseal::merkle::{Hash, ProofError, verify_consistency};
use foreseal::note::{
    Algorithm, Checkpoint, InvalidCheckpoint, KeyName, LogSigner, MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError,
    NoteParseError, NoteSignature, SeedTextError, SignError, SignedNote, TrustError, TrustPolicy, Undecided,
    VerifierKey, VerifierKeyError, VerifyError, WitnessSigner,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct WorkedExample {
    log: Key,
    witness: Key,
    checkpoints: Vec<Head>,
    cosignature: Cosignature,
    add_checkpoint: String,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    seed: String,
    public_key: Option<String>,
    vkey: String,
}

#[derive(Deserialize)]
struct Head {
    size: u64,
    root: Hash,
    note: String,
}

#[derive(Deserialize)]
struct Cosignature {
    size: u64,
    timestamp: u64,
    line: String,
}

impl WorkedExample {
    fn read() -> WorkedExample {
        serde_json::from_str(include_str!("vectors/note/worked-example.json")).unwrap()
    }

    fn log(&self) -> LogSigner {
        LogSigner::from_seed(name(&self.log.name), &seed(&self.log.seed))
    }

    fn witness(&self) -> WitnessSigner {
        WitnessSigner::from_seed(name(&self.witness.name), &seed(&self.witness.seed))
    }

    fn head(&self, size: u64) -> &Head {
        self.checkpoints.iter().find(|head| head.size == size).unwrap()
    }

    /// The largest head with its cosignature.
    fn cosigned(&self) -> String {
        format!("{}{}\n", self.head(self.cosignature.size).note, self.cosignature.line)
    }

    fn policy(&self) -> TrustPolicy {
        let text = format!("log {}\nwitness W {}\nquorum W\n", self.log.vkey, self.witness.vkey);
        text.parse().unwrap()
    }
}

fn name(text: &str) -> KeyName {
    KeyName::parse(text).unwrap()
}

fn seed(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// An add-checkpoint request: the old size, the proof, the checkpoint.
fn request(body: &str) -> (u64, Vec<Hash>, &str) {
    let (head, note) = body.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let old = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    (old, lines.map(|line| Hash::from_base64(line).unwrap()).collect(), note)
}

#[test]
fn the_worked_example_has_these_keys() {
    let example = WorkedExample::read();
    let (log, witness) = (example.log(), example.witness());
    assert_eq!(log.verifier().to_string(), example.log.vkey);
    assert_eq!(Some(hex::encode(log.verifier().public_key())), example.log.public_key);
    assert_eq!(witness.verifier().to_string(), example.witness.vkey);
    let (read_log, read_witness): (VerifierKey, VerifierKey) =
        (example.log.vkey.parse().unwrap(), example.witness.vkey.parse().unwrap());
    assert_eq!((&read_log, &read_witness), (log.verifier(), witness.verifier()));
    assert_eq!(
        (read_log.algorithm(), read_witness.algorithm()),
        (Algorithm::Ed25519, Algorithm::Cosignature)
    );
}

#[test]
fn the_worked_example_is_signed_byte_for_byte() {
    let example = WorkedExample::read();
    for Head { size, root, note } in &example.checkpoints {
        let checkpoint =
            Checkpoint { origin: example.log.name.clone(), size: *size, root: *root, extensions: vec![] };
        assert_eq!(&example.log().sign_checkpoint(&checkpoint).unwrap(), note);
        let read: SignedNote = note.parse().unwrap();
        assert_eq!(Checkpoint::parse(&read.text).unwrap(), checkpoint);
        assert_eq!(&read.to_string(), note);
    }
    let Cosignature { size, timestamp, line } = &example.cosignature;
    let note: SignedNote = example.head(*size).note.parse().unwrap();
    let cosignature = example.witness().cosign(&note.text, *timestamp).unwrap();
    assert_eq!(&cosignature.to_string(), line);
    assert_eq!(line.parse::<NoteSignature>().unwrap(), cosignature);
    let verified = example.policy().verify(&example.cosigned()).unwrap();
    assert_eq!((verified.checkpoint.size, verified.cosigned_by[0].timestamp), (*size, *timestamp));
    assert_eq!(verified.quorum, foreseal::note::Quorum::Met("W".to_owned()));
}

#[test]
fn the_worked_example_goes_to_a_witness() {
    let example = WorkedExample::read();
    let (old, proof, note) = request(&example.add_checkpoint);
    let new = example.policy().verify(note).unwrap().checkpoint;
    verify_consistency(old, &example.head(old).root, new.size, &new.root, &proof).unwrap();
}

/// Every bit of the file, one after the other. What is still a note and still opens says the same as before.
#[test]
fn no_bit_of_a_signed_checkpoint_can_be_changed_unnoticed() {
    let example = WorkedExample::read();
    let trust = example.policy();
    let original = example.cosigned();
    let verified = trust.verify(&original).unwrap();
    let lines: Vec<usize> = original.match_indices('\n').map(|(at, _)| at).collect();
    for at in 0..original.len() {
        for bit in 0..8 {
            let mut bytes = original.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            match trust.verify(&text) {
                Err(error) => {
                    // In the three lines of the text themselves, nothing is left that could be undecided: the key is known.
                    let in_text =
                        at < lines[2] && !lines.contains(&at) && !text.chars().any(|c| c < ' ' && c != '\n');
                    assert!(!in_text || error.is_proven_invalid(), "byte {at}, bit {bit}: {error}");
                }
                // A name or id that was changed makes the line one of an unknown key: the witness no longer counts.
                Ok(other) => {
                    assert!(at > lines[4], "byte {at}, bit {bit} of the log's own part went unnoticed");
                    assert_eq!(other.checkpoint, verified.checkpoint);
                    assert!(other.cosigned_by.is_empty());
                }
            }
        }
    }
}

#[test]
fn keys_of_others_are_read() {
    // The example of the signed-note specification, the log of Tessera's tests, and the key of Go's note package.
    for text in [
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
    }
}

#[test]
fn a_key_that_should_not_be_trusted_is_refused_with_its_reason() {
    use VerifierKeyError as E;
    let good = WorkedExample::read().log.vkey;
    let key = good.splitn(3, '+').nth(2).unwrap();
    let with = |id: &str, key: &str| format!("example.com/intent-ledger+{id}+{key}").parse::<VerifierKey>();
    assert!(with("4bba1ea6", key).is_ok());
    assert!(matches!("example.com".parse::<VerifierKey>(), Err(E::Parts)));
    assert!(matches!("example.com+4bba1ea6".parse::<VerifierKey>(), Err(E::Parts)));
    assert!(matches!(good.replacen('/', " ", 1).parse::<VerifierKey>(), Err(E::Name(_))));
    assert!(matches!(format!("+4bba1ea6+{key}").parse::<VerifierKey>(), Err(E::Name(_))));
    for id in ["", "4BBA1EA6", "4bba1ea", "4bba1ea6a", "0x4bba1e"] {
        assert!(matches!(with(id, key), Err(E::Id { .. })), "{id}");
    }
    assert!(matches!(with("4bba1ea7", key), Err(E::IdMismatch { .. })));
    for bad in ["", "A", "====", " AQ==", "AR==", &format!("{key}\n")] {
        assert!(matches!(with("4bba1ea6", bad), Err(E::Base64 { .. })), "{bad:?}");
    }
    assert!(matches!(with("4bba1ea6", "AQ=="), Err(E::KeyLength { bytes: 0, .. })));
    assert!(matches!(with("4bba1ea6", &format!("{key}AAAA")), Err(E::KeyLength { bytes: 35, .. })));
    for (byte, says) in
        [(0x00, "unassigned"), (0x02, "ECDSA"), (0x05, "tree head"), (0x06, "ML-DSA-44"), (0xff, "private")]
    {
        use base64::Engine as _;
        let typed = base64::engine::general_purpose::STANDARD.encode([&[byte][..], &[7; 40]].concat());
        let error = with("4bba1ea6", &typed).unwrap_err();
        assert!(matches!(&error, E::UnsupportedAlgorithm { algorithm, .. } if *algorithm == byte));
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn points_that_anyone_can_sign_for_are_no_keys() {
    let refused =
        |bytes: [u8; 32]| VerifierKey::from_bytes(name("weak.example"), Algorithm::Ed25519, &bytes).is_err();
    let mut small_order = vec![];
    // y = 0, 1 and -1, with either sign of x, each in its canonical form.
    let mut minus_one = [0xff; 32];
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    let mut one = [0; 32];
    one[0] = 1;
    small_order.extend([[0; 32], one, minus_one]);
    // The two points of order eight, up to sign.
    for point in [
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    ] {
        small_order.push(seed(point));
    }
    for point in small_order {
        let mut negative = point;
        negative[31] |= 0x80;
        assert!(refused(point) && refused(negative), "{}", hex::encode(point));
    }
    // y = p + k: a second encoding of y = k, wherever k is on the curve.
    for low in 0xed..=0xff {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, 0x7f);
        let mut negative = bytes;
        negative[31] |= 0x80;
        assert!(refused(bytes) && refused(negative), "{low:#x}");
    }
    assert!(!refused(*WorkedExample::read().log().verifier().public_key()));
}

#[test]
fn secret_text_comes_back_and_shows_nowhere() {
    let example = WorkedExample::read();
    let signer = example.log();
    let text = signer.to_secret_text();
    assert_eq!(
        text.as_str(),
        "PRIVATE+KEY+example.com/intent-ledger+4bba1ea6+AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    );
    assert_eq!(LogSigner::from_secret_text(&text).unwrap().verifier(), signer.verifier());
    let secret = "AQABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    for shown in [format!("{signer:?}"), format!("{signer:#?}"), format!("{:?}", example.witness())] {
        assert!(!shown.contains(secret) && !shown.contains(&example.log.seed), "{shown}");
    }
    for bad in [
        String::new(),
        text.trim_start_matches("PRIVATE+").to_owned(),
        text.to_lowercase(),
        format!("{}\n", text.as_str()),
        format!(" {}", text.as_str()),
        format!("{}A", text.as_str()),
        format!("{}AAAA", text.as_str()),
        text.replace("4bba1ea6", "4bba1ea7"),
        text.replace("4bba1ea6", "4BBA1EA6"),
        text.replace("intent-ledger", "another-log"),
        text.replace("intent-ledger", "intent ledger"),
        text.replace("+AQAB", "+AgAB"),
        text.replace(secret, &secret[..40]),
        text.replace(secret, &example.log.seed),
    ] {
        let error = LogSigner::from_secret_text(&bad).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(&secret[4..]) && !shown.contains(&example.log.seed), "{shown}");
        assert!(!matches!(error, SeedTextError::IdMismatch { .. }) || bad.contains("PRIVATE"));
    }
}

#[test]
fn a_log_key_signs_for_its_own_log_alone() {
    let example = WorkedExample::read();
    let (log, root) = (example.log(), example.head(7).root);
    let own = Checkpoint { origin: example.log.name.clone(), size: 7, root, extensions: vec![] };
    for origin in
        ["", "example.com/intent-ledge", "example.com/intent-ledger\n8", "EXAMPLE.com/intent-ledger"]
    {
        let other = Checkpoint { origin: origin.to_owned(), ..own.clone() };
        assert!(matches!(log.sign_checkpoint(&other), Err(SignError::Origin { .. })), "{origin:?}");
    }
    let extended = Checkpoint { extensions: vec!["\n\u{2014} x y".to_owned()], ..own.clone() };
    assert_eq!(log.sign_checkpoint(&extended), Err(SignError::Extensions));
    let witness = example.witness();
    assert!(matches!(witness.cosign("no checkpoint\n", 7), Err(SignError::Checkpoint(_))));
    let latest = i64::MAX as u64;
    assert!(witness.cosign(&own.body(), latest).is_ok());
    assert_eq!(witness.cosign(&own.body(), latest + 1), Err(SignError::Timestamp { timestamp: latest + 1 }));
}

#[test]
fn a_signature_has_exactly_its_length_and_its_role() {
    let example = WorkedExample::read();
    let note: SignedNote = example.cosigned().parse().unwrap();
    let (log, witness) = (example.log(), example.witness());
    let [signature, cosignature] = &note.signatures[..] else { panic!("two lines") };
    assert_eq!(log.verifier().verify(&note.text, &signature.bytes), Ok(None));
    assert_eq!(
        witness.verifier().verify(&note.text, &cosignature.bytes),
        Ok(Some(example.cosignature.timestamp))
    );
    for (key, bytes) in [(log.verifier(), &signature.bytes), (witness.verifier(), &cosignature.bytes)] {
        let length = |got| Err(VerifyError::Length { key: key.name().clone(), expected: bytes.len(), got });
        for got in 0..bytes.len() {
            assert_eq!(key.verify(&note.text, &bytes[..got]), length(got));
        }
        assert_eq!(key.verify(&note.text, &[&bytes[..], &[0]].concat()), length(bytes.len() + 1));
        let failed = Err(VerifyError::Signature { key: key.name().clone() });
        assert_eq!(key.verify(&note.text[1..], bytes), failed);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert_eq!(key.verify(&note.text, &flipped), failed, "byte {at}");
        }
    }
    let mut late = cosignature.bytes.clone();
    late[0] = 0x80;
    assert!(matches!(witness.verifier().verify(&note.text, &late), Err(VerifyError::Timestamp { .. })));
    // A log's signature is none of a witness with the same key, nor the other way round.
    let twin = WitnessSigner::from_seed(name(&example.log.name), &seed(&example.log.seed));
    let timeless = [&[0; 8][..], &signature.bytes].concat();
    assert!(twin.verifier().verify(&note.text, &timeless).is_err());
    let timed = twin.cosign(&note.text, 0).unwrap();
    assert!(log.verifier().verify(&note.text, &timed.bytes[8..]).is_err());
}

#[test]
fn a_malleated_signature_is_refused() {
    // s + L is the same scalar: a second signature that a lax verifier takes.
    let order = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";
    let example = WorkedExample::read();
    let note: SignedNote = example.head(7).note.parse().unwrap();
    let mut bytes = note.signatures[0].bytes.clone();
    let mut carry = 0_u16;
    for (byte, add) in bytes[32..].iter_mut().zip(seed(order)) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry as u8;
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    assert!(example.log().verifier().verify(&note.text, &bytes).is_err());
}

#[test]
fn opening_ignores_strangers_and_rejects_on_one_known_failure() {
    let example = WorkedExample::read();
    let (log, witness) = (example.log(), example.witness());
    let mut note: SignedNote = example.cosigned().parse().unwrap();
    // A stranger with the log's name, and one with its id: unknown pairs both.
    let stranger = LogSigner::from_seed(name("stranger.example"), &[9; 32]);
    let mut same_name = note.signatures[0].clone();
    same_name.key_id = stranger.verifier().id();
    let mut same_id = note.signatures[0].clone();
    same_id.name = stranger.verifier().name().clone();
    note.signatures.splice(0..0, [same_name, same_id]);
    let opened = note.open([log.verifier(), witness.verifier()]).unwrap();
    assert_eq!((opened.signatures.len(), opened.unknown), (2, 2));
    assert_eq!(opened.signatures[0].key, log.verifier());
    assert_eq!(opened.signatures[1].timestamp, Some(example.cosignature.timestamp));
    assert_eq!(note.open([witness.verifier()]).unwrap().unknown, 3);
    assert!(matches!(note.open([stranger.verifier()]), Err(NoteError::NoKnownKey { known: 1, .. })));
    assert!(matches!(note.open([]), Err(NoteError::NoKnownKey { known: 0, .. })));
    note.signatures[3].bytes[70] ^= 1;
    assert!(matches!(note.open([log.verifier(), witness.verifier()]), Err(NoteError::Invalid(_))));
    assert!(note.open([log.verifier()]).is_ok());
}

#[test]
fn what_is_no_note_is_refused_where_it_fails() {
    use NoteParseError as E;
    let note = WorkedExample::read().head(7).note.clone();
    let (text, line) = note.split_once("\n\n").unwrap();
    let parse = |text: &str| text.parse::<SignedNote>();
    assert_eq!(parse(""), Err(E::NoBlankLine));
    assert_eq!(parse(text), Err(E::NoBlankLine));
    assert_eq!(parse(&format!("\n{line}")), Err(E::NoBlankLine));
    assert_eq!(parse(&format!("{text}\n\n")), Err(E::NoSignatures));
    assert_eq!(parse(note.trim_end()), Err(E::NoSignatures));
    assert_eq!(parse(&note.replace('\n', "\r\n")), Err(E::Control { character: '\r', position: 25 }));
    assert_eq!(parse(&format!("\t{note}")), Err(E::Control { character: '\t', position: 0 }));
    assert_eq!(parse(&"x".repeat(MAX_NOTE_BYTES + 1)), Err(E::TooLarge { bytes: MAX_NOTE_BYTES + 1 }));
    // Blank lines belong to the text, up to the last.
    let parted = format!("\n\na\n\n{note}");
    let read = parse(&parted).unwrap();
    assert_eq!(read.text, format!("\n\na\n\n{text}\n"));
    assert_eq!(read.to_string(), parted);
    for bad in [
        line.replace('\u{2014}', "-"),
        line.replace('\u{2014}', "\u{2013}"),
        line.replacen(' ', "  ", 1),
        line.replacen(" example", "example", 1),
        line.replace("ledger ", "ledger  "),
        line.replace("ledger ", "ledger+ "),
        line.replace("ledger ", "ledger\u{a0} "),
        line.replace("ws=", "ws"),
        line.replace("ws=", "wt="),
        line.replace('\n', " \n"),
        "\u{2014} example.com/intent-ledger\n".to_owned(),
        "\u{2014} example.com/intent-ledger \n".to_owned(),
        "\u{2014} example.com/intent-ledger S7oepg==\n".to_owned(),
        "\u{2014}  S7oepgA=\n".to_owned(),
    ] {
        let error = parse(&format!("{text}\n\n{line}{bad}")).unwrap_err();
        assert!(matches!(error, E::Signature { line: 2, .. }), "{bad:?}: {error}");
    }
}

#[test]
fn sixteen_large_signatures_fit_and_the_101st_does_not() {
    let mut note: SignedNote = WorkedExample::read().head(7).note.parse().unwrap();
    let large = NoteSignature { bytes: vec![7; 5_000], ..note.signatures[0].clone() };
    note.signatures = vec![large; MAX_SIGNATURES];
    assert_eq!(note.to_string().parse::<SignedNote>().unwrap(), note);
    note.signatures.push(note.signatures[0].clone());
    assert_eq!(note.to_string().parse::<SignedNote>(), Err(NoteParseError::TooManySignatures));
}

fn shared(folder: &str) -> Option<PathBuf> {
    let data = std::env::var_os("FORESEAL_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = data.join("vectors").join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: {} is not there (FORESEAL_SHARED_DATA says where it is)", folder.display());
    None
}

#[test]
fn the_heads_of_another_log_verify() {
    let Some(folder) = shared("tessera-log") else { return };
    let vkey = "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx";
    let trust: TrustPolicy = format!("log {vkey}\nquorum none\n").parse().unwrap();
    for size in 0..=15 {
        let text = fs::read_to_string(folder.join(format!("checkpoint.{size}"))).unwrap();
        let verified = trust.verify(&text).unwrap();
        assert_eq!(verified.checkpoint.size, size);
        assert_eq!(verified.log_keys[0].to_string(), vkey);
        assert_eq!(text.parse::<SignedNote>().unwrap().to_string(), text);
        let forged = text.replacen(&format!("\n{size}\n"), "\n16\n", 1);
        assert!(trust.verify(&forged).unwrap_err().is_proven_invalid());
    }
}

#[test]
fn the_files_of_the_worked_example_are_those_kept_here() {
    let Some(folder) = shared("worked-example") else { return };
    let example = WorkedExample::read();
    let file = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    for Head { size, note, .. } in &example.checkpoints {
        assert_eq!(&file(&format!("checkpoint.{size}")), note);
    }
    assert_eq!(file("vkey"), example.log.vkey);
    assert_eq!(file("wvkey"), example.witness.vkey);
    assert_eq!(file("add-checkpoint.3-7"), example.add_checkpoint);
}

/// A witness's conversation, with the answers it should give: ours must come to the same judgement.
#[test]
fn a_witness_conversation_is_judged_as_the_witness_did() {
    let Some(folder) = shared("witness") else { return };
    let script = fs::read_to_string(folder.join("litewitness.txt")).unwrap();
    let key = seed("ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f");
    let origin = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";
    let key = VerifierKey::from_bytes(name(origin), Algorithm::Ed25519, &key).unwrap();
    assert_eq!(hex::encode(key.id()), "5202289b");
    let trust: TrustPolicy = format!("log {key}\nquorum none\n").parse().unwrap();
    let mut known: Option<Checkpoint> = None;
    let mut statuses = vec![];
    let parts: Vec<&str> = script.split("```\n").collect();
    for exchange in parts[1..].chunks(2) {
        let [body, answer] = exchange else { break };
        let status = answer.strip_prefix("HTTP ").unwrap()[..3].parse::<u16>().unwrap();
        statuses.push(status);
        let (old, proof, note) = request(body);
        let verified = trust.verify(note);
        if status == 403 {
            match verified.unwrap_err() {
                // Its last base64 character has bits that mean nothing. A lax decoder drops them; here a note has one
                // spelling, and in that one the signature is as wrong.
                TrustError::Undecided(Undecided::Note(_)) => {
                    assert!(answer.contains("invalid signature"));
                    let canonical = trust.verify(&note.replace("rx6gx=", "rx6gw=")).unwrap_err();
                    assert!(matches!(canonical, TrustError::Invalid(InvalidCheckpoint::Signature(_))));
                }
                TrustError::Undecided(Undecided::NoTrustedLog { .. }) => {
                    assert!(answer.contains("unknown log"));
                }
                other => panic!("{other}"),
            }
            continue;
        }
        let head = verified.unwrap().checkpoint;
        let last = known.as_ref().map_or(0, |checkpoint| checkpoint.size);
        if status == 409 {
            assert!(old != last && answer.contains(&format!("\"{last}\\n\"")));
            continue;
        }
        assert_eq!(old, last);
        let from = known.as_ref().map_or_else(foreseal::merkle::empty_root, |checkpoint| checkpoint.root);
        let consistent = verify_consistency(old, &from, head.size, &head.root, &proof);
        match status {
            200 => {
                assert_eq!(consistent, Ok(()));
                known = Some(head);
            }
            422 => assert!(
                matches!(
                    consistent,
                    Err(ProofError::TooShort { .. }
                        | ProofError::OldRoot { .. }
                        | ProofError::NewRoot { .. })
                ),
                "{consistent:?}"
            ),
            other => panic!("unexpected answer {other}"),
        }
    }
    assert_eq!(statuses, [200, 403, 403, 422, 422, 200, 409, 200, 409]);
    assert_eq!(known.map(|checkpoint| checkpoint.size), Some(5));
}

/// A valid text with a few pieces cut out, put in, or moved.
fn mutated(text: String) -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\n".to_owned()),
        Just("\n\n".to_owned()),
        Just("\u{2014} ".to_owned()),
        Just("+".to_owned()),
        Just("=".to_owned()),
        Just(" ".to_owned()),
        ".{0,3}",
    ];
    prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, pieces), 0..4).prop_map(move |edits| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, cut, piece) in edits {
            let at = at.index(chars.len() + 1);
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn mutated_notes_never_panic_and_print_as_they_were(text in mutated(WorkedExample::read().cosigned())) {
        if let Ok(note) = text.parse::<SignedNote>() {
            prop_assert_eq!(note.to_string(), text.as_str());
            if let Ok(checkpoint) = Checkpoint::parse(&note.text) {
                prop_assert_eq!(checkpoint.body(), note.text.as_str());
            }
        }
        let example = WorkedExample::read();
        if let Ok(verified) = example.policy().verify(&text) {
            prop_assert_eq!(verified.checkpoint.body(), example.head(70_000).note.split_inclusive('\n').take(3).collect::<String>());
        }
    }

    #[test]
    fn noise_never_panics(text in "(\\PC|\n|\u{2014} ){0,60}") {
        if let Ok(note) = text.parse::<SignedNote>() {
            prop_assert_eq!(note.to_string(), text.as_str());
        }
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text.as_str());
        }
        let _ = (Checkpoint::parse(&text), LogSigner::from_secret_text(&text), TrustPolicy::parse(&text));
    }

    #[test]
    fn mutated_keys_are_refused_or_the_same(text in mutated(WorkedExample::read().log.vkey)) {
        if let Ok(key) = text.parse::<VerifierKey>() {
            prop_assert_eq!(key.to_string(), text.as_str());
            prop_assert_eq!(text, WorkedExample::read().log.vkey);
        }
    }

    #[test]
    fn any_log_signs_what_its_vkey_verifies(seed: [u8; 32], name in "[a-z./\u{e9}]{1,40}", size: u64, root: [u8; 32], time in 0..=i64::MAX as u64) {
        let log = LogSigner::from_seed(KeyName::parse(&name).unwrap(), &seed);
        let again = LogSigner::from_secret_text(&log.to_secret_text()).unwrap();
        prop_assert_eq!(again.verifier(), log.verifier());
        let key: VerifierKey = log.verifier().to_string().parse().unwrap();
        prop_assert_eq!(&key, log.verifier());
        let checkpoint = Checkpoint { origin: name.clone(), size: size.max(1), root: Hash(root), extensions: vec![] };
        let note = again.sign_checkpoint(&checkpoint).unwrap();
        let verified = TrustPolicy::of_log(&log).verify(&note).unwrap();
        prop_assert_eq!(&verified.checkpoint, &checkpoint);
        let witness = WitnessSigner::from_seed(KeyName::parse(&name).unwrap(), &seed);
        let line = witness.cosign(&checkpoint.body(), time).unwrap();
        prop_assert_eq!(witness.verifier().verify(&checkpoint.body(), &line.bytes), Ok(Some(time)));
        prop_assert!(log.verifier().id() != witness.verifier().id());
    }
}
