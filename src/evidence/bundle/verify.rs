//! Verifying a bundle, offline, in bounded memory.
//!
//! First the container and the bag, which leave no byte unread; then the checkpoint, under a key that the verifier holds;
//! then what that proves: the announced key, the signature, the range, and what is shown of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::container::{self, ByteSource, ContainerError, Placed};
use super::leaf::{KnownAgent, ProvenLeaf};
use super::lines::Lines;
use super::manifest::{BAGIT as BAGIT_TEXT, FileRow, Manifest, SCHEMA, digests, read};
use super::range::{self, Found, Stop};
use super::{
    AGENTS, BAG_DIGESTS, BAG_FILES, BAG_INFO, BAGIT, CHECKPOINT, ENTRIES, ENVELOPE, EXPORT, FILES, KEYS,
    MANIFEST, POLICIES, RANGE_PROOF, TAG_DIGESTS, export_record, statement,
};
use crate::evidence::report::Report;
use crate::evidence::verify::check_checkpoint;
use crate::note::{Checkpoint, TrustPolicy};
use crate::record::entry::{Entry, KeyPurpose};

/// A file that is read whole stays below this.
const CONTENT_MAX_BYTES: u32 = 64 << 20;

/// Verifies a bundle against the keys the verifier trusts. `progress` is told how much is done of how much.
pub fn verify_bundle(
    source: &dyn ByteSource,
    trust: Option<&TrustPolicy>,
    progress: &mut dyn FnMut(u64, u64),
) -> Report {
    let mut report = Report::new("bundle");
    let name = "container holds what a bundle holds, to its last byte";
    let placed = match container::read(source, progress) {
        Ok(placed) => placed,
        Err(ContainerError::Read(error)) => {
            report.undecided(name, error.to_string());
            return report;
        }
        Err(error) => {
            report.failed(name, error.to_string());
            return report;
        }
    };
    if let Err(problem) = check_names(&placed) {
        report.failed(name, problem);
        return report;
    }
    let bytes: u64 = placed.iter().map(|placed| u64::from(placed.member.bytes)).sum();
    report.passed(name, format!("{} files, {bytes} bytes", placed.len()));
    let bundle = Bundle { source, placed };
    let manifest = match bundle.manifest() {
        Ok(manifest) => manifest,
        Err(problem) => {
            report.failed("manifest and bag name every file by its digest", problem);
            return report;
        }
    };
    let (scope, files) = (manifest.0.scope, manifest.0.files.len());
    let detail = format!(
        "{files} files; leaves {} to {} of {}",
        scope.from,
        scope.to.saturating_sub(1),
        manifest.0.origin
    );
    report.passed("manifest and bag name every file by its digest", detail);
    bundle.verify(&mut report, &manifest.0, &manifest.1, trust, progress);
    report
}

/// The files, in their one order.
fn check_names(placed: &[Placed]) -> Result<(), String> {
    let mut names = placed.iter().map(|placed| placed.member.name.as_str());
    for wanted in FILES {
        match names.next() {
            Some(name) if name == wanted => {}
            Some(name) => return Err(format!("{name} stands where {wanted} belongs")),
            None => return Err(format!("{wanted} is missing")),
        }
    }
    let mut before = "data/revealed/";
    for name in names {
        if !name.starts_with("data/revealed/") || name <= before {
            return Err(format!("{name} does not belong there"));
        }
        before = name;
    }
    Ok(())
}

/// A file's content, if it is not too long to be held.
pub(super) fn content(source: &dyn ByteSource, placed: &Placed) -> Result<Vec<u8>, String> {
    let member = &placed.member;
    if member.bytes > CONTENT_MAX_BYTES {
        return Err(format!("{} is longer than {CONTENT_MAX_BYTES} bytes", member.name));
    }
    let mut bytes = vec![0; member.bytes as usize];
    source.read_exact_at(&mut bytes, placed.offset).map_err(|e| e.to_string())?;
    // What is believed is what was digested, though the file be changed meanwhile.
    if Sha256::digest(&bytes).as_slice() == member.sha256 {
        Ok(bytes)
    } else {
        Err(format!("{} changed while it was read", member.name))
    }
}

struct Bundle<'a> {
    source: &'a dyn ByteSource,
    placed: Vec<Placed>,
}

