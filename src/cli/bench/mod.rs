//! `foreseal bench`: every number that the design promises, measured beside its yardstick in the same run.
//!
//! Value and yardstick take turns, round by round, so that what else the machine does falls on both; ratios are of
//! each round. The service and the load tool run in one process, each on its own runtime, and meet on loopback: the
//! yardstick's handler does too, on the same serving stack. Memory and restarts are those of `foreseal serve` as a
//! process of its own. Everything lies in one directory that is removed at the end.

mod auditing;
mod budget;
mod deciding;
mod fixture;
mod growth;
mod latency;
mod load;
mod machine;
mod page;
mod picture;
mod probe;
mod report;
mod restart;
mod throughput;
mod workload;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::machine::Machine;
use self::report::{Missing, Plot, Report, Row};
use super::output::{Failure, data, status, warning};
use crate::disk::ScratchDirectory;

/// Entries of a full run.
const ENTRIES_FULL: u64 = 10_000_000;
/// Entries unless asked for more.
const ENTRIES: u64 = 100_000;
/// Entries of the small ledger that the large one is held against.
const ENTRIES_SMALL: u64 = 10_000;

/// Arguments of `foreseal bench`.
#[derive(Debug, Args)]
pub(super) struct Bench {
    /// What to measure [default: everything]
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<Part>,
    /// See only that it works, in seconds: no number of it means anything
    #[arg(long, conflicts_with_all = ["full", "write"])]
    quick: bool,
    /// With ten million entries: about half an hour and 12 GB of disk
    #[arg(long, conflicts_with = "entries")]
    full: bool,
    /// Entries in the log whose size is felt [default: 100000]
    #[arg(long, value_name = "N")]
    entries: Option<u64>,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 5, value_name = "N")]
    rounds: usize,
    /// Length of one round, in seconds
    #[arg(long, default_value_t = 3.0, value_name = "S")]
    seconds: f64,
    /// Connections of the load tool
    #[arg(long, default_value_t = 64, value_name = "N")]
    clients: usize,
    /// Where ledgers are made and removed; on a real disk [default: the system's place for temporary files]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write the plots into this directory
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Write the table and the plots into DIR/performance.md and DIR/performance/
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

