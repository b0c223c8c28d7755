//! `foreseal policy replay` and `foreseal policy shadow-report`: what another bundle would have decided, over sealed history.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::files;
use super::output::{self, Failure};
use super::replay::{AtRest, tell};
use crate::evidence::Verdict;
use crate::ledger::rederive::{self, Candidate, Change, Comparison, Example, Judged, Shadow};
use crate::policy::{Bundle, Engine};

/// Rules and tools that are told for each kind of change.
const TOLD_MAX: usize = 12;

/// Arguments of `foreseal policy replay`.
#[derive(Debug, Args)]
pub(super) struct PolicyReplay {
    #[command(flatten)]
    ledger: AtRest,
    /// The candidate: a bundle's directory
    #[arg(long = "policies", value_name = "DIR")]
    policies: PathBuf,
    #[command(flatten)]
    telling: Telling,
}

/// Arguments of `foreseal policy shadow-report`.
#[derive(Debug, Args)]
pub(super) struct ShadowReport {
    #[command(flatten)]
    ledger: AtRest,
    #[command(flatten)]
    telling: Telling,
}

/// What is told, and what is no longer fine.
#[derive(Debug, Args)]
pub(super) struct Telling {
    /// Examples of each kind of change
    #[arg(long, value_name = "N", default_value_t = 5)]
    examples: usize,
    /// Exit with 3 if a call changes in this way; may be given more than once
    #[arg(long, value_name = "CHANGE")]
    fail_on: Vec<FailOn>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FailOn {
    NewlyDenied,
    NewlyAllowed,
    NewlyHeld,
    NewlyModified,
    NewlyDeferred,
    OtherTerms,
}

impl FailOn {
    const fn change(self) -> Change {
        match self {
            Self::NewlyDenied => Change::NewlyDenied,
            Self::NewlyAllowed => Change::NewlyAllowed,
            Self::NewlyHeld => Change::NewlyHeld,
            Self::NewlyModified => Change::NewlyModified,
            Self::NewlyDeferred => Change::NewlyDeferred,
            Self::OtherTerms => Change::OtherTerms,
        }
    }
}

impl PolicyReplay {
    pub(super) fn json(&self) -> bool {
        self.telling.json
    }
}

impl ShadowReport {
    pub(super) fn json(&self) -> bool {
        self.telling.json
    }
}

pub(super) fn shadow(what: &ShadowReport) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    let (layout, _) = what.ledger.open(&*disk)?;
    let shadow = rederive::last_shadow(&*disk, &layout)
        .map_err(|error| Failure::new(error.to_string(), "see what `foreseal fsck` says"))?;
    let shadow = shadow.ok_or_else(|| {
        Failure::new(
            "no bundle was ever in shadow in this log",
            "activate one with mode shadow, or give one to `foreseal policy replay --policies DIR`",
        )
    })?;
    judge(&what.ledger, Candidate::Shadow(shadow), &what.telling)
}

pub(super) fn run(what: &PolicyReplay) -> Result<ExitCode, Failure> {
    let files = files::read_bundle(&what.policies)?;
    let refused = |error: String| {
        Failure::new(
            format!("{}: {error}", what.policies.display()),
            "see what `foreseal policy validate` says",
        )
    };
    let bundle = Bundle::load(files.clone()).map_err(|error| refused(error.to_string()))?;
    let engine = Engine::new(bundle).map_err(|error| refused(error.to_string()))?;
    let candidate = Candidate::Given { engine: Arc::new(engine), files };
    judge(&what.ledger, candidate, &what.telling)
}

