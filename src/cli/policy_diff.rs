//! `foreseal policy diff`: what a new bundle says otherwise than an old one, and where that leads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::files;
use super::output::{self, Failure};
use super::policy_prove::SolverArguments;
use crate::policy::{Aspect, Bundle, Change, Direction, diff};

/// What can be typed after `policy diff`.
#[cfg_attr(not(feature = "prove"), allow(dead_code, reason = "a build that proves reads all of it"))]
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The old bundle
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The new bundle
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// Ask the solver too: about each rule that matches other calls, and whether any call gets a milder outcome
    #[arg(long)]
    prove: bool,
    #[command(flatten)]
    solver: SolverArguments,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// `schemas/policy.diff.schema.json`
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    old: String,
    new: String,
    changes: Vec<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    solver: Option<String>,
    /// That no call gets a milder outcome, or waits for less.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Told {
    #[serde(flatten)]
    change: Change,
    /// The calls that the rule matches now, beside those that it matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    matches: Option<&'static str>,
}

pub(super) fn run(what: &Diff) -> Result<ExitCode, Failure> {
    let load = |directory: &Path| {
        Bundle::load(files::read_bundle(directory)?).map_err(|error| {
            let hint = "see what `foreseal policy validate` says";
            Failure::new(format!("{}: {error}", directory.display()), hint)
        })
    };
    let (old, new) = (load(&what.old)?, load(&what.new)?);
    let changes = diff(&old, &new).into_iter().map(|change| Told { change, matches: None }).collect();
    let mut report = Report {
        schema: "foreseal.policy.diff.v1",
        old: hex::encode(old.digest()),
        new: hex::encode(new.digest()),
        changes,
        solver: None,
        proof: None,
    };
    if what.prove {
        ask(what, &mut report)?;
    }
    if what.json {
        output::data(&serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        lines(&report).iter().for_each(|line| output::data(line));
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(not(feature = "prove"))]
fn ask(_: &Diff, _: &mut Report) -> Result<(), Failure> {
    Err(super::policy_prove::cannot_prove())
}

/// Puts the solver's answers beside the changes.
#[cfg(feature = "prove")]
fn ask(what: &Diff, report: &mut Report) -> Result<(), Failure> {
    use super::solver::Cvc5;
    use crate::policy::prove::{Comparison, Prover, Reached, Solver as _};

    let (old, new) = (super::policy_prove::engine(&what.old)?, super::policy_prove::engine(&what.new)?);
    let solver = Cvc5::find(what.solver.solver.as_deref(), what.solver.solver_seconds)?;
    for told in report.changes.iter_mut().filter(|told| told.change.other_calls) {
        let reached = Prover::reached(&new, &old, &solver, &told.change.name);
        let permits = told.change.new.as_ref().is_some_and(|text| text.trim_start().starts_with("permit"));
        (told.matches, told.change.direction) = match (reached, permits) {
            (Reached::Same, _) => (Some("same"), Direction::Neutral),
            (Reached::More, true) => (Some("more"), Direction::Weakening),
            (Reached::More, false) => (Some("more"), Direction::Tightening),
            (Reached::Fewer, true) => (Some("fewer"), Direction::Tightening),
            (Reached::Fewer, false) => (Some("fewer"), Direction::Weakening),
            (Reached::Other, _) => (Some("other"), Direction::Weakening),
            (Reached::Unknown, _) => (Some("unknown"), Direction::Unknown),
        };
    }
    let proof = Prover::compare(&new, &solver, &old, Comparison::NoMorePermissive);
    report.proof = serde_json::to_value(proof).ok();
    report.solver = Some(solver.about().to_owned());
    Ok(())
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines: Vec<String> = report
        .changes
        .iter()
        .flat_map(|Told { change, matches }| {
            let mark = match change.direction {
                Direction::Weakening => "\x1b[31m-\x1b[0m",
                Direction::Unknown => "\x1b[33m?\x1b[0m",
                Direction::Tightening => "\x1b[32m+\x1b[0m",
                Direction::Neutral => " ",
            };
            let of = match change.aspect {
                Aspect::Rule => format!("rule \"{}\"", change.name),
                Aspect::Tool => format!("tool {}", change.name),
                Aspect::Bundle => change.name.clone(),
            };
            let matches = matches.map(|matches| match matches {
                "same" => " (the solver: the same ones)".to_owned(),
                "other" => " (the solver: some more, and some no longer)".to_owned(),
                "unknown" => " (the solver does not know which)".to_owned(),
                matches => format!(" (the solver: {matches})"),
            });
            let direction = change.direction.as_str();
            let what = &change.what;
            let mut lines = vec![format!("{mark} {of}: {what}{}: {direction}", matches.unwrap_or_default())];
            for (sign, text) in [("-", &change.old), ("+", &change.new)] {
                let text = text.iter().flat_map(|text| text.lines());
                lines.extend(text.map(|line| format!("    {sign} {line}")));
            }
            lines
        })
        .collect();
    if lines.is_empty() {
        lines.push("no difference that decides anything".to_owned());
    }
    if let (Some(proof), Some(solver)) = (&report.proof, &report.solver) {
        let answer = proof.pointer("/answer").and_then(Value::as_str).unwrap_or_default();
        lines.push(format!("no call gets a milder outcome, or waits for less: {answer} by {solver}"));
        let findings = proof.pointer("/findings").and_then(Value::as_array).into_iter().flatten();
        lines.extend(findings.map(|finding| {
            let text = |at: &str| finding.pointer(at).and_then(Value::as_str).unwrap_or_default();
            let call = finding.pointer("/counterexample/test");
            let call = call.map(|call| format!("\n    {call}")).unwrap_or_default();
            format!("  {} {}: {}{call}", text("/tool"), text("/answer"), text("/what"))
        }));
    }
    lines
}