impl Bench {
    /// Whether JSON was asked for.
    pub(super) fn json(&self) -> bool {
        self.json
    }
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Part {
    /// Sealed intents a second, authenticated by their token
    Throughput,
    /// The same, each signed by its agent
    Signed,
    /// The same with one permit each
    Permits,
    /// One client's latency over one sync and the yardstick's latency
    Latency,
    /// Latency against offered load
    Load,
    /// What one more entry costs in a large log
    Append,
    /// Inclusion and consistency proofs from a large log
    Proofs,
    /// Memory at a large log
    Memory,
    /// Time to be ready again at a large log
    Restart,
    /// Audit against bare hashing and bare verification
    Audit,
    /// A thousand rules against ten
    Policy,
    /// Where an intent's processor time goes, part by part
    Budget,
}

/// How much of everything.
#[derive(Debug, Clone)]
struct Plan {
    rounds: usize,
    length: Duration,
    clients: usize,
    sweep: Vec<usize>,
    entries: u64,
    entries_small: u64,
    /// Entries of the log that is audited.
    audited: u64,
    probes: u64,
    proofs: u64,
    /// Documents that are signed before a round.
    signed_max: usize,
}

impl Plan {
    fn of(what: &Bench) -> Self {
        let clients = what.clients.clamp(1, 1_024);
        if what.quick {
            return Self {
                rounds: 1,
                length: Duration::from_millis(150),
                clients: clients.min(8),
                sweep: vec![1, 4],
                entries: what.entries.unwrap_or(1_200),
                entries_small: 300,
                audited: 300,
                probes: 20,
                proofs: 50,
                signed_max: 100,
            };
        }
        let entries = if what.full { ENTRIES_FULL } else { what.entries.unwrap_or(ENTRIES) };
        Self {
            rounds: what.rounds.max(1),
            length: Duration::from_secs_f64(what.seconds.clamp(0.1, 60.0)),
            clients,
            sweep: vec![1, 2, 4, 8, 16, 32, 64, 128, 256],
            entries,
            entries_small: ENTRIES_SMALL,
            audited: 20_000,
            probes: 500,
            proofs: 5_000,
            signed_max: 40_000,
        }
    }
}

/// What has been measured so far.
#[derive(Debug, Default)]
struct Results {
    rows: Vec<Row>,
    plots: Vec<Plot>,
}

pub(super) fn run(what: &Bench) -> Result<ExitCode, Failure> {
    let parts: BTreeSet<Part> = match what.rows.as_slice() {
        [] => Part::value_variants().iter().copied().collect(),
        some => some.iter().copied().collect(),
    };
    let plan = Plan::of(what);
    let parent = what.dir.clone().unwrap_or_else(std::env::temp_dir);
    let scratch = ScratchDirectory::make_in(&parent, "foreseal-bench").map_err(|error| {
        Failure::new(format!("{}: {error}", parent.display()), "give a directory to work in with --dir")
    })?;
    let machine = Machine::of(scratch.path());
    if cfg!(debug_assertions) && !what.quick {
        warning("this is a debug build: its numbers mean nothing; build with --release");
    }
    let mut results = Results::default();
    measure(&parts, &plan, &scratch, &mut results)?;
    drop(scratch);
    let report = Report {
        schema: "foreseal.bench.v1",
        version: env!("CARGO_PKG_VERSION"),
        command: command(what, &plan, &parts),
        machine,
        rows: results.rows,
        missing: missing(&parts),
        plots: results.plots,
    };
    if let Some(directory) = &what.svg {
        page::write_pictures(&report, directory)?;
    }
    if let Some(directory) = &what.write {
        page::write_page(&report, directory)?;
    }
    if what.json {
        data(&serde_json::to_string_pretty(&report).map_err(unexpected)?);
    } else {
        report.lines().iter().for_each(|line| data(line));
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    parts: &BTreeSet<Part>,
    plan: &Plan,
    scratch: &ScratchDirectory,
    results: &mut Results,
) -> Result<(), Failure> {
    let any = |some: &[Part]| some.iter().any(|part| parts.contains(part));
    if any(&[Part::Policy]) {
        status("policy: a thousand rules against ten");
        deciding::measure(plan, results)?;
    }
    if any(&[Part::Budget]) {
        status("budget: the parts of an intent, each alone");
        budget::measure(plan, scratch.path(), results)?;
    }
    if any(&[Part::Throughput, Part::Signed]) {
        status("throughput: rounds of the yardstick and of the service");
        throughput::measure(plan, scratch.path(), any(&[Part::Throughput]), any(&[Part::Signed]), results)?;
    }
    if any(&[Part::Latency, Part::Load]) {
        status("latency: one client, then against offered load");
        latency::measure(plan, scratch.path(), any(&[Part::Latency]), any(&[Part::Load]), results)?;
    }
    if any(&[Part::Audit]) {
        status("audit: hashes, links, signatures");
        auditing::measure(plan, scratch.path(), results)?;
    }
    if any(&[Part::Append, Part::Proofs, Part::Memory, Part::Restart]) {
        status(&format!("size: a log of {} entries", report::number(plan.entries as f64)));
        let wanted = growth::Wanted {
            append: any(&[Part::Append]),
            proofs: any(&[Part::Proofs]),
            memory: any(&[Part::Memory]),
            restart: any(&[Part::Restart]),
        };
        growth::measure(plan, scratch.path(), &wanted, results)?;
    }
    Ok(())
}

/// What is promised and not there to be measured.
fn missing(parts: &BTreeSet<Part>) -> Vec<Missing> {
    let permits = Missing {
        row: "permits",
        what: "sealed intents a second with one JWS permit each",
        why: "this version gives no permits yet",
    };
    if parts.contains(&Part::Permits) { vec![permits] } else { Vec::new() }
}

/// The command that measures the same again.
fn command(what: &Bench, plan: &Plan, parts: &BTreeSet<Part>) -> String {
    let mut words = vec!["foreseal bench".to_owned()];
    if parts.len() < Part::value_variants().len() {
        let names = parts.iter().filter_map(ValueEnum::to_possible_value);
        words.extend(names.map(|name| name.get_name().to_owned()));
    }
    if what.quick {
        words.push("--quick".to_owned());
    } else {
        words.push(format!("--entries {}", plan.entries));
        words.push(format!("--rounds {} --seconds {}", plan.rounds, plan.length.as_secs_f64()));
        words.push(format!("--clients {}", plan.clients));
    }
    words.join(" ")
}

/// Something that has no business to fail here.
fn unexpected(error: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the bench could not go on: {error}"), "see the message; on a full disk give --dir")
}
