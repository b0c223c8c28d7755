//! Bundles, as strangers forge them, and as a hostile service would that holds the key they are signed with.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use foreseal::evidence::Verdict;
use foreseal::evidence::bundle::container::{directory, local_header, read};
use foreseal::evidence::bundle::manifest::{BAGIT, FileRow, digests};
use foreseal::evidence::bundle::{
    BundleSigner, ByteSource, ENVELOPE, MANIFEST, Manifest, Member, verify_bundle,
};
use foreseal::note::TrustPolicy;

use crate::edits::{choice, edited};

/// A bundle that `foreseal export` made, and the key it is signed with; `fixtures/make` makes them again.
const GOOD: &[u8] = include_bytes!("../fixtures/bundle.zip");

static TRUST: LazyLock<TrustPolicy> = LazyLock::new(|| {
    let trust =
        TrustPolicy::parse(include_str!("../fixtures/trust.policy")).expect("the fixture is a policy");
    let report = verify_bundle(&Whole(GOOD), Some(&trust), &mut |_, _| {});
    assert_eq!(report.verdict, Verdict::Valid, "make the fixture again: {report:?}");
    trust
});

/// A file held in memory.
struct Whole<'a>(&'a [u8]);

impl ByteSource for Whole<'_> {
    fn length(&self) -> std::io::Result<u64> {
        self.0.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

fn is_valid(bundle: &[u8]) -> bool {
    verify_bundle(&Whole(bundle), Some(&TRUST), &mut |_, _| {}).verdict == Verdict::Valid
}

/// No edit of a bundle is valid, and no made-up one is. Of one that is signed again only the words are the service's own.
pub fn bundle(bytes: &[u8]) {
    LazyLock::force(&TRUST);
    match choice(bytes) {
        Some((0, edits)) => {
            if let Some(forged) = edited(GOOD, edits) {
                assert!(!is_valid(&forged), "a forged bundle is valid");
            }
        }
        Some((1, rest)) => {
            let Some((which, edits)) = choice(rest) else { return };
            let Some((forged, told)) = signed_again(which, edits) else { return };
            assert!(!is_valid(&forged) || told, "what the service signed is believed against the log");
        }
        _ => assert!(bytes == GOOD || !is_valid(bytes), "a made-up bundle is valid"),
    }
}

/// Names and contents of the good bundle.
static MEMBERS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let placed = read(&Whole(GOOD), &mut |_, _| {}).expect("the fixture is a container");
    let content = |offset: u64, bytes: u32| {
        let from = usize::try_from(offset).expect("in memory");
        GOOD[from..from + bytes as usize].to_vec()
    };
    placed.into_iter().map(|p| (p.member.name, content(p.offset, p.member.bytes))).collect()
});

/// The bundle with one file edited and all that follows from it made again, signature included. `true` where the edit is of
/// words alone, which are the service's to choose: the page, the guide, what the manifest lists as not established.
fn signed_again(which: u8, edits: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut members = MEMBERS.clone();
    // The first four are the bag's own.
    let which = 4 + usize::from(which) % (members.len() - 4);
    let (name, content) = members.get_mut(which)?;
    if name == ENVELOPE {
        return None;
    }
    *content = edited(content, edits)?;
    let mut told = ["report.html", "VERIFY.md"].contains(&name.as_str());
    let member = |(name, content): &(String, Vec<u8>)| Member::of(name, content);
    let good: Manifest =
        serde_json::from_slice(content_of(&MEMBERS, MANIFEST)).expect("the fixture has a manifest");
    let mut manifest: Manifest = serde_json::from_slice(content_of(&members, MANIFEST)).ok()?;
    if which == members.iter().position(|(name, _)| name == MANIFEST)? {
        let words = Manifest {
            not_established: good.not_established.clone(),
            software: good.software.clone(),
            files: good.files.clone(),
            ..manifest.clone()
        };
        told = words == good;
    }
    if manifest.scope.from >= manifest.scope.to {
        return None;
    }
    let files: Vec<Member> = members.iter().skip(4).map(member).collect::<Option<_>>()?;
    let listed = files.iter().filter(|member| ![MANIFEST, ENVELOPE].contains(&member.name.as_str()));
    manifest.files = listed.map(FileRow::of).collect();
    let bytes = manifest.to_bytes();
    set(&mut members, ENVELOPE, signer().sign(&manifest, &bytes));
    set(&mut members, MANIFEST, bytes);
    let all: Vec<Member> = members.iter().map(member).collect::<Option<_>>()?;
    let payload = || all.iter().filter(|member| member.name.starts_with("data/"));
    set(&mut members, "bagit.txt", BAGIT.as_bytes().to_vec());
    set(&mut members, "bag-info.txt", manifest.bag_info(payload()).into_bytes());
    set(&mut members, "manifest-sha256.txt", digests(payload()).into_bytes());
    let all: Vec<Member> = members.iter().map(member).collect::<Option<_>>()?;
    let tags = all.iter().filter(|m| !m.name.starts_with("data/") && m.name != "tagmanifest-sha256.txt");
    set(&mut members, "tagmanifest-sha256.txt", digests(tags).into_bytes());
    let all: Vec<Member> = members.iter().map(member).collect::<Option<_>>()?;
    let mut out = Vec::new();
    for (member, (_, content)) in all.iter().zip(&members) {
        out.extend(local_header(member));
        out.extend(content);
    }
    out.extend(directory(&all)?);
    Some((out, told))
}

fn content_of<'m>(members: &'m [(String, Vec<u8>)], name: &str) -> &'m [u8] {
    members.iter().find(|(other, _)| other == name).map(|(_, content)| content.as_slice()).unwrap_or_default()
}

fn set(members: &mut [(String, Vec<u8>)], name: &str, content: Vec<u8>) {
    if let Some(member) = members.iter_mut().find(|(other, _)| other == name) {
        member.1 = content;
    }
}

fn signer() -> BundleSigner {
    let seed = STANDARD.decode(include_str!("../fixtures/bundle.key").trim()).expect("the fixture is base64");
    BundleSigner::from_seed(&<[u8; 32]>::try_from(seed).expect("32 bytes").into())
}
