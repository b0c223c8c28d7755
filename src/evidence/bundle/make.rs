//! Making a bundle: every file but the streamed ones, in the order of the container.

use std::collections::BTreeMap;

use serde_json::json;
use uuid::Uuid;

use super::container::{Member, total_bytes};
use super::manifest::{self, Covering, FileRow, Manifest, Scope, Shown, canonical, digests};
use super::page::{Page, render};
use super::statement::BundleSigner;
use super::{AGENTS, CHECKPOINT, ENTRIES, EXPORT, GUIDE, KEYS, PAGE, POLICIES, RANGE_PROOF};
use super::{
    BAG_DIGESTS, BAG_FILES, BAG_INFO, BAGIT, ENVELOPE, FILES, MANIFEST, ProvenLeaf, TAG_DIGESTS, Tally, guide,
};
use crate::merkle::Hash;
use crate::record::decision::Outcome;
use crate::record::time::Timestamp;

/// What a bundle is made of.
#[derive(Debug)]
pub struct Contents {
    /// The id of the `export` entry.
    pub id: Uuid,
    /// Its time.
    pub at: Timestamp,
    /// The log.
    pub origin: String,
    /// The range.
    pub scope: Scope,
    /// The covering checkpoint, as signed.
    pub note: String,
    /// What it says.
    pub checkpoint: Covering,
    /// That the range is complete.
    pub range_proof: Vec<Hash>,
    /// The `export` entry, with its record.
    pub export: ProvenLeaf,
    /// Every `key` entry below the checkpoint.
    pub keys: Vec<ProvenLeaf>,
    /// The index of the one that announced the signing key.
    pub key: u64,
    /// The registrations that the range refers to.
    pub agents: Vec<ProvenLeaf>,
    /// The policies that the range refers to.
    pub policies: Vec<ProvenLeaf>,
    /// The range, counted.
    pub tally: Tally,
    /// How much is shown.
    pub shown: Shown,
    /// The file of entries, which is streamed.
    pub entries: Member,
    /// The files of what is shown, which are streamed.
    pub revealed: Vec<Member>,
    /// The first decisions, for the page.
    pub rows: Vec<Row>,
}

/// A decision, as the page shows it.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its leaf.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// Leaf of its agent's registration.
    pub agent: u64,
    /// What was decided.
    pub outcome: Outcome,
    /// How many calls it has.
    pub calls: usize,
    /// What is shown of its document, as text.
    pub shown: Option<String>,
}

/// A part of the container.
#[derive(Debug)]
pub struct Part {
    /// The member.
    pub member: Member,
    /// Its content; `None` for what is streamed.
    pub content: Option<Vec<u8>>,
}

/// A bundle over a limit, in words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TooLarge(pub &'static str);

