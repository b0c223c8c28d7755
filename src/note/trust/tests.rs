//! Which policies are read, what they print as, and what they say of a note.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::merkle::{Hash, empty_root, leaf_hash};
use crate::note::{Checkpoint, KeyName, LogSigner, NoteSignature, SignedNote, VerifyError, WitnessSigner};

fn log(name: &str, seed: u8) -> LogSigner {
    LogSigner::from_seed(KeyName::parse(name).unwrap(), &[seed; 32])
}

fn witness(seed: u8) -> WitnessSigner {
    WitnessSigner::from_seed(KeyName::parse(&format!("w{seed}.example")).unwrap(), &[100 + seed; 32])
}

fn checkpoint(origin: &str, size: u64, root: Hash) -> Checkpoint {
    Checkpoint { origin: origin.to_owned(), size, root, extensions: vec![] }
}

fn head() -> Checkpoint {
    checkpoint("log.example", 7, leaf_hash(b"root"))
}

/// The head, signed by the log with seed 1 and cosigned by these witnesses.
fn note(cosigners: &[u8]) -> SignedNote {
    let mut note: SignedNote = log("log.example", 1).sign_checkpoint(&head()).unwrap().parse().unwrap();
    for seed in cosigners {
        note.signatures.push(witness(*seed).cosign(&note.text, 1_000 + u64::from(*seed)).unwrap());
    }
    note
}

fn logs_line() -> String {
    format!("log {}\n", log("log.example", 1).verifier())
}

fn witness_lines(seeds: std::ops::Range<u8>) -> String {
    seeds.map(|seed| format!("witness W{seed} {}\n", witness(seed).verifier())).collect()
}

fn policy(text: &str) -> TrustPolicy {
    text.parse().unwrap()
}

fn sign_anything(signer: &LogSigner, seed: u8, text: &str) -> SignedNote {
    use ed25519_dalek::{Signer as _, SigningKey};
    let bytes = SigningKey::from_bytes(&[seed; 32]).sign(text.as_bytes()).to_bytes().to_vec();
    let key = signer.verifier();
    let line = NoteSignature { name: key.name().clone(), key_id: key.id(), bytes };
    SignedNote { text: text.to_owned(), signatures: vec![line] }
}

#[test]
fn a_file_prints_as_a_file_that_reads_the_same() {
    let text = format!(
        "# who we believe\n\n  {}\t\n{}group X 2 W0 W1 W2\ngroup Y any W3 W4\n# quorum none\ngroup both\tall X Y\nquorum both\nlog {} https://old.example/",
        logs_line().trim_end(),
        witness_lines(0..5),
        log("log.example", 2).verifier(),
    );
    let read = policy(&text);
    assert_eq!(read.logs().len(), 2);
    assert_eq!(read.logs()[1].url.as_deref(), Some("https://old.example/"));
    assert_eq!(read.witnesses().len(), 5);
    assert_eq!(read.quorum_name(), Some("both"));
    let printed = read.to_string();
    assert_eq!(policy(&printed), read);
    assert_eq!(policy(&printed).to_string(), printed);
    assert!(printed.ends_with("group X 2 W0 W1 W2\ngroup Y any W3 W4\ngroup both all X Y\nquorum both\n"));

    let own = TrustPolicy::of_log(&log("log.example", 1));
    assert_eq!(own.to_string(), format!("{}quorum none\n", logs_line()));
    assert_eq!(policy(&own.to_string()), own);
}

