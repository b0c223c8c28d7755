//! Where an intent's processor time goes: its parts, each alone, on one core.

use std::path::Path;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::super::init;
use super::super::output::Failure;
use super::deciding;
use super::probe::done_per_core_s;
use super::report::{Bound, Draft, number};
use super::workload::{Documents, Numbers};
use super::{Plan, Results, unexpected};
use crate::disk::{Disk, RealDisk};
use crate::ledger::keyring::{Ciphertext, Keyring, random};
use crate::ledger::layout::Layout;
use crate::ledger::payload::Payload;
use crate::merkle::Hash;
use crate::record::entry::call_digest;
use crate::record::evaluation::document_of;
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::record::time::Timestamp;

/// What the design gives these parts: 3 + 13 + 27 + 1 + 3 µs.
const BUDGET_US: f64 = 47.0;
const ORIGIN: &str = "bench.foreseal.local";
/// What one intent adds to a frame, about: entry and payload.
const FRAME_BYTES: usize = 4_700;

/// A part's name, the design's budget for it in µs, and what was measured.
struct Part(&'static str, &'static str, f64);

pub(super) fn measure(plan: &Plan, directory: &Path, results: &mut Results) -> Result<(), Failure> {
    let work = Work::ready(&directory.join("budget"))?;
    let mut rounds = Vec::new();
    let mut last = Vec::new();
    for _ in 0..plan.rounds {
        last = work.parts(plan)?;
        rounds.push(last.iter().map(|part| part.2).sum());
    }
    let draft = Draft {
        row: "budget",
        what: "an intent's own work, the sum of its parts, each alone on one core".to_owned(),
        unit: "µs",
        bound: Bound::AtMost,
        hold: BUDGET_US,
        stretch: None,
        notes: last
            .iter()
            .map(|Part(name, budget, us)| format!("{name}: {} µs (the design: {budget})", number(*us)))
            .chain([
                "not in it: HTTP, answers, tree and index, signatures, hand-overs between threads".to_owned()
            ])
            .collect(),
    };
    results.rows.push(draft.alone(&rounds));
    Ok(())
}

/// One intent, at each of its stations.
struct Work {
    body: Vec<u8>,
    intent: Intent,
    seed: Seed,
    keyring: Keyring,
    epoch: u32,
}

impl Work {
    fn ready(directory: &Path) -> Result<Self, Failure> {
        let now = Timestamp::from_millis(1_750_000_000_000).map_err(unexpected)?;
        let body = Documents::of("bench-agent", now).with_id(0, Numbers::from(1).id(now)).into_bytes();
        let intent = Intent::parse(&body).map_err(unexpected)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let layout = Layout::new(directory, None);
        init::create(&layout, Some(ORIGIN))?;
        let keyring = Keyring::open(disk, &layout, ORIGIN).map_err(unexpected)?;
        let epoch = keyring.open_epoch(keyring.last_epoch()).map_err(unexpected)?;
        Ok(Self { body, intent, seed: new_seed()?, keyring, epoch })
    }

    // Longer than 70 lines because it is a list of what is measured.
    fn parts(&self, plan: &Plan) -> Result<Vec<Part>, Failure> {
        let (decide_us, evaluated) = deciding::of_workload(plan)?;
        let evaluation = document_of(&evaluated.evaluation);
        let frame = vec![0x5a; FRAME_BYTES];
        Ok(vec![
            Part("strict parse", "3", us(plan, || Intent::parse(&self.body).map_err(unexpected))?),
            Part(
                "field tree of the declared document, and the call's digest",
                "13 with the next",
                us(plan, || self.declared())?,
            ),
            Part(
                "field tree of the evaluation",
                "",
                us(plan, || {
                    let tree = FieldTree::of_written(&evaluated.evaluation, &self.seed);
                    Ok((tree.map_err(unexpected)?.commitment(), document_of(&evaluated.evaluation)))
                })?,
            ),
            Part("facts, Cedar and the evaluation's bytes", "27", decide_us),
            Part("encryption", "1", us(plan, || self.encrypted(&evaluation))?),
            Part(
                "the frame's hash and checksum",
                "3",
                us(plan, || Ok((Sha256::digest(&frame), crc32c::crc32c(&frame))))?,
            ),
        ])
    }

    fn declared(&self) -> Result<(Commitment, Hash), Failure> {
        let tree = FieldTree::of_document(&self.intent.document, &self.seed).map_err(unexpected)?;
        let call = self.intent.calls.first().ok_or_else(|| unexpected("an intent without calls"))?;
        Ok((tree.commitment(), call_digest(&self.seed, 0, call).map_err(unexpected)?))
    }

    fn encrypted(&self, evaluation: &[u8]) -> Result<Ciphertext, Failure> {
        let payload = Payload {
            declared: self.body.clone(),
            evaluation: evaluation.to_vec(),
            declared_seed: self.seed.clone(),
            evaluation_seed: new_seed()?,
            signature: None,
        };
        let id = self.intent.id.unwrap_or_default();
        self.keyring.seal(self.epoch, id.as_bytes(), &payload).map_err(unexpected)
    }
}

/// Processor time of one, in µs.
fn us<T>(plan: &Plan, mut work: impl FnMut() -> Result<T, Failure>) -> Result<f64, Failure> {
    let per_s = done_per_core_s(plan.length / 8, || {
        for _ in 0..16 {
            std::hint::black_box(work()?);
        }
        Ok(16)
    })?;
    Ok(1e6 / per_s)
}

fn new_seed() -> Result<Seed, Failure> {
    Ok(Seed::from_bytes(*random::<32>().map_err(unexpected)?))
}
