//! What size costs: appending, proving, memory and restarting, in a log of many entries.
//!
//! The log is filled through the ledger without HTTP. Its intents are small, their field trees made once: what is
//! measured is what comes after, stamping, deciding, encoding, encrypting, journal, tree, index and signature. The
//! journal is thinned as it grows: the oldest segments, which nothing here reads again, are removed, because ten
//! million payloads of the smallest class would fill the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

use hdrhistogram::Histogram;
use serde_json::json;

use super::super::output::{Failure, progress};
use super::super::serve::{activate, runtime};
use super::super::{files, init, serve};
use super::fixture::rules;
use super::machine::processor_s;
use super::report::{Bound, Draft, Line, Plot, number};
use super::restart;
use super::workload::{Documents, Numbers};
use super::{Plan, Results, unexpected};
use crate::disk::bytes_below;
use crate::ledger::clock::{Clock as _, SystemClock};
use crate::ledger::layout::Layout;
use crate::ledger::{Accepted, Admitted, Ledger};
use crate::merkle::Hash;
use crate::record::entry::call_digest;
use crate::record::field_tree::{Commitment, FieldTree, Seed};
use crate::record::intent::Intent;
use crate::service::{Caller, NewAgent, Service};

/// Intents on their way at once: more than a frame's worth, as under load.
const IN_FLIGHT: usize = 256;
/// Between two looks at the journal while filling.
const STEP: u64 = 50_000;
/// Segments that stay: far more than the next start replays.
const SEGMENTS_KEPT: usize = 64;
const AGENT: &str = "bench-agent";

/// Which of the rows.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) append: bool,
    pub(super) proofs: bool,
    pub(super) memory: bool,
    pub(super) restart: bool,
}

pub(super) fn measure(
    plan: &Plan,
    directory: &Path,
    wanted: &Wanted,
    results: &mut Results,
) -> Result<(), Failure> {
    let large = Feeder::make(&directory.join("large"))?;
    let points = large.fill(plan.entries)?;
    if wanted.append {
        append(plan, directory, &large, results)?;
        results.plots.push(Plot {
            name: "append",
            title: "Cost of an append against the log's size (through the ledger, without HTTP)".to_owned(),
            x: "entries in the log",
            y: "µs an entry",
            lines: vec![
                Line { name: "elapsed".to_owned(), points: points.iter().map(|p| (p.0, p.1)).collect() },
                Line {
                    name: "processor time".to_owned(),
                    points: points.iter().map(|p| (p.0, p.2)).collect(),
                },
            ],
        });
    }
    if wanted.proofs {
        proofs(plan, &large.ledger, results)?;
    }
    let (layout, token) = large.end();
    if wanted.memory || wanted.restart {
        let documents = Documents::of(AGENT, SystemClock.now());
        restart::measure(plan, &layout, documents, token, wanted, results)?;
    }
    Ok(())
}

/// The large log and a small one take turns.
fn append(plan: &Plan, directory: &Path, large: &Feeder, results: &mut Results) -> Result<(), Failure> {
    let small = Feeder::make(&directory.join("small"))?;
    small.fill(plan.entries_small)?;
    let each = (plan.entries_small / 2).max(1);
    let (mut elapsed, mut processor) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        let (a, b) = (large.feed(each)?, small.feed(each)?);
        elapsed.push((a.0, b.0));
        processor.push((a.1, b.1));
    }
    let ratio = processor.iter().map(|(a, b)| a / b.max(0.01)).collect::<Vec<_>>();
    let size = number(large.ledger.published().size as f64);
    let draft = Draft {
        row: "append",
        what: format!("one more entry at {size} entries"),
        unit: "µs",
        bound: Bound::AtMost,
        hold: 1.2,
        stretch: None,
        notes: vec![
            format!(
                "through the ledger without HTTP, {IN_FLIGHT} intents on their way, rounds of {each} entries"
            ),
            format!(
                "processor time: {} µs at {size} entries, ratio {}; the data directory has {} MiB (journal thinned)",
                number(super::report::Spread::of(&processor.iter().map(|p| p.0).collect::<Vec<_>>()).median),
                number(super::report::Spread::of(&ratio).median),
                number(bytes_below(&large.layout.data).unwrap_or_default() as f64 / f64::from(1 << 20)),
            ),
        ],
    };
    results.rows.push(draft.against(format!("at {}", number(plan.entries_small as f64)), &elapsed));
    Ok(())
}