#[test]
fn a_bad_line_is_named_with_its_number_and_its_fault() {
    let key = witness(0).verifier().to_string();
    let log_key = log("log.example", 1).verifier().to_string();
    let renamed =
        WitnessSigner::from_seed(KeyName::parse("again").unwrap(), &[100; 32]).verifier().to_string();
    let w = witness_lines(0..3);
    for (text, line, part) in [
        (String::new(), None, "no quorum line"),
        (format!("{w}# quorum none"), None, "no quorum line"),
        ("quorum none\nquorum none".to_owned(), Some(2), "a quorum line already"),
        (format!("{w}quorum W3"), Some(4), "no witness or group W3"),
        (format!("quorum W0\n{w}"), Some(1), "no witness or group W0"),
        ("quorum".to_owned(), Some(1), "quorum <name>"),
        (format!("{w}quorum W0 W1"), Some(4), "quorum <name>"),
        (format!("{w}quorum W0 # one"), Some(4), "quorum <name>"),
        ("logs x".to_owned(), Some(1), "not with \"logs\""),
        ("Log x".to_owned(), Some(1), "not with \"Log\""),
        ("quorum none\r\n".to_owned(), Some(1), "control character '\\r'"),
        ("# a\u{0}b".to_owned(), Some(1), "control character"),
        ("\n# \u{7f}".to_owned(), Some(2), "control character"),
        ("log".to_owned(), Some(1), "log <vkey> [<url>]"),
        (format!("log {log_key} a b"), Some(1), "log <vkey> [<url>]"),
        ("log example.com".to_owned(), Some(1), "name+id+key"),
        (format!("log {key}"), Some(1), "a log needs one of type 0x01"),
        (format!("witness W {log_key}"), Some(1), "a witness needs one of type 0x04"),
        (format!("log {log_key}\nlog {log_key}"), Some(2), "already that of another log"),
        (format!("witness A {key}\nwitness B {renamed}"), Some(2), "already that of another witness"),
        (format!("{w}witness W1 {}", witness(9).verifier()), Some(4), "name W1 is already"),
        (format!("witness none {key}"), Some(1), "none is no name"),
        (format!("witness W {key} url more"), Some(1), "witness <name>"),
        (format!("{w}group none any W0"), Some(4), "none is no name"),
        (format!("{w}group G any none"), Some(4), "none is no name"),
        (format!("{w}group W0 any W1"), Some(4), "name W0 is already"),
        (format!("{w}group G any"), Some(4), "group <name>"),
        (format!("{w}group G"), Some(4), "group <name>"),
        (format!("{w}group G any G"), Some(4), "no witness or group G"),
        (format!("{w}group G 0 W0"), Some(4), "decimal from 1 to 1"),
        (format!("{w}group G 3 W0 W1"), Some(4), "decimal from 1 to 2"),
        (format!("{w}group G 01 W0"), Some(4), "decimal from 1 to 1"),
        (format!("{w}group G +1 W0"), Some(4), "decimal from 1 to 1"),
        (format!("{w}group G some W0"), Some(4), "for \"some\""),
        (format!("{w}group G any W0 W0"), Some(4), "W0 is already a member"),
        (format!("{w}group G any W0\ngroup H any W0"), Some(5), "W0 is already a member"),
        ("#".repeat(MAX_POLICY_BYTES + 1), None, "beyond the limit"),
    ] {
        let error = TrustPolicy::parse(&text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(part), "{error}\n  should say: {part}");
    }
}

#[test]
fn a_trusted_log_is_believed_and_its_cosigners_are_counted() {
    let base = format!("{}{}", logs_line(), witness_lines(0..3));
    let verified = |rest: &str, cosigners: &[u8]| {
        policy(&format!("{base}{rest}")).verify(&note(cosigners).to_string()).unwrap()
    };
    let seen = verified("quorum none\n", &[2, 7, 0]);
    assert_eq!(seen.checkpoint, head());
    assert_eq!(seen.log_keys, [log("log.example", 1).verifier().clone()]);
    // Witness 7 is not in the policy; the others are called what the policy calls them.
    let names: Vec<_> = seen.cosigned_by.iter().map(|c| (c.name.as_str(), c.timestamp)).collect();
    assert_eq!(names, [("W2", 1_002), ("W0", 1_000)]);
    assert_eq!(seen.quorum, Quorum::None);

    let two = "group G 2 W0 W1 W2\nquorum G\n";
    assert_eq!(verified(two, &[2, 0]).quorum, Quorum::Met("G".to_owned()));
    assert_eq!(verified(two, &[2, 7]).quorum, Quorum::NotMet { name: "G".to_owned() });
    // The same witness twice is one witness.
    assert_eq!(verified(two, &[2, 2]).quorum, Quorum::NotMet { name: "G".to_owned() });
    assert_eq!(verified("quorum W1\n", &[1]).quorum, Quorum::Met("W1".to_owned()));
    assert_eq!(verified("quorum W1\n", &[0]).quorum, Quorum::NotMet { name: "W1".to_owned() });
}

