//! `foreseal policy prove`: what a bundle's rules hold on every call, or a call on which they do not.

use std::path::PathBuf;
#[cfg(not(feature = "prove"))]
use std::process::ExitCode;

use clap::Args;

#[cfg(not(feature = "prove"))]
use super::output::Failure;

/// What can be typed after `policy prove`.
#[cfg_attr(not(feature = "prove"), allow(dead_code, reason = "a build that proves reads all of it"))]
#[derive(Debug, Args)]
pub(super) struct Prove {
    /// The bundle
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// That no call is allowed of which this holds: a condition in Cedar, a whole rule, or a rule's id; may be given
    /// several times
    #[arg(long, value_name = "CONDITION")]
    pub(super) never: Vec<String>,
    /// What such calls are instead, at least: deny, defer, hold or modify
    #[arg(long, value_name = "OUTCOME", default_value = "hold", requires = "never")]
    pub(super) at_least: String,
    /// That no call gets a milder outcome, or waits for less, than by this bundle
    #[arg(long, value_name = "DIR")]
    pub(super) no_more_permissive_than: Option<PathBuf>,
    /// That every call gets the same outcome as by this bundle
    #[arg(long, value_name = "DIR")]
    pub(super) equal: Option<PathBuf>,
    /// That no rule fails on any call
    #[arg(long)]
    pub(super) never_errors: bool,
    /// That every rule says something that no other says
    #[arg(long)]
    pub(super) dead_rules: bool,
    #[command(flatten)]
    pub(super) solver: SolverArguments,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Which solver, and how long it may take.
#[cfg_attr(not(feature = "prove"), allow(dead_code, reason = "a build that proves reads all of it"))]
#[derive(Debug, Args)]
pub(super) struct SolverArguments {
    /// The solver, cvc5 [default: the one on the path]
    #[arg(long, env = "FORESEAL_SOLVER", value_name = "FILE")]
    pub(super) solver: Option<PathBuf>,
    /// Seconds for one question; what takes longer is unknown
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(super) solver_seconds: u64,
}

#[cfg(not(feature = "prove"))]
pub(super) fn run(_: &Prove) -> Result<ExitCode, Failure> {
    Err(cannot_prove())
}

/// What a build without the prover says.
#[cfg(not(feature = "prove"))]
pub(super) fn cannot_prove() -> Failure {
    let hint = "build it with `cargo build --release --features prove`, and install cvc5";
    Failure::new("this build has no prover", hint)
}

#[cfg(feature = "prove")]
pub(super) use proving::{engine, run};

#[cfg(feature = "prove")]
mod proving {
    use std::path::Path;
    use std::process::ExitCode;

    use serde::{Deserialize as _, Serialize};

    use super::Prove;
    use crate::cli::files;
    use crate::cli::output::{self, Failure};
    use crate::cli::solver::Cvc5;
    use crate::policy::prove::{Answer, Comparison, Confirmed, Finding, Proof, Prover, Solver as _};
    use crate::policy::{Bundle, Engine, Property};
    use crate::record::decision::Outcome;

    /// `schemas/policy.proof.schema.json`
    #[derive(Debug, Serialize)]
    struct Report {
        schema: &'static str,
        digest: String,
        solver: String,
        answer: Answer,
        proofs: Vec<Named>,
    }

    #[derive(Debug, Serialize)]
    struct Named {
        id: String,
        #[serde(flatten)]
        proof: Proof,
    }

    /// What is asked.
    enum Asked {
        Property(Property),
        Comparison(Comparison, Box<Engine>),
    }

    pub(in crate::cli) fn engine(directory: &Path) -> Result<Engine, Failure> {
        let wrong = |error: String| {
            let hint = "see what `foreseal policy validate` says";
            Failure::new(format!("{}: {error}", directory.display()), hint)
        };
        let bundle =
            Bundle::load(files::read_bundle(directory)?).map_err(|error| wrong(error.to_string()))?;
        Engine::new(bundle).map_err(|error| wrong(error.to_string()))
    }

    pub(in crate::cli) fn run(what: &Prove) -> Result<ExitCode, Failure> {
        let engine = engine(&what.directory)?;
        let asked = asked(what, &engine)?;
        let solver = Cvc5::find(what.solver.solver.as_deref(), what.solver.solver_seconds)?;
        let mut progress = output::progress("proving");
        let all = u64::try_from(asked.len()).unwrap_or(u64::MAX);
        let mut proofs = Vec::new();
        for (done, (id, asked)) in asked.into_iter().enumerate() {
            progress(u64::try_from(done).unwrap_or(u64::MAX), all);
            let proof = match &asked {
                Asked::Property(property) => Prover::prove(&engine, &solver, property),
                Asked::Comparison(how, with) => Prover::compare(&engine, &solver, with, *how),
            };
            proofs.push(Named { id, proof });
        }
        progress(all, all);
        let answer = proofs.iter().map(|named| named.proof.answer).max().unwrap_or(Answer::Unknown);
        let digest = hex::encode(engine.bundle().digest());
        let report = Report {
            schema: "foreseal.policy.proof.v1",
            digest,
            solver: solver.about().to_owned(),
            answer,
            proofs,
        };
        if what.json {
            output::data(&serde_json::to_string_pretty(&report).unwrap_or_default());
        } else {
            lines(&report).iter().for_each(|line| output::data(line));
        }
        Ok(ExitCode::from(match answer {
            Answer::Proven => 0,
            Answer::Refuted => 1,
            Answer::Unknown => 2,
        }))
    }