/// Makes all files but the streamed ones, signs the manifest, and puts everything in order.
///
/// # Errors
/// [`TooLarge`], if lengths do not fit the container.
pub fn assemble(contents: &Contents, signer: &BundleSigner) -> Result<Vec<Part>, TooLarge> {
    let mut manifest = manifest_of(contents);
    let page = render(&Page {
        manifest: &manifest,
        tally: &contents.tally,
        agents: &contents.agents,
        policies: &contents.policies,
        rows: &contents.rows,
    });
    let proof = json!({
        "from": contents.scope.from, "to": contents.scope.to, "size": contents.checkpoint.size,
        "proof": contents.range_proof,
    });
    let mut small: BTreeMap<&str, Vec<u8>> = BTreeMap::from([
        (GUIDE, guide::TEXT.as_bytes().to_vec()),
        (PAGE, page.into_bytes()),
        (CHECKPOINT, contents.note.as_bytes().to_vec()),
        (RANGE_PROOF, canonical(&proof)),
        (EXPORT, canonical(&contents.export)),
        (KEYS, lines(&contents.keys)),
        (AGENTS, lines(&contents.agents)),
        (POLICIES, lines(&contents.policies)),
    ]);
    let mut members = BTreeMap::new();
    for (name, content) in &small {
        members.insert(*name, member(name, content)?);
    }
    members.insert(ENTRIES, contents.entries.clone());
    let listed = FILES.iter().filter_map(|name| members.get(name)).chain(&contents.revealed);
    manifest.files = listed.map(FileRow::of).collect();
    let bytes = manifest.to_bytes();
    let envelope = signer.sign(&manifest, &bytes);
    for (name, content) in [(MANIFEST, bytes), (ENVELOPE, envelope)] {
        members.insert(name, member(name, &content)?);
        small.insert(name, content);
    }
    let payload = || {
        let named =
            FILES.iter().filter(|name| name.starts_with("data/")).filter_map(|name| members.get(name));
        named.chain(&contents.revealed)
    };
    let (info, bag) = (manifest.bag_info(payload()), digests(payload()));
    for (name, content) in [(BAGIT, manifest::BAGIT.to_owned()), (BAG_INFO, info), (BAG_DIGESTS, bag)] {
        members.insert(name, member(name, content.as_bytes())?);
        small.insert(name, content.into_bytes());
    }
    let tags = FILES.iter().filter(|name| !name.starts_with("data/")).filter_map(|name| members.get(name));
    let tags = digests(tags);
    members.insert(TAG_DIGESTS, member(TAG_DIGESTS, tags.as_bytes())?);
    small.insert(TAG_DIGESTS, tags.into_bytes());
    let named =
        FILES.iter().filter_map(|name| members.remove(name).map(|member| (small.remove(name), member)));
    let named = named.map(|(content, member)| Part { member, content });
    let shown = contents.revealed.iter().map(|member| Part { member: member.clone(), content: None });
    let parts: Vec<Part> = named.chain(shown).collect();
    let all: Vec<Member> = parts.iter().map(|part| part.member.clone()).collect();
    if total_bytes(&all) > u64::from(u32::MAX) {
        return Err(TooLarge("the bundle does not fit a container of 4 GiB"));
    }
    Ok(parts)
}

fn member(name: &str, content: &[u8]) -> Result<Member, TooLarge> {
    Member::of(name, content).ok_or(TooLarge("a file does not fit a container of 4 GiB"))
}

fn lines(leaves: &[ProvenLeaf]) -> Vec<u8> {
    leaves.iter().flat_map(|leaf| [canonical(leaf), b"\n".to_vec()].concat()).collect()
}

fn manifest_of(contents: &Contents) -> Manifest {
    let Contents { scope, tally, shown, .. } = contents;
    Manifest {
        schema: manifest::SCHEMA.to_owned(),
        id: contents.id,
        at: contents.at,
        origin: contents.origin.clone(),
        scope: *scope,
        checkpoint: contents.checkpoint,
        export: contents.export.index,
        key: contents.key,
        types: tally.types.clone(),
        outcomes: tally.outcomes.clone(),
        shown: *shown,
        not_established: not_established(scope, shown),
        files: Vec::with_capacity(FILES.len() - BAG_FILES + contents.revealed.len()),
        software: concat!("foreseal ", env!("CARGO_PKG_VERSION")).to_owned(),
    }
}

/// What no bundle establishes, and what this one withholds.
fn not_established(scope: &Scope, shown: &Shown) -> Vec<String> {
    let mut list = vec![
        "actions that were never submitted to the log".to_owned(),
        "that the actions happened as sealed, or happened at all".to_owned(),
        "that the decisions follow from the policies: replaying them does that".to_owned(),
        format!("anything before leaf {} and from leaf {} on, but for the leaves that are proven one by one", scope.from, scope.to),
        "that everybody is shown the same log: only witnesses whom the reader chose exclude a split view".to_owned(),
        "that the times are right: they are those of the service's clock".to_owned(),
        "that what agents said of themselves is true: goals, reasoning and observations are recorded as claims".to_owned(),
        "that the signing key was still in use: a replacement behind the checkpoint would not show here".to_owned(),
    ];
    if shown.withheld > 0 {
        list.push(format!(
            "what the withheld documents of {} intents say; that they exist, and what was decided, is shown",
            shown.withheld
        ));
    }
    if shown.partial > 0 {
        list.push(format!("the withheld fields of {} intents", shown.partial));
    }
    list
}