fn proofs(plan: &Plan, ledger: &Ledger, results: &mut Results) -> Result<(), Failure> {
    let size = ledger.published().size;
    let mut numbers = Numbers::from(size);
    let (mut inclusion, mut consistency) = (Vec::new(), Vec::new());
    for _ in 0..plan.rounds {
        inclusion.push(percentile_ms(plan.proofs, || {
            let proof = ledger.inclusion_proof(numbers.below(size), size);
            Ok(proof.map_err(unexpected)?.is_some())
        })?);
        consistency.push(percentile_ms(plan.proofs, || {
            let proof = ledger.consistency_proof(1 + numbers.below(size), size);
            Ok(proof.map_err(unexpected)?.is_some())
        })?);
    }
    for (what, values) in [("inclusion", inclusion), ("consistency", consistency)] {
        let draft = Draft {
            row: "proofs",
            what: format!("{what} proof at {} entries, p99", number(size as f64)),
            unit: "ms",
            bound: Bound::AtMost,
            hold: 1.0,
            stretch: None,
            notes: vec![format!(
                "from the packs, anywhere in the log, {} a round; the system's page cache as filling left it; made and verified",
                number(plan.proofs as f64)
            )],
        };
        results.rows.push(draft.alone(&values));
    }
    Ok(())
}

fn percentile_ms(count: u64, mut prove: impl FnMut() -> Result<bool, Failure>) -> Result<f64, Failure> {
    let mut times = Histogram::<u64>::new_with_bounds(1_000, 60_000_000_000, 3).map_err(unexpected)?;
    for _ in 0..count {
        let started = Instant::now();
        if !prove()? {
            return Err(unexpected("no proof within the log's own size"));
        }
        times.saturating_record(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    Ok(times.value_at_quantile(0.99) as f64 / 1e6)
}

/// Submits one small intent over and over.
struct Feeder {
    ledger: Arc<Ledger>,
    layout: Layout,
    caller: (u64, crate::ledger::state::CredentialDigest),
    token: String,
    intent: Intent,
    body: Vec<u8>,
    seed: Seed,
    declared: Commitment,
    call_digests: Vec<Hash>,
    gate: Arc<Gate>,
}

/// How many are on their way, and what went wrong.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, Option<String>)>,
    changed: Condvar,
}

impl Gate {
    /// Waits until fewer than `limit` are on their way.
    fn wait_below(
        &self,
        limit: usize,
    ) -> Result<std::sync::MutexGuard<'_, (usize, Option<String>)>, Failure> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.changed.wait_while(state, |state| state.0 >= limit && state.1.is_none());
        let state = state.unwrap_or_else(PoisonError::into_inner);
        match &state.1 {
            Some(error) => Err(unexpected(error)),
            None => Ok(state),
        }
    }

    fn done(&self, error: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0 = state.0.saturating_sub(1);
        // The first stays.
        state.1 = state.1.take().or(error);
        let few = state.0.is_multiple_of(IN_FLIGHT / 4) || state.1.is_some();
        drop(state);
        if few {
            self.changed.notify_all();
        }
    }
}

