//! Audit beside bare hashing and bare signature verification, each on one core.

use std::collections::HashMap;
use std::path::Path;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::super::output::Failure;
use super::fixture::Fixture;
use super::load::{Requests, closed_loop};
use super::probe::done_per_core_s;
use super::report::{Bound, Draft, Row, Spread, number};
use super::workload::Signed;
use super::{Plan, Results, unexpected};
use crate::evidence::Verdict;
use crate::evidence::audit::{Leaves, LogReader, ReadLogError, audit_log, tile_path};
use crate::merkle::{TileKind, TilePath, parse_bundle};
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::statement::{
    AgentKey, STATEMENT_TYPE, parse_signature_header, pre_authentication_encoding, statement,
};

/// Documents that are signed: some tens of milliseconds' worth of verifying.
const SIGNATURES: usize = 500;

pub(super) fn measure(plan: &Plan, directory: &Path, results: &mut Results) -> Result<(), Failure> {
    let fixture = Fixture::make(&directory.join("audit"))?;
    while fixture.service.published().size < plan.audited {
        closed_loop(fixture.server.address, fixture.requests(), plan.clients, plan.length)?;
    }
    let log = Held::of(&fixture)?;
    results.rows.push(audit(plan, &log, &fixture, Leaves::Opaque)?);
    results.rows.push(audit(plan, &log, &fixture, Leaves::Entries)?);
    results.rows.push(signatures(plan, &fixture)?);
    Ok(())
}

/// A log's bundles and tiles in memory, as an auditor's reader would fetch them.
struct Held {
    checkpoint: String,
    size: u64,
    bundles: Vec<Vec<u8>>,
    resources: HashMap<String, Vec<u8>>,
    /// Bytes of all entries.
    bytes: u64,
}

impl Held {
    fn of(fixture: &Fixture) -> Result<Self, Failure> {
        let published = fixture.service.published();
        let (ledger, size) = (fixture.service.ledger(), published.size);
        let mut resources = HashMap::new();
        let mut fetch = |path: TilePath| -> Result<Vec<u8>, Failure> {
            let bytes = ledger.resource(&path).map_err(unexpected)?;
            let bytes = bytes.ok_or_else(|| unexpected(format!("{path} is missing")))?;
            resources.insert(path.to_string(), bytes.clone());
            Ok(bytes)
        };
        let mut bundles = Vec::new();
        let mut index = 0;
        while let Some(path) = tile_path(TileKind::Entries, index, size) {
            bundles.push(fetch(path)?);
            index += 1;
        }
        for level in 0..8 {
            let mut index = 0;
            while let Some(path) = tile_path(TileKind::Hashes { level }, index, size) {
                fetch(path)?;
                index += 1;
            }
        }
        let mut bytes = 0;
        for bundle in &bundles {
            bytes +=
                parse_bundle(bundle).map_err(unexpected)?.iter().map(|entry| entry.len() as u64).sum::<u64>();
        }
        let checkpoint = published.checkpoint.to_string();
        Ok(Self { checkpoint, size, bundles, resources, bytes })
    }

    /// MiB of entries in a second of one core.
    fn mib_per_s(&self, plan: &Plan, mut pass: impl FnMut() -> Result<(), Failure>) -> Result<f64, Failure> {
        let bytes = done_per_core_s(plan.length / 4, || pass().map(|()| self.bytes))?;
        Ok(bytes / f64::from(1 << 20))
    }

    /// Nothing but SHA-256 over each entry.
    fn hash_each(&self) -> Result<(), Failure> {
        let mut mixed = 0u8;
        for bundle in &self.bundles {
            for entry in parse_bundle(bundle).map_err(unexpected)? {
                mixed ^= Sha256::digest(entry).first().copied().unwrap_or_default();
            }
        }
        std::hint::black_box(mixed);
        Ok(())
    }

    fn say(&self) -> String {
        format!(
            "{} entries of {} bytes in the mean, in memory; in this thread's own processor time",
            number(self.size as f64),
            number(self.bytes as f64 / self.size.max(1) as f64)
        )
    }
}

impl LogReader for Held {
    fn checkpoint(&self) -> Result<String, ReadLogError> {
        Ok(self.checkpoint.clone())
    }

    fn tile(&self, path: &TilePath) -> Result<Vec<u8>, ReadLogError> {
        let path = path.to_string();
        self.resources.get(&path).cloned().ok_or(ReadLogError::Missing(path))
    }
}