/// What the leaves that are proven one by one say.
struct Proven {
    key: [u8; 32],
    agents: BTreeMap<u64, KnownAgent>,
    policies: BTreeSet<u64>,
    export_record: Value,
}

impl Bundle<'_> {
    fn placed(&self, name: &str) -> Result<&Placed, String> {
        self.placed
            .iter()
            .take(FILES.len())
            .find(|placed| placed.member.name == name)
            .ok_or_else(|| format!("{name} is missing"))
    }

    fn content(&self, name: &str) -> Result<Vec<u8>, String> {
        content(self.source, self.placed(name)?)
    }

    /// Reads the manifest; every file that follows from others is made again and compared.
    fn manifest(&self) -> Result<(Manifest, Vec<u8>), String> {
        let bytes = self.content(MANIFEST)?;
        let manifest: Manifest = read(&bytes).map_err(|e| format!("{MANIFEST}: {e}"))?;
        if manifest.schema != SCHEMA {
            return Err(format!("{MANIFEST}: its schema is {:?}", manifest.schema));
        }
        if manifest.scope.from >= manifest.scope.to {
            return Err(format!("{MANIFEST}: its range is empty"));
        }
        let members = || self.placed.iter().map(|placed| &placed.member);
        let signed =
            members().skip(BAG_FILES).filter(|member| ![MANIFEST, ENVELOPE].contains(&member.name.as_str()));
        if !signed.map(FileRow::of).eq(manifest.files.iter().cloned()) {
            return Err(format!("{MANIFEST}: its files are not those that are there"));
        }
        let payload = || members().filter(|member| member.name.starts_with("data/"));
        let tags = members().filter(|m| !m.name.starts_with("data/") && m.name != TAG_DIGESTS);
        let follows = [
            (BAGIT, BAGIT_TEXT.to_owned()),
            (BAG_INFO, manifest.bag_info(payload())),
            (BAG_DIGESTS, digests(payload())),
            (TAG_DIGESTS, digests(tags)),
        ];
        for (name, wanted) in follows {
            if self.content(name)? != wanted.as_bytes() {
                return Err(format!("{name} is not what follows from the other files"));
            }
        }
        Ok((manifest, bytes))
    }

    fn verify(
        &self,
        report: &mut Report,
        manifest: &Manifest,
        bytes: &[u8],
        trust: Option<&TrustPolicy>,
        progress: &mut dyn FnMut(u64, u64),
    ) {
        let note =
            self.content(CHECKPOINT).and_then(|note| String::from_utf8(note).map_err(|e| e.to_string()));
        let note = match note {
            Ok(note) => note,
            Err(problem) => return report.failed("checkpoint can be read", problem),
        };
        let Some(checkpoint) = check_checkpoint(report, "checkpoint", &note, trust) else { return };
        let named = (&manifest.origin, manifest.checkpoint.size, manifest.checkpoint.root);
        if named != (&checkpoint.origin, checkpoint.size, checkpoint.root) {
            return report.failed("manifest is of this checkpoint", "origin, size or root differ");
        }
        let name = "keys, agents, policies and the hand-out itself are entries of the log";
        let proven = match self.proven(manifest, &checkpoint) {
            Ok(proven) => proven,
            Err(problem) => return report.failed(name, problem),
        };
        let detail =
            format!("{} agents and keys of agents, {} policies", proven.agents.len(), proven.policies.len());
        report.passed(name, detail);
        let name = "manifest is signed by the key that the log announced";
        let envelope = self.content(ENVELOPE);
        match envelope.and_then(|envelope| statement::verify(&envelope, manifest, bytes, &proven.key)) {
            Ok(()) => {
                report.passed(name, format!("leaf {}, key {}", manifest.key, statement::key_id(&proven.key)));
            }
            Err(problem) => return report.failed(name, problem),
        }
        self.verify_range(report, manifest, &checkpoint, &proven, progress);
    }

    fn verify_range(
        &self,
        report: &mut Report,
        manifest: &Manifest,
        checkpoint: &Checkpoint,
        proven: &Proven,
        progress: &mut dyn FnMut(u64, u64),
    ) {
        let scope = &manifest.scope;
        let name = "every entry of the range is there, and nothing else";
        let entries = match self.placed(ENTRIES) {
            Ok(entries) => entries,
            Err(problem) => return report.failed(name, problem),
        };
        let complete = self.content(RANGE_PROOF).and_then(|proof| {
            range::check_complete(self.source, entries, &proof, scope, checkpoint, progress)
        });
        match complete {
            Ok(()) => report.passed(name, format!("{} entries under the signed root", scope.to - scope.from)),
            Err(problem) => return report.failed(name, problem),
        }
        let revealed = self.placed.get(FILES.len()..).unwrap_or_default();
        let walked =
            range::walk(self.source, entries, revealed, scope.from, &manifest.origin, &proven.agents);
        let found = match walked {
            Ok(found) => found,
            Err(Stop::Link(problem)) => return report.failed("entries follow from each other", problem),
            Err(Stop::Shown(problem)) => return report.failed("what is shown is what was sealed", problem),
        };
        report.passed(
            "entries follow from each other",
            format!("{} intents of {} agents", found.tally.intents, found.tally.agent_count()),
        );
        let shown = &found.shown;
        report.passed(
            "what is shown is what was sealed",
            format!(
                "{} documents whole, {} in part, {} evaluations",
                shown.documents, shown.partial, shown.evaluations
            ),
        );
        conclude(report, manifest, proven, found);
    }

    /// The leaves that are proven one by one, and what they say.
    fn proven(&self, manifest: &Manifest, checkpoint: &Checkpoint) -> Result<Proven, String> {
        let export: ProvenLeaf = read(&self.content(EXPORT)?).map_err(|e| format!("{EXPORT}: {e}"))?;
        let Entry::Export(entry) = export.verify(checkpoint)? else {
            return Err(format!("leaf {} is no hand-out", export.index));
        };
        let scope = &manifest.scope;
        let told = (manifest.export, manifest.id, manifest.at, scope.from, scope.to);
        if told != (export.index, entry.id, entry.at, entry.from, entry.to) {
            return Err(format!("leaf {} seals another hand-out than the manifest's", export.index));
        }
        let mut key = None;
        let mut replaced = None;
        self.leaves(KEYS, checkpoint, &mut |leaf, entry| {
            let Entry::Key(entry) = entry else {
                return Err(format!("leaf {} announces no key", leaf.index));
            };
            if entry.replaces != replaced {
                return Err(format!("leaf {} replaces another key than the one before it", leaf.index));
            }
            replaced = Some(leaf.index);
            if leaf.index == manifest.key && entry.purpose == KeyPurpose::Bundle {
                key = Some(entry.key.0);
            }
            Ok(())
        })?;
        // An older key was replaced for a reason.
        let key = key.filter(|_| replaced == Some(manifest.key));
        let mut agents = BTreeMap::new();
        self.leaves(AGENTS, checkpoint, &mut |leaf, entry| {
            let Entry::Agent(entry) = entry else {
                return Err(format!("leaf {} registers no agent", leaf.index));
            };
            let commitment =
                entry.declared.ok_or_else(|| format!("leaf {} ends a registration", leaf.index))?;
            let record = leaf.record(&commitment)?;
            let name = record.get("agent").and_then(Value::as_str);
            let name = name.ok_or_else(|| format!("leaf {} shows no name", leaf.index))?.to_owned();
            agents.insert(leaf.index, KnownAgent { name, key: entry.key });
            Ok(())
        })?;
        let mut policies = BTreeSet::new();
        self.leaves(POLICIES, checkpoint, &mut |leaf, entry| {
            let Entry::Policy(entry) = entry else { return Err(format!("leaf {} is no policy", leaf.index)) };
            let declared = entry.declared.ok_or_else(|| format!("leaf {} carries no policy", leaf.index))?;
            check_policy(&leaf.record(&declared)?)
                .map_err(|e| format!("the policy of leaf {}: {e}", leaf.index))?;
            policies.insert(leaf.index);
            Ok(())
        })?;
        Ok(Proven {
            key: key
                .ok_or_else(|| "the manifest names no bundle key, or one that was replaced".to_owned())?,
            agents,
            policies,
            export_record: export.record(&entry.declared)?,
        })
    }

    /// Leaves of a file, in order, each proven before it is looked at.
    fn leaves(
        &self,
        name: &str,
        checkpoint: &Checkpoint,
        take: &mut dyn FnMut(&ProvenLeaf, &Entry) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut lines = Lines::new(self.source, self.placed(name)?);
        let mut before = None;
        while let Some(line) = lines.next_line()? {
            let leaf: ProvenLeaf = read(&line).map_err(|e| format!("{name}: {e}"))?;
            if before.is_some_and(|before| leaf.index <= before) {
                return Err(format!("{name}: leaf {} is out of order", leaf.index));
            }
            before = Some(leaf.index);
            take(&leaf, &leaf.verify(checkpoint)?)?;
        }
        Ok(())
    }
}