#[test]
fn while_a_key_is_replaced_either_or_both_are_believed() {
    let (old, new) = (log("log.example", 1), log("log.example", 2));
    let both = policy(&format!("log {}\nlog {}\nquorum none", old.verifier(), new.verifier()));
    let mut note = note(&[]);
    assert_eq!(both.verify(&note.to_string()).unwrap().log_keys, [old.verifier().clone()]);
    note.signatures.push(new.checkpoint_signature(&head()).unwrap());
    assert_eq!(
        both.verify(&note.to_string()).unwrap().log_keys,
        [old.verifier().clone(), new.verifier().clone()]
    );
    // Who knows only one of them ignores the other.
    let only_new = policy(&format!("log {}\nquorum none", new.verifier()));
    assert_eq!(only_new.verify(&note.to_string()).unwrap().log_keys, [new.verifier().clone()]);
}

#[test]
fn proven_false_is_told_from_cannot_tell() {
    let trust = policy(&format!("{}{}quorum none", logs_line(), witness_lines(0..2)));
    let verify = |note: &SignedNote| trust.verify(&note.to_string()).unwrap_err();
    let signer = log("log.example", 1);

    // False: the log's signature, or a witness's, over another text.
    for spoiled in [&note(&[]), &note(&[0])] {
        let mut spoiled = spoiled.clone();
        spoiled.text = spoiled.text.replace("\n7\n", "\n8\n");
        assert!(verify(&spoiled).is_proven_invalid());
    }
    let mut bad_witness = note(&[0]);
    *bad_witness.signatures[1].bytes.last_mut().unwrap() ^= 1;
    let error = verify(&bad_witness);
    assert!(
        matches!(&error, TrustError::Invalid(InvalidCheckpoint::Signature(VerifyError::Signature { key })) if key == "w0.example"),
        "{error}"
    );
    // False: a good signature beside a bad one of the same key.
    let mut twice = note(&[]);
    let mut second = twice.signatures[0].clone();
    second.bytes[3] ^= 1;
    twice.signatures.push(second);
    assert!(verify(&twice).is_proven_invalid());
    // False: our log's key on another log's head, or on an empty tree with something in it.
    let foreign = sign_anything(&signer, 1, &checkpoint("other.example", 7, leaf_hash(b"")).body());
    assert!(matches!(verify(&foreign), TrustError::Invalid(InvalidCheckpoint::Origin { .. })));
    let hollow = sign_anything(&signer, 1, &checkpoint("log.example", 0, leaf_hash(b"")).body());
    assert!(matches!(verify(&hollow), TrustError::Invalid(InvalidCheckpoint::EmptyRoot { .. })));
    let empty = sign_anything(&signer, 1, &checkpoint("log.example", 0, empty_root()).body());
    assert_eq!(trust.verify(&empty.to_string()).unwrap().checkpoint.size, 0);

    // Undecided: signed by nobody known, by a witness alone, by a namesake with another key.
    let namesake = sign_anything(&log("log.example", 9), 9, &head().body());
    let mut witness_only = note(&[1]);
    witness_only.signatures.remove(0);
    for unknown in [namesake, witness_only] {
        assert!(matches!(verify(&unknown), TrustError::Undecided(Undecided::NoTrustedLog { .. })));
    }
    let error = policy("quorum none").verify(&note(&[]).to_string()).unwrap_err();
    assert!(error.to_string().contains("listed: none; the note names: log.example"), "{error}");
    // Undecided: no note at all, or a trusted signature over something else than a checkpoint.
    for unreadable in ["", "\n", "log.example\n7\n", "\u{2014} log.example AAAA\n"] {
        let error = trust.verify(unreadable).unwrap_err();
        assert!(matches!(error, TrustError::Undecided(Undecided::Note(_))), "{unreadable:?}: {error}");
    }
    let letter = sign_anything(&signer, 1, "log.example\nis well\n");
    assert!(matches!(verify(&letter), TrustError::Undecided(Undecided::Checkpoint(_))));
}

