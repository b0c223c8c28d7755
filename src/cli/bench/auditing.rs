//! Audit beside bare hashing and bare signature verification, each on one core.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use super::super::output::Failure;
use super::fixture::Fixture;
use super::load::{Requests, closed_loop};
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

/// Signatures verified in a round: about a tenth of a second's worth.
const SIGNATURES: usize = 2_000;

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

    fn mib_per_s(&self, started: Instant) -> f64 {
        self.bytes as f64 / f64::from(1 << 20) / started.elapsed().as_secs_f64().max(1e-9)
    }

    /// Nothing but SHA-256 over each entry.
    fn bare_mib_per_s(&self) -> Result<f64, Failure> {
        let started = Instant::now();
        let mut mixed = 0u8;
        for bundle in &self.bundles {
            for entry in parse_bundle(bundle).map_err(unexpected)? {
                mixed ^= Sha256::digest(entry).first().copied().unwrap_or_default();
            }
        }
        std::hint::black_box(mixed);
        Ok(self.mib_per_s(started))
    }

    fn say(&self) -> String {
        format!(
            "{} entries of {} bytes in the mean, in memory, one core",
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
        let bare = log.bare_mib_per_s()?;
        let started = Instant::now();
        let report = audit_log(log, leaves, Some(&fixture.trust), &mut |_, _| ());
        let done = log.mib_per_s(started);
        if report.verdict != Verdict::Valid {
            return Err(unexpected(format!("the bench's own log is {:?}", report.verdict)));
        }
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
    let per_s = |started: Instant| ready.len() as f64 / started.elapsed().as_secs_f64().max(1e-9);
    let (mut rounds, mut whole) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let started = Instant::now();
        for (message, read) in messages.iter().zip(&read) {
            bare_key.verify_strict(message, &Signature::from_bytes(&read.signature)).map_err(unexpected)?;
        }
        let bare = per_s(started);
        let started = Instant::now();
        for read in &read {
            read.verify(key.as_bytes(), origin)?;
        }
        rounds.push((per_s(started), bare));
        let started = Instant::now();
        for signed in &ready {
            Read::of(signed)?.verify(key.as_bytes(), origin)?;
        }
        whole.push(per_s(started) / bare * 100.0);
    }
    let draft = Draft {
        row: "audit",
        what: "audit, agents' signatures".to_owned(),
        unit: "/s",
        bound: Bound::AtLeast,
        hold: 0.80,
        stretch: None,
        notes: vec![
            "as `fsck` checks them, over documents it has read: key, statement, signature; one core"
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
