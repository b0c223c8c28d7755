//! Frames that somebody wrote by hand into a data directory at rest.

use foreseal::ledger::Change;
use foreseal::ledger::fsck::check_first;
use foreseal::ledger::state::CredentialDigest;
use serde_json::Value;

use super::*;

/// What a hand with the journal's format puts behind the last frame. Checksums, links and checkpoint hold; the tag is
/// right only if the key is.
fn append_by_hand(site: &Site, key: &FrameKey, entries: Vec<Vec<u8>>, payloads: Vec<SealedPayload>) {
    let journal = site.layout.journal();
    let start = Position { segment: 0, offset: 0 };
    let last = frames_from(&site.faulty, &journal, start).unwrap().last().unwrap().unwrap().1;
    let frame = Frame {
        epoch: last.header().epoch,
        first_index: last.header().next_index(),
        checkpoint: last.checkpoint().to_vec(),
        entries,
        payloads,
    };
    let mut bytes = Vec::new();
    frame.encode(last.end(), &last.hash(), key, &mut bytes).unwrap();
    let file = journal.join(segment_file_name(last.end().segment));
    let mut segment = site.faulty.contents(&file).unwrap();
    let at = last.end().offset as usize;
    assert!(at + bytes.len() <= segment.len(), "it fits the segment");
    segment[at..at + bytes.len()].copy_from_slice(&bytes);
    site.faulty.place(&file, &segment).unwrap();
}

fn canonical(entry: &Value) -> Vec<u8> {
    foreseal::record::canonical::to_jcs(entry).unwrap()
}

/// Two intents of one agent, at rest; the leaf of the second, and that leaf as the agent's next one.
fn two_intents(seed: u64) -> (Site, SealedLeaf, Vec<u8>) {
    let site = Site::new(seed);
    site.init();
    let desk = site.open();
    let agent = desk.add_agent("mailer");
    desk.seal(&agent, &intent("mailer", Some(id(1)), 1));
    let leaf = desk.seal(&agent, &intent("mailer", Some(id(2)), 2));
    drop(desk);
    let mut entry: Value = serde_json::from_slice(&leaf.entry).unwrap();
    entry["id"] = id(3).to_string().into();
    entry["prev"] = leaf.index.into();
    entry["seq"] = 2.into();
    let entry = canonical(&entry);
    (site, leaf, entry)
}

/// Who can write the data directory, and holds no key, has a leaf of any type put behind the last frame: the service
/// refuses to start, signs nothing, and neither checker calls the directory valid.
#[test]
fn a_frame_appended_without_the_keys_is_never_signed() {
    let (site, leaf, forged_intent) = two_intents(15);
    let sealed: Value = serde_json::from_slice(&leaf.entry).unwrap();
    let (at, key) = (sealed["at"].as_str().unwrap(), id(9).to_string());
    let agent = sealed["agent"].as_u64().unwrap();
    let refused = canonical(&json!({"v": 1, "type": "refused", "id": key, "at": at, "since": at,
        "counts": {"400": 1, "401": 0, "403": 0, "409": 0, "413": 0, "429": 0, "503": 0}}));
    let revoked = canonical(&json!({"v": 1, "type": "agent", "id": key, "at": at, "operation": "revoke",
        "agent": agent, "by": 0}));
    let journal = site.layout.journal();
    let frames = frames_from(&site.faulty, &journal, Position { segment: 0, offset: 0 });
    // An intent's own ciphertext, copied: it is authentic, for another leaf.
    let payloads: Vec<_> = frames
        .unwrap()
        .flat_map(|frame| frame.unwrap().1.payloads().map(|payload| payload.to_sealed()).collect::<Vec<_>>())
        .collect();
    let mut copied = payloads.last().unwrap().clone();
    copied.entry = 0;
    let forgeries = [
        (forged_intent.clone(), vec![]),
        (forged_intent, vec![copied]),
        (refused.clone(), vec![]),
        (revoked, vec![]),
    ];
    for (entry, payloads) in forgeries {
        let name = String::from_utf8(entry.clone()).unwrap();
        let copy = site.moved_to(site.faulty.snapshot());
        append_by_hand(&copy, &FrameKey::from_bytes([1; 32]), vec![entry.clone()], payloads.clone());
        let head = copy.faulty.contents(&copy.layout.head()).unwrap();
        let refused = copy.try_open().map(drop).unwrap_err();
        assert!(
            matches!(refused, OpenError::Journal(JournalError::Recover(RecoverError::NotTagged { .. }))),
            "{name}: {refused}"
        );
        assert!(refused.hint().contains("nothing was signed"), "{}", refused.hint());
        assert_eq!(copy.faulty.contents(&copy.layout.head()).unwrap(), head, "nothing was published");
        let report = support::checked(&copy, Keys::Layout);
        assert_eq!(report.verdict, Verdict::Invalid, "{name}: {report:#?}");
        let report = support::checked(&copy, Keys::None);
        assert_eq!(report.verdict, Verdict::Undecided, "{name}: {report:#?}");
        let coverage = report.coverage.unwrap();
        assert_eq!((coverage.leaves, coverage.signed), (leaf.index + 2, leaf.index + 1), "{name}");
        let said = report.hint.unwrap();
        assert!(
            said.contains("start it once") && said.ends_with(&format!("--upto {}", leaf.index + 1)),
            "{said}"
        );
        // What was signed before is as good as ever; more than that is not to be had.
        let first = |upto| {
            let (disk, trust) = (copy.disk(), copy.trust());
            check_first(&disk, &copy.layout, upto, Some(&trust), &mut |_, _| {})
        };
        let report = first(leaf.index + 1);
        assert_eq!(report.verdict, Verdict::Valid, "{name}: {report:#?}");
        assert_eq!(report.coverage.unwrap().leaves, leaf.index + 1);
        assert!(report.not_checked.iter().any(|what| what.contains("behind its first")), "{report:#?}");
        assert_eq!(first(leaf.index + 2).verdict, Verdict::Undecided, "{name}");
    }
    // With the key it is what the ledger itself would have written: the tag is all that stood in the way.
    let ring = Keyring::open(site.disk(), &site.layout, ORIGIN).unwrap();
    append_by_hand(&site, ring.frame_key(), vec![refused], vec![]);
    assert_eq!(support::checked(&site, Keys::Layout).verdict, Verdict::Valid);
    assert_eq!(support::checked(&site, Keys::None).verdict, Verdict::Undecided, "an auditor has no key");
    assert_eq!(site.open().ledger.published().size, leaf.index + 2);
    let report = support::checked(&site, Keys::None);
    assert_eq!(report.verdict, Verdict::Valid, "the start has signed it: {report:#?}");
}