impl Feeder {
    fn make(directory: &Path) -> Result<Self, Failure> {
        let layout = Layout::new(&directory.join("ledger"), None);
        init::create(&layout, Some("bench.foreseal.local"))?;
        let (ledger, _) = serve::open(&layout)?;
        let ledger = Arc::new(ledger);
        let service = Service::new(Arc::clone(&ledger), false);
        let own = runtime()?;
        own.block_on(activate(&service, rules()))?;
        let new = NewAgent { name: AGENT.to_owned(), roles: Vec::new(), public_key: None };
        let registered =
            own.block_on(service.register_agent(&Caller::Operator(0), new)).map_err(unexpected)?;
        let token = registered.token.unwrap_or_default();
        let Caller::Agent { index, credential, .. } =
            service.authenticate(Some(&token)).map_err(unexpected)?
        else {
            return Err(unexpected("the agent is no agent"));
        };
        let body = json!({
            "agent": AGENT, "session": "s-1", "goal": "answer", "reasoning": ["it was asked"],
            "calls": [{"id": "c1", "server": "desk", "tool": "send_reply", "args": {"ticket": 7}}],
        });
        let body = body.to_string().into_bytes();
        let intent = Intent::parse(&body).map_err(unexpected)?;
        let seed = Seed::from_bytes([7; 32]);
        let declared = FieldTree::of_document(&intent.document, &seed).map_err(unexpected)?.commitment();
        let digests = intent.calls.iter().zip(0u32..).map(|(call, i)| call_digest(&seed, i, call));
        let call_digests = digests.collect::<Result<_, _>>().map_err(unexpected)?;
        let (caller, gate) = ((index, credential), Arc::default());
        Ok(Self { ledger, layout, caller, token, intent, body, seed, declared, call_digests, gate })
    }

    /// Seals `count` intents; elapsed and processor time of one, in µs.
    fn feed(&self, count: u64) -> Result<(f64, f64), Failure> {
        let (started, used) = (Instant::now(), processor_s());
        for _ in 0..count {
            self.gate.wait_below(IN_FLIGHT)?.0 += 1;
            let admission = self.ledger.admit().map_err(unexpected)?;
            let gate = Arc::clone(&self.gate);
            let reply = move |accepted: Result<Accepted, crate::ledger::LedgerError>| {
                gate.done(accepted.err().map(|error| error.to_string()));
            };
            self.ledger.submit(admission, self.admitted(), Box::new(reply));
        }
        drop(self.gate.wait_below(1)?);
        let count = count.max(1) as f64;
        Ok((started.elapsed().as_secs_f64() * 1e6 / count, (processor_s() - used) * 1e6 / count))
    }

    fn admitted(&self) -> Admitted {
        Admitted {
            agent: self.caller.0,
            credential: self.caller.1,
            intent: self.intent.clone(),
            body: self.body.clone(),
            seed: self.seed.clone(),
            declared: self.declared,
            call_digests: self.call_digests.clone(),
            signature: None,
            signals: None,
        }
    }

    /// Seals until the log has `entries` leaves. What each step cost, by the size it ended at.
    fn fill(&self, entries: u64) -> Result<Vec<(f64, f64, f64)>, Failure> {
        let mut told = progress("filling");
        let mut points = Vec::new();
        loop {
            let size = self.ledger.published().size;
            let missing = entries.saturating_sub(size).min(STEP);
            if missing == 0 {
                return Ok(points);
            }
            let (elapsed, processor) = self.feed(missing)?;
            points.push(((size + missing) as f64, elapsed, processor));
            told(size + missing, entries);
            self.thin_journal()?;
        }
    }

    fn thin_journal(&self) -> Result<(), Failure> {
        let disk = files::disk();
        let journal: PathBuf = self.layout.journal();
        let names = disk.read_dir(&journal).map_err(unexpected)?;
        let segments: Vec<_> = names.iter().filter(|name| name.ends_with(".seg")).collect();
        // From the front: what is left is without a gap.
        for name in segments.iter().take(segments.len().saturating_sub(SEGMENTS_KEPT)) {
            disk.remove(&journal.join(name)).map_err(unexpected)?;
        }
        Ok(())
    }

    /// Ends the ledger and leaves its directory; the agent's token.
    fn end(self) -> (Layout, String) {
        self.ledger.stop();
        (self.layout, self.token)
    }
}
