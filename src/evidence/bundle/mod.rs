//! Bundles: a range of the log as one signed file, made by the service and verified by anyone, offline.
//!
//! A bundle is a BagIt bag (RFC 8493) in a zip file. It holds every entry of the range, one proof that they are all
//! there is, the checkpoint they are proven under, the policies, agents and keys they refer to with proofs of their own,
//! chosen documents with what opens them, a page to read, and a manifest with the digest of each of these, signed by the
//! bundle key. The log announced that key, so trust leads from the log's key, which the verifier holds, over checkpoint
//! and `key` entry to the signature. Every byte is accounted for: `docs/format.md`, "Bundle".

pub mod container;
mod guide;
pub mod leaf;
mod lines;
pub mod make;
pub mod manifest;
mod page;
mod range;
pub mod statement;
pub mod tally;
pub mod verify;

pub use container::{ByteSource, Member};
pub use leaf::{KnownAgent, Opened, ProvenLeaf, Revealed};
pub use make::{Contents, Part, Row, assemble};
pub use manifest::{Covering, Manifest, Scope, Shown};
pub use statement::BundleSigner;
pub use tally::Tally;
pub use verify::verify_bundle;

/// The manifest's place.
pub const MANIFEST: &str = "data/manifest.json";
/// The signature's.
pub const ENVELOPE: &str = "data/manifest.dsse.json";
/// The range's entries, one a line.
pub const ENTRIES: &str = "data/entries.jsonl";
const CHECKPOINT: &str = "data/checkpoint";
const RANGE_PROOF: &str = "data/range-proof.json";
const EXPORT: &str = "data/export.json";
const KEYS: &str = "data/keys.jsonl";
const AGENTS: &str = "data/agents.jsonl";
const POLICIES: &str = "data/policies.jsonl";
const GUIDE: &str = "VERIFY.md";
const PAGE: &str = "report.html";
const BAGIT: &str = "bagit.txt";
const BAG_INFO: &str = "bag-info.txt";
const BAG_DIGESTS: &str = "manifest-sha256.txt";
const TAG_DIGESTS: &str = "tagmanifest-sha256.txt";

/// Every file but those of `data/revealed/`, in the one order there is.
const FILES: [&str; 15] = [
    BAGIT,
    BAG_INFO,
    BAG_DIGESTS,
    TAG_DIGESTS,
    GUIDE,
    PAGE,
    MANIFEST,
    ENVELOPE,
    CHECKPOINT,
    RANGE_PROOF,
    EXPORT,
    KEYS,
    AGENTS,
    POLICIES,
    ENTRIES,
];
/// How many of [`FILES`] are the bag's own, which follow from the others.
const BAG_FILES: usize = 4;

/// The place of what is shown of a leaf.
#[must_use]
pub fn revealed_path(index: u64) -> String {
    format!("data/revealed/{index:016}.json")
}

/// Digest, over what is shown, that the record of an `export` entry holds: SHA-256 over the lines
/// `<index> whole|fields[ <pointer>…]` with ` evaluation` at the end where that is shown too; pointers as JSON strings.
#[derive(Default)]
pub struct ShownDigest(sha2::Sha256);

impl ShownDigest {
    /// Takes what is shown of the next leaf.
    pub fn add(&mut self, revealed: &Revealed) {
        use sha2::Digest as _;
        let mut line = format!("{} ", revealed.index);
        match revealed.declared.paths() {
            None => line.push_str("whole"),
            Some(paths) => {
                line.push_str("fields");
                for path in paths {
                    line.push(' ');
                    line.push_str(&serde_json::Value::from(path).to_string());
                }
            }
        }
        if revealed.evaluation.is_some() {
            line.push_str(" evaluation");
        }
        line.push('\n');
        self.0.update(line.as_bytes());
    }

    /// The digest, hex.
    #[must_use]
    pub fn finish(self) -> String {
        use sha2::Digest as _;
        hex::encode(self.0.finalize())
    }
}

/// The record behind an `export` entry.
#[must_use]
pub fn export_record(scope: &Scope, shown: &Shown, digest: &str) -> serde_json::Value {
    serde_json::json!({
        "from": scope.from, "to": scope.to, "shown": digest,
        "documents": shown.documents, "partial": shown.partial, "evaluations": shown.evaluations,
    })
}