/// Judges and tells.
fn judge(ledger: &AtRest, candidate: Candidate, telling: &Telling) -> Result<ExitCode, Failure> {
    let disk = files::disk();
    let (layout, trust) = ledger.open(&*disk)?;
    let mut progress = output::progress("judging");
    let mut found =
        rederive::compare(&disk, &layout, trust.as_ref(), candidate, telling.examples, &mut progress);
    telling.fail_on.iter().for_each(|change| found.demand_none(change.change()));
    let code = ExitCode::from(output::exit_code(found.report.verdict));
    if telling.json {
        output::data(&serde_json::to_string_pretty(&found).unwrap_or_default());
        return Ok(code);
    }
    for line in lines(&found) {
        output::data(&line);
    }
    tell(&found.differences, found.differences.len() as u64);
    match found.report.verdict {
        // What the trust policy asks for is told by `output`; here the demands are those of --fail-on.
        Verdict::Valid | Verdict::BelowPolicy => {
            for check in found.report.checks.iter().filter(|check| check.name.starts_with("no call is")) {
                output::data(&format!(
                    "{}: {}",
                    check.name,
                    if check.detail.is_empty() { "yes" } else { &check.detail }
                ));
            }
        }
        Verdict::Invalid | Verdict::Undecided => {
            output::report(&found.report, false);
        }
    }
    Ok(code)
}

/// Coverage first, then each kind of change, then the tools.
fn lines(found: &Comparison) -> Vec<String> {
    let Comparison { decisions, calls, judged, calls_judged, unchanged, .. } = found;
    let mut lines = vec![format!(
        "{} of {decisions} decisions judged ({calls_judged} of {calls} calls); {} not re-derivable",
        judged.rederived, judged.not_rederivable
    )];
    if let Some(Shadow { leaf, until }) = found.shadow {
        let until =
            until.map_or_else(|| "it is in shadow now".to_owned(), |until| format!("leaf {until} ended it"));
        lines.push(format!("by the bundle that leaf {leaf} put in shadow; {until}"));
    }
    lines.push(format!("{unchanged} calls decided as before"));
    for change in Change::ALL {
        let none = Judged::default();
        let judged = found.changes.get(&change).unwrap_or(&none);
        lines.push(format!(
            "\x1b[1m{} {}\x1b[0m, in {} decisions",
            judged.calls,
            change.in_words(),
            judged.decisions
        ));
        for (title, rules) in [("before", &judged.rules_before), ("now", &judged.rules_after)] {
            let mut rules: Vec<_> = rules.iter().collect();
            rules.sort_by_key(|(rule, count)| (std::cmp::Reverse(**count), *rule));
            let told = rules.iter().take(TOLD_MAX).map(|(rule, count)| format!("{rule} {count}"));
            let told: Vec<String> = told.collect();
            if !told.is_empty() {
                let more = rules.len().saturating_sub(TOLD_MAX);
                let more = if more > 0 { format!(", and {more} more") } else { String::new() };
                lines.push(format!("  {title}: {}{more}", told.join(", ")));
            }
        }
        lines.extend(judged.examples.iter().map(example));
    }
    let mut tools: Vec<_> = found.tools.iter().filter(|(_, tool)| !tool.changes.is_empty()).collect();
    tools.sort_by_key(|(name, tool)| (std::cmp::Reverse(tool.calls - tool.unchanged), *name));
    if !tools.is_empty() {
        lines.push("by tool:".to_owned());
    }
    for (name, tool) in tools.iter().take(TOLD_MAX) {
        let changes = tool.changes.iter().map(|(change, count)| format!("{count} {}", change.in_words()));
        let changes = changes.collect::<Vec<_>>().join(", ");
        lines.push(format!(
            "  {}: {} of {} calls: {changes}",
            name.escape_debug(),
            tool.calls - tool.unchanged,
            tool.calls
        ));
    }
    if tools.len() > TOLD_MAX {
        lines.push(format!("  and {} more tools", tools.len() - TOLD_MAX));
    }
    lines
}

fn example(example: &Example) -> String {
    let Example { leaf, id, call, tool, before, after, rules_before, rules_after } = example;
    format!(
        "  leaf {leaf} ({id}) call {} of {}: {before} ({}) -> {after} ({})",
        call.escape_debug(),
        tool.escape_debug(),
        rules_before.join(", "),
        rules_after.join(", ")
    )
}