/// A policy of six witnesses with nested groups, as a tree: the model that quorums are compared with.
#[derive(Debug, Clone)]
enum Rule {
    Witness(u8),
    Group(usize, Vec<Rule>),
}

impl Rule {
    fn met(&self, cosigned: &HashSet<u8>) -> bool {
        match self {
            Rule::Witness(seed) => cosigned.contains(seed),
            Rule::Group(k, members) => members.iter().filter(|m| m.met(cosigned)).count() >= *k,
        }
    }

    /// Writes the groups below this rule, then its own; says what it is called.
    fn write(&self, text: &mut String, groups: &mut usize) -> String {
        match self {
            Rule::Witness(seed) => format!("W{seed}"),
            Rule::Group(k, members) => {
                let names: Vec<String> = members.iter().map(|m| m.write(text, groups)).collect();
                *groups += 1;
                text.push_str(&format!("group G{groups} {k} {}\n", names.join(" ")));
                format!("G{groups}")
            }
        }
    }
}

/// Joins random runs of what there is into groups until one rule is left.
fn any_rule() -> impl Strategy<Value = Rule> {
    let witnesses = Just((0..6).map(Rule::Witness).collect::<Vec<_>>()).prop_shuffle();
    (witnesses, prop::collection::vec((1..4_usize, 0..3_usize), 6)).prop_map(|(mut rules, joins)| {
        for (take, k) in joins {
            let members: Vec<Rule> = rules.drain(..take.min(rules.len())).collect();
            let threshold = 1 + k % members.len();
            rules.push(Rule::Group(threshold, members));
        }
        rules.swap_remove(0)
    })
}

proptest! {
    #[test]
    fn a_quorum_is_what_its_groups_say(rule in any_rule(), cosigners in prop::collection::hash_set(0..7_u8, 0..7)) {
        let mut text = format!("{}{}", logs_line(), witness_lines(0..6));
        let name = rule.write(&mut text, &mut 0);
        text.push_str(&format!("quorum {name}\n"));
        let trust = policy(&text);
        prop_assert_eq!(&policy(&trust.to_string()), &trust);
        let list: Vec<u8> = cosigners.iter().copied().collect();
        let verified = trust.verify(&note(&list).to_string()).unwrap();
        let expected = if rule.met(&cosigners) { Quorum::Met(name) } else { Quorum::NotMet { name } };
        prop_assert_eq!(verified.quorum, expected);
    }

    #[test]
    fn no_file_panics_and_what_is_read_prints_as_the_same_policy(
        lines in prop::collection::vec((0..12_usize, "[ -~\t]{0,3}"), 0..12), noise in ".{0,40}",
    ) {
        let _ = TrustPolicy::parse(&noise);
        let whole = format!("{}{}group G 2 W0 W1 W2\ngroup H any G W3\nquorum H\nquorum none\n#\n", logs_line(), witness_lines(0..4));
        let whole: Vec<&str> = whole.lines().collect();
        let text: String = lines.iter().map(|(at, extra)| format!("{}{extra}\n", whole.get(*at).unwrap_or(&""))).collect();
        if let Ok(read) = TrustPolicy::parse(&text) {
            prop_assert_eq!(policy(&read.to_string()), read);
        }
        // In order and with some lines left out, most are policies.
        let mut kept: Vec<usize> = lines.iter().map(|(at, _)| *at).collect();
        kept.sort_unstable();
        kept.dedup();
        let text: String = kept.iter().filter_map(|at| whole.get(*at)).map(|line| format!("{line}\n")).collect();
        if let Ok(read) = TrustPolicy::parse(&text) {
            prop_assert_eq!(policy(&read.to_string()), read);
        }
    }
}