/// Who holds the journal's key, but wrote nonsense: the leaf commits to nothing that is there.
#[test]
fn an_intent_without_its_payload_does_not_pass_with_the_keys() {
    let (site, _, entry) = two_intents(14);
    let ring = Keyring::open(site.disk(), &site.layout, ORIGIN).unwrap();
    append_by_hand(&site, ring.frame_key(), vec![entry], vec![]);
    assert_eq!(support::checked(&site, Keys::None).verdict, Verdict::Undecided, "an auditor cannot tell yet");
    let report = support::checked(&site, Keys::Layout);
    assert_eq!(report.verdict, Verdict::Invalid, "{report:#?}");
    assert!(report.checks.iter().any(|check| check.detail.contains("payload is missing")), "{report:#?}");
}

/// A leaf says who signed; only the payload holds the signature. One that is not the agent's, sealed by whoever runs the
/// service, does not pass with the keys.
#[test]
fn a_signature_that_is_not_the_agents_does_not_pass_with_the_keys() {
    use ed25519_dalek::{Signer as _, SigningKey};
    use foreseal::record::statement::{pre_authentication_encoding, statement};
    let key = SigningKey::from_bytes(&[5; 32]);
    let public = key.verifying_key().to_bytes();
    for honest in [true, false] {
        let site = Site::new(16);
        site.init();
        let desk = site.open();
        let credential = CredentialDigest::of("token");
        let change =
            Change::RegisterAgent { name: "signer".to_owned(), roles: vec![], credential, key: Some(public) };
        let index = desk.administer(Some(0), change).unwrap().index;
        let agent = TestAgent { name: "signer".to_owned(), index, credential };
        let mut document = intent("signer", Some(id(1)), 1);
        let now = foreseal::record::time::Timestamp::from_millis(site.clock.millis()).unwrap();
        document["created"] = now.to_string().into();
        let mut admitted = admit(&agent, &document, [3; 32]);
        let statement = statement(&admitted.intent, &admitted.declared, ORIGIN).unwrap();
        let statement = if honest { statement } else { [statement, b" ".to_vec()].concat() };
        let signed =
            key.sign(&pre_authentication_encoding("application/vnd.foreseal.statement.v1+json", &statement));
        admitted.signature = Some((signed.to_bytes(), public));
        assert!(matches!(desk.submit_with(admitted), Ok(Accepted::Sealed { .. })));
        drop(desk);
        let report = support::checked(&site, Keys::Layout);
        if honest {
            assert_eq!(report.verdict, Verdict::Valid, "{report:#?}");
            let says = "1 agents' signatures";
            assert!(report.checks.iter().any(|check| check.detail.contains(says)), "{report:#?}");
        } else {
            assert_eq!(report.verdict, Verdict::Invalid, "{report:#?}");
            let says = "its agent's signature";
            assert!(report.checks.iter().any(|check| check.detail.contains(says)), "{report:#?}");
        }
    }
}