    fn asked(what: &Prove, engine: &Engine) -> Result<Vec<(String, Asked)>, Failure> {
        let bundle = engine.bundle();
        let mut asked = Vec::new();
        let at_least = Outcome::deserialize(serde_json::Value::String(what.at_least.clone()));
        let at_least = at_least.map_err(|_| {
            Failure::new(format!("{:?} is no outcome", what.at_least), "write deny, defer, hold or modify")
        })?;
        for text in &what.never {
            let property =
                bundle.never(text, at_least).map_err(|(message, hint)| Failure::new(message, hint))?;
            asked.push(("never".to_owned(), Asked::Property(property)));
        }
        let comparisons = [
            ("no-more-permissive-than", Comparison::NoMorePermissive, &what.no_more_permissive_than),
            ("equal", Comparison::Equal, &what.equal),
        ];
        for (id, how, directory) in comparisons {
            if let Some(directory) = directory {
                asked.push((id.to_owned(), Asked::Comparison(how, Box::new(self::engine(directory)?))));
            }
        }
        if what.never_errors {
            asked.push(("never-errors".to_owned(), Asked::Property(Property::NeverErrors)));
        }
        if what.dead_rules {
            asked.push(("dead-rules".to_owned(), Asked::Property(Property::EveryRuleDecides)));
        }
        if asked.is_empty() {
            let claims = bundle.claims().iter();
            asked = claims.map(|claim| (claim.id.clone(), Asked::Property(claim.property.clone()))).collect();
        }
        match asked.is_empty() {
            false => Ok(asked),
            true => {
                let hint =
                    "say what to prove: --never CONDITION, --never-errors, …, or write it into proofs.json";
                Err(Failure::new("nothing is to be proven", hint))
            }
        }
    }

    fn lines(report: &Report) -> Vec<String> {
        let mut lines = Vec::new();
        for Named { id, proof } in &report.proofs {
            let mark = mark(proof.answer);
            let always = proof.always.map(|outcome| match outcome {
                Outcome::Deny => "; all such calls are denied".to_owned(),
                outcome => format!("; none of them gets less than {outcome}"),
            });
            let always = always.unwrap_or_default();
            lines.push(format!("{mark} {id}: {}{always} ({})", proof.property, proof.answer.as_str()));
            lines.extend(proof.findings.iter().flat_map(finding));
        }
        let verdict = match report.answer {
            Answer::Proven => "\x1b[1;32mPROVEN\x1b[0m",
            Answer::Refuted => "\x1b[1;31mREFUTED\x1b[0m",
            Answer::Unknown => "\x1b[1;33mCOULD NOT DECIDE\x1b[0m",
        };
        let queries = report.proofs.iter().fold(0_u64, |sum, named| sum.saturating_add(named.proof.queries));
        lines.push(format!("{verdict} by {}, {queries} questions (bundle {})", report.solver, report.digest));
        lines.push("not asked:".to_owned());
        for what in NOT_ASKED {
            lines.push(format!("  - {what}"));
        }
        lines
    }

    const NOT_ASKED: [&str; 4] = [
        "whether facts tell the truth: grounding, signals and labels are taken as the engine derives them",
        "whether the solver is right: its models are checked by the engine, its proofs are believed",
        "what becomes of a held call once it is approved, and what several calls do together",
        "integers inside of lists, which are taken to be any",
    ];

    fn mark(answer: Answer) -> &'static str {
        match answer {
            Answer::Proven => "\x1b[32m✓\x1b[0m",
            Answer::Refuted => "\x1b[31m✗\x1b[0m",
            Answer::Unknown => "\x1b[33m?\x1b[0m",
        }
    }

    fn finding(finding: &Finding) -> Vec<String> {
        let tool = finding.tool.as_ref().map(|tool| format!("{tool}: ")).unwrap_or_default();
        let rule = finding.rule.as_ref().map(|rule| format!("rule \"{rule}\": ")).unwrap_or_default();
        let mut lines = vec![format!("  {} {tool}{rule}{}", mark(finding.answer), finding.what)];
        let Some(shown) = &finding.counterexample else { return lines };
        let by = shown.rules.join(", ");
        let compared = shown.compared_outcome.map(|outcome| format!(", {outcome} by the other bundle"));
        let how = match shown.confirmed {
            Confirmed::Intent => "decided by the engine as an intent",
            Confirmed::Facts => {
                "decided by the engine with these facts; whether a session leads to them is not known"
            }
            Confirmed::No => "not confirmed by the engine",
        };
        let compared = compared.unwrap_or_default();
        lines.push(format!("    {}{compared}; rules that match: {by}; {how}", shown.outcome));
        lines.push(match &shown.test {
            Some(test) => format!("    {test}"),
            None => "    (the facts: --json)".to_owned(),
        });
        lines
    }
}