/// The files of a bundle of rules have the digest that is recorded (`docs/policy.md`).
fn check_policy(record: &Value) -> Result<(), String> {
    let files = record.get("files").and_then(Value::as_object).ok_or_else(|| "it has no files".to_owned())?;
    let mut sorted: Vec<(&String, &str)> = Vec::with_capacity(files.len());
    for (name, text) in files {
        sorted.push((name, text.as_str().ok_or_else(|| format!("{name} is no text"))?));
    }
    sorted.sort_unstable();
    let mut digest = Sha256::new_with_prefix(b"foreseal.bundle.v1\0");
    digest.update((sorted.len() as u64).to_be_bytes());
    for (name, text) in sorted {
        for part in [name.as_str(), text] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
    }
    if record.get("digest").and_then(Value::as_str) == Some(hex::encode(digest.finalize()).as_str()) {
        Ok(())
    } else {
        Err("its files do not have the digest that is recorded".to_owned())
    }
}

/// The manifest says what was found, the hand-out was sealed as what it is, and nothing that is referred to is left out.
fn conclude(report: &mut Report, manifest: &Manifest, proven: &Proven, found: Found) {
    let Found { tally, shown, digest, signatures, without_shape } = found;
    let name = "manifest says what is there";
    let named: BTreeSet<u64> = proven.agents.keys().copied().collect();
    if manifest.types != tally.types || manifest.outcomes != tally.outcomes || manifest.shown != shown {
        return report.failed(name, "its counts are not those of the entries");
    }
    if named != tally.agents || proven.policies != tally.policies {
        return report.failed(
            name,
            "an agent or policy that the range refers to is missing, or one too many is there",
        );
    }
    if proven.export_record != export_record(&manifest.scope, &shown, &digest.finish()) {
        return report.failed(name, "the log records another hand-out: of other documents or fields");
    }
    report.passed(
        name,
        format!("counts, references, and the hand-out that the log records as leaf {}", manifest.export),
    );
    if shown.withheld > 0 {
        report.not_checked(format!("what the withheld documents of {} intents say", shown.withheld));
    }
    if shown.partial > 0 {
        report.not_checked(format!("the withheld fields of {} intents", shown.partial));
    }
    if without_shape > 0 {
        report.not_checked(format!("uniqueness and absence of fields in {without_shape} intents shown in part: their shape is not shown"));
    }
    if shown.evaluations < tally.intents {
        report.not_checked(format!(
            "facts and reasons of {} decisions: their evaluation is not opened",
            tally.intents - shown.evaluations
        ));
    }
    if signatures < tally.signed {
        report.not_checked(format!(
            "agents' signatures on {} of {} signed intents: they need the whole document",
            tally.signed - signatures,
            tally.signed
        ));
    }
    if tally.intents > tally.signed {
        report.not_checked(format!(
            "who declared {} intents that no agent signed: the service's word",
            tally.intents - tally.signed
        ));
    }
    if tally.not_understood > 0 {
        report.not_checked(format!("what {} entries say whose type is not understood", tally.not_understood));
    }
    let scope = manifest.scope;
    report.not_checked(format!(
        "leaves outside of {} to {}: completeness is of this range only",
        scope.from,
        scope.to - 1
    ));
    report.not_checked("the words of report.html: they are signed, and not derived again");
    report.not_checked("that decisions follow from their policies (an auditor's replay does that)");
    report.not_checked("actions that were never submitted, and whether actions happened as sealed");
    report.not_checked("that the bundle key was not replaced behind the checkpoint");
}