/// `foreseal audit` itself, over leaves that it does not read or that it reads and follows.
fn audit(plan: &Plan, log: &Held, fixture: &Fixture, leaves: Leaves) -> Result<Row, Failure> {
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        let bare = log.mib_per_s(plan, || log.hash_each())?;
        let done = log.mib_per_s(plan, || {
            let report = audit_log(log, leaves, Some(&fixture.trust), &mut |_, _| ());
            let valid = report.verdict == Verdict::Valid;
            valid
                .then_some(())
                .ok_or_else(|| unexpected(format!("the bench's own log is {:?}", report.verdict)))
        })?;
        rounds.push((done, bare));
    }
    let (what, hold) = match leaves {
        Leaves::Opaque => ("audit, hashes alone", 0.50),
        Leaves::Entries => ("audit with parsing and links", 0.15),
    };
    let draft = Draft {
        row: "audit",
        what: what.to_owned(),
        unit: "MiB/s",
        bound: Bound::AtLeast,
        hold,
        stretch: None,
        notes: vec![log.say()],
    };
    Ok(draft.against("bare SHA-256 of each entry", &rounds))
}

/// Agents' signatures the way `fsck` checks them, over documents that it has read and whose commitments it has checked:
/// the key read, the statement made, the signature verified.
fn signatures(plan: &Plan, fixture: &Fixture) -> Result<Row, Failure> {
    let Requests::Signed { ready, .. } = fixture.signed_requests(SIGNATURES.min(plan.signed_max))? else {
        return Err(unexpected("unsigned requests"));
    };
    let (key, origin) = (fixture.public_key()?, fixture.service.ledger().origin());
    let bare_key = VerifyingKey::from_bytes(key.as_bytes()).map_err(unexpected)?;
    let read = ready.iter().map(Read::of).collect::<Result<Vec<_>, Failure>>()?;
    let messages = read.iter().map(|read| read.statement(origin)).collect::<Result<Vec<_>, Failure>>()?;
    let messages: Vec<_> =
        messages.iter().map(|statement| pre_authentication_encoding(STATEMENT_TYPE, statement)).collect();
    let count = ready.len() as u64;
    let (mut rounds, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let bare = done_per_core_s(plan.length / 4, || {
            for (message, read) in messages.iter().zip(&read) {
                bare_key
                    .verify_strict(message, &Signature::from_bytes(&read.signature))
                    .map_err(unexpected)?;
            }
            Ok(count)
        })?;
        let checked = done_per_core_s(plan.length / 4, || {
            read.iter().try_for_each(|read| read.verify(key.as_bytes(), origin)).map(|()| count)
        })?;
        let both = done_per_core_s(plan.length / 4, || {
            let each = |signed| Read::of(signed)?.verify(key.as_bytes(), origin);
            ready.iter().try_for_each(each).map(|()| count)
        })?;
        rounds.push((checked, bare));
        whole.push(both / bare * 100.0);
    }
    let draft = Draft {
        row: "audit",
        what: "audit, agents' signatures".to_owned(),
        unit: "/s",
        bound: Bound::AtLeast,
        hold: 0.80,
        stretch: None,
        notes: vec![
            "as `fsck` checks them, over documents it has read: key, statement, signature; in processor time"
                .to_owned(),
            format!(
                "reading the 2 KiB declared and making their commitment again included: {} % of bare verify_strict",
                number(Spread::of(&whole).median)
            ),
        ],
    };
    Ok(draft.against("bare verify_strict", &rounds))
}

/// A declared document, read, with what was sealed beside it.
struct Read {
    intent: Intent,
    declared: Commitment,
    signature: [u8; 64],
}

impl Read {
    fn of(signed: &Signed) -> Result<Self, Failure> {
        let intent = Intent::parse(signed.body.as_bytes()).map_err(unexpected)?;
        let seed = Seed::from_base64(&signed.seed).map_err(unexpected)?;
        let declared = FieldTree::of_document(&intent.document, &seed).map_err(unexpected)?.commitment();
        let signature = parse_signature_header(&signed.signature).map_err(unexpected)?;
        Ok(Self { intent, declared, signature })
    }

    fn statement(&self, origin: &str) -> Result<Vec<u8>, Failure> {
        statement(&self.intent, &self.declared, origin).map_err(unexpected)
    }

    fn verify(&self, key: &[u8; 32], origin: &str) -> Result<(), Failure> {
        let key = AgentKey::from_bytes(key).map_err(unexpected)?;
        key.verify(&self.statement(origin)?, &self.signature).map_err(unexpected)
    }
}
